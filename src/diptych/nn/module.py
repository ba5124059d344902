"""Module: a tree of parameters and state with a `forward`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..graphs.devices import Device
from ..graphs.errors import DTypeError
from ..graphs.guards import note_read
from ..graphs.parameter import Parameter
from ..graphs.storage import Storage, load_storages


class Module:
    """Base of all models. Subclasses assign parameters, storages and modules as attributes.

    Examples
    --------
    >>> class Scale(dt.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = dt.nn.Parameter([2.0])
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(dt.tensor([3.0])).item()
    6.0
    """

    def __init__(self) -> None:
        self.__dict__.update(_parameters={}, _storages={}, _modules={}, _training=True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes."""
        raise NotImplementedError(f"{type(self).__name__}: must define forward, got none")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        tables = self.__dict__
        if "_parameters" not in tables:
            raise DTypeError(
                f"{type(self).__name__}: super().__init__() must run before attributes are "
                f"assigned, got {name!r}"
            )
        if name in self._parameters and not (value is None or isinstance(value, Parameter)):
            raise DTypeError(
                f"{type(self).__name__}: parameter {name!r} must stay a Parameter or become None, "
                f"got {type(value).__name__}; to write numbers use "
                f"{name}.storage.write(numbers)"
            )
        for table in ("_parameters", "_storages", "_modules"):
            tables[table].pop(name, None)
        tables.pop(name, None)
        if isinstance(value, Parameter):
            self._parameters[name] = value
            value.storage.name = value.storage.name or name
        elif isinstance(value, Storage):
            self._storages[name] = value
            value.name = value.name or name
        elif isinstance(value, Module) or isinstance(getattr(value, "function", None), Module):
            if not isinstance(value, Module):  # a compiled module: called as such, but of the tree
                object.__setattr__(self, name, value)
                value = value.function
            self._modules[name] = value
            for path, storage in value._state().items():
                if storage.name == path:  # not yet named by another parent
                    storage.name = f"{name}.{path}"
        else:
            object.__setattr__(self, name, value)

    def register_buffer(self, name: str, data: Any) -> None:
        """Hold numbers that are saved and used but not trained, as a `Storage`.

        Parameters
        ----------
        name : str
            Of the attribute.
        data : array, Tensor or nested lists of numbers
        """
        setattr(self, name, Storage(data, name))

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_storages", "_modules"):
            found = self.__dict__.get(table, {})
            if name in found:
                return note_read(found, name)
        raise AttributeError(f"{type(self).__name__}: has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._storages, self._modules):
            if table.pop(name, None) is not None:
                return
        object.__delattr__(self, name)

    # -- the tree ----------------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        yield from self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            yield from module._walk(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator[Module]:
        """The modules right below this one."""
        return iter(self._modules.values())

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Parameters of this module and all below it, each once, with dotted names."""
        return self._named("_parameters")

    def parameters(self) -> Iterator[Any]:
        """Parameters of this module and all below it, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_storages(self) -> Iterator[tuple[str, Storage]]:
        """State that is saved but not trained, such as running statistics, with dotted names."""
        return self._named("_storages")

    def _named(self, table: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, found in getattr(module, table).items():
                if id(found) not in seen:
                    seen.add(id(found))
                    yield f"{prefix}.{name}" if prefix else name, found

    # -- mode --------------------------------------------------------------------------------

    @property
    def training(self) -> bool:
        """Whether the module is in training mode, where dropout drops."""
        return note_read(self.__dict__, "_training")

    def train(self, mode: bool = True) -> Module:
        """Put this module and all below it in training mode."""
        for module in self.modules():
            module.__dict__["_training"] = bool(mode)
        return self

    def eval(self) -> Module:
        """Put this module and all below it in inference mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Say for all parameters whether a gradient is wanted."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self, device: Device | str) -> Module:
        """Move all parameters and storages to a device, in place.

        Raises
        ------
        DeviceError
            When the device is unknown or not here. Nothing has moved then.
        """
        target = Device.of(device)
        target.xp  # noqa: B018 - raises before anything moves
        for parameter in self.parameters():
            parameter.move(target)
        for _, storage in self.named_storages():
            storage.move(target)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    # -- state -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and storages as NumPy arrays, by dotted name."""
        return {name: storage.numpy().copy() for name, storage in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write numbers into all parameters and storages, in place.

        Parameters
        ----------
        state : mapping
            From every dotted name to an array of the right shape.

        Raises
        ------
        UnknownNameError
            When names are missing or unexpected. Nothing is written then.
        ShapeError, DTypeError
            When an array does not fit. Nothing is written then.
        """
        load_storages("load_state_dict", self._state(), state)

    def _state(self) -> dict[str, Storage]:
        parameters = {name: p.storage for name, p in self.named_parameters()}
        return {**parameters, **dict(self.named_storages())}

    def extra_repr(self) -> str:
        """What stands between the parentheses of a module without children."""
        return ""

    def __repr__(self) -> str:
        name = type(self).__name__
        if not self._modules:
            return f"{name}({self.extra_repr()})"
        lines = [f"  ({k}): " + repr(m).replace("\n", "\n  ") for k, m in self._modules.items()]
        return "\n".join([f"{name}(", *lines, ")"])
