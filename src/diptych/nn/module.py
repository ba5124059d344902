"""Module: a tree of parameters and state with a `forward`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..graphs.devices import Device
from ..graphs.dtypes import as_dtype, is_float
from ..graphs.errors import DTypeError, unknown
from ..graphs.guards import note_read
from ..graphs.held import note_move
from ..graphs.storage import Storage
from .attributes import MODULES, PARAMETERS, STORAGES, TABLES, Attributes, module_of
from .hooks import Hook, HookHandle, call_hooked
from .state import LoadedKeys, load_state


class Module(Attributes):
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
        super().__init__()
        self.__dict__.update(_hooks=(), _training=True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes."""
        raise NotImplementedError(f"{type(self).__name__}: must define forward, got none")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        hooks = note_read(self.__dict__, "_hooks")
        return call_hooked(self, hooks, args, kwargs) if hooks else self.forward(*args, **kwargs)

    # -- the tree ----------------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        yield from self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, module in self.named_children():
            yield from module._walk(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one, with their names."""
        for name, held in note_read(self.__dict__, MODULES).items():
            module = module_of(held)
            if module is not None:
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules right below this one."""
        return (module for _, module in self.named_children())

    def named_parameters(self, recurse: bool = True) -> Iterator[tuple[str, Any]]:
        """Parameters of this module and all below it, each once, with dotted names.

        Parameters
        ----------
        recurse : bool
            Give those of the modules below, too.
        """
        return self._named(PARAMETERS, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Parameters of this module and all below it, each once; see `named_parameters`."""
        return (parameter for _, parameter in self.named_parameters(recurse))

    def named_storages(self, recurse: bool = True) -> Iterator[tuple[str, Storage]]:
        """State that is not trained, such as running statistics, with dotted names."""
        return self._named(STORAGES, recurse)

    def _named(self, table: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules() if recurse else [("", self)]:
            for name, found in note_read(module.__dict__, table).items():
                if found is not None and id(found) not in seen:
                    seen.add(id(found))
                    yield f"{prefix}.{name}" if prefix else name, found

    def get_submodule(self, path: str) -> Module:
        """The module under a dotted name; this one under the empty name.

        Raises
        ------
        UnknownNameError
            When there is none.

        Examples
        --------
        >>> net = dt.nn.Sequential(dt.nn.Sequential(dt.nn.Tanh()))
        >>> net.get_submodule("0.0")
        Tanh()
        """
        module = self
        for name in path.split(".") if path else ():
            children = dict(module.named_children())
            if name not in children:
                raise unknown(f"get_submodule of {path!r}", name, children)
            module = children[name]
        return module

    def get_parameter(self, path: str) -> Any:
        """The parameter under a dotted name.

        Raises
        ------
        UnknownNameError
            When there is none.

        Examples
        --------
        >>> dt.nn.Sequential(dt.nn.Linear(3, 2)).get_parameter("0.weight").shape
        (2, 3)
        """
        where, _, name = path.rpartition(".")
        held = dict(self.get_submodule(where).named_parameters(recurse=False))
        if name not in held:
            raise unknown(f"get_parameter of {path!r}", name, held)
        return held[name]

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Call a function with every module below this one, children first, and with this one.

        Examples
        --------
        >>> def fill(module):
        ...     if isinstance(module, dt.nn.Linear):
        ...         dt.nn.init.ones_(module.weight)
        >>> dt.nn.Sequential(dt.nn.Linear(2, 1)).apply(fill)[0].weight.tolist()
        [[1.0, 1.0]]
        """
        self._apply(function, set())
        return self

    def _apply(self, function: Callable[[Module], Any], seen: set[int]) -> None:
        seen.add(id(self))
        for module in self.children():
            if id(module) not in seen:
                module._apply(function, seen)
        function(self)

    # -- hooks -------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, with_kwargs: bool = False
    ) -> HookHandle:
        """Call ``hook(module, args)`` before each forward; what it returns replaces `args`.

        A compiled function runs the hooks when it traces; a hook added or removed later makes
        it trace again.

        Parameters
        ----------
        hook : callable
            Gives None, a tuple of arguments, or the single one.
        with_kwargs : bool
            Call ``hook(module, args, kwargs)``, which gives None or both.

        Returns
        -------
        HookHandle
            Its `remove` takes the hook away.

        Examples
        --------
        >>> layer = dt.nn.ReLU()
        >>> handle = layer.register_forward_pre_hook(lambda module, args: -args[0])
        >>> layer(dt.tensor([-2.0, 3.0]))
        tensor([2., 0.])
        """
        return self._register(hook, True, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, with_kwargs: bool = False
    ) -> HookHandle:
        """Call ``hook(module, args, output)`` after each forward; what it returns replaces it.

        Parameters
        ----------
        hook : callable
            Gives None or another output.
        with_kwargs : bool
            Call ``hook(module, args, kwargs, output)``.

        Returns
        -------
        HookHandle
            Its `remove` takes the hook away.

        Examples
        --------
        >>> layer, shapes = dt.nn.Linear(3, 2), []
        >>> handle = layer.register_forward_hook(lambda module, args, y: shapes.append(y.shape))
        >>> _ = layer(dt.ones((5, 3)))
        >>> handle.remove()
        >>> shapes
        [(5, 2)]
        """
        return self._register(hook, False, with_kwargs)

    def _register(self, function: Any, before: bool, with_kwargs: bool) -> HookHandle:
        if not callable(function):
            raise DTypeError(f"hook: must be callable, got {type(function).__name__}")
        hook = Hook(function, before, with_kwargs)
        self.__dict__["_hooks"] = (*self._hooks, hook)
        return HookHandle(self, hook)

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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            held = parameter.grad
            if held is not None:
                zeros = held.device.xp.zeros(held.shape, held.dtype)
                parameter.grad = None if set_to_none else held.style.constant(zeros)

    def to(self, device: Any = None, dtype: Any = None) -> Module:
        """Move all parameters and storages to a device, or give them another float dtype.

        They change in place, so an optimiser keeps its parameters; gradients are forgotten, and
        compiled functions trace again. Storages of whole numbers keep their dtype.

        Parameters
        ----------
        device : Device or str, optional
            A dtype object may stand here, too.
        dtype : float dtype, optional

        Raises
        ------
        DeviceError
            When the device is unknown or not here. Nothing has changed then.
        DTypeError
            When the dtype is no float. Nothing has changed then.

        Examples
        --------
        >>> dt.nn.Linear(2, 1).to(dt.float64).weight.dtype
        dtype('float64')
        """
        if isinstance(device, np.dtype | type):
            device, dtype = None, device
        target = None if device is None else Device.of(device)
        wanted = None if dtype is None else as_dtype(dtype)
        if wanted is not None and not is_float(wanted):
            raise DTypeError(f"to: dtype must be a float, got {wanted}")
        held = [*self.parameters(), *(storage for _, storage in self.named_storages())]
        if target is not None:
            target.xp  # noqa: B018 - raises before anything moves
            for each in held:
                each.move(target)
        if wanted is not None:
            for each in held:
                _cast(each, wanted)
            for module in self.modules():
                module.__dict__.update({table: dict(getattr(module, table)) for table in TABLES})
        return self

    def half(self) -> Module:
        """Give all parameters and storages of floats the dtype float16; see `to`."""
        return self.to(dtype="float16")

    def bfloat16(self) -> Module:
        """Give all parameters and storages of floats the dtype bfloat16; see `to`."""
        return self.to(dtype="bfloat16")

    def float(self) -> Module:
        """Give all parameters and storages of floats the dtype float32; see `to`."""
        return self.to(dtype="float32")

    def double(self) -> Module:
        """Give all parameters and storages of floats the dtype float64; see `to`."""
        return self.to(dtype="float64")

    # -- state -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and persistent storages as NumPy arrays, by dotted name."""
        return {name: storage.numpy().copy() for name, storage in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Write numbers into all parameters and persistent storages, in place.

        Parameters
        ----------
        state : mapping
            From dotted names to arrays of the right shape.
        strict : bool
            Take exactly the names that `state_dict` gives. Otherwise missing names keep their
            numbers, and unexpected ones are left out.

        Returns
        -------
        LoadedKeys
            Named tuple of `missing_keys` and `unexpected_keys`, lists of str.

        Raises
        ------
        UnknownNameError
            When `strict` and names are missing or unexpected.
        ShapeError, DTypeError
            When arrays do not fit. Whichever is raised lists all that is wrong, and nothing is
            written then.

        Examples
        --------
        >>> layer = dt.nn.Linear(2, 1)
        >>> layer.load_state_dict({"weight": [[1.0, 2.0]], "scale": [1.0]}, strict=False)
        LoadedKeys(missing_keys=['bias'], unexpected_keys=['scale'])
        """
        return load_state(self._state(), state, strict)

    def _state(self) -> dict[str, Storage]:
        found = {name: p.storage for name, p in self.named_parameters()}
        for name, storage in self.named_storages():
            where, _, attribute = name.rpartition(".")
            if attribute not in self.get_submodule(where)._transient:
                found[name] = storage
        return found

    def __copy__(self) -> Module:
        # Tables are replaced and never changed, so the copy may hold the very ones.
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Module:
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise DTypeError(
            "pickle: a module is saved by its state_dict and made anew by its own code, got "
            f"{type(self).__name__}"
        )

    # -- text --------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of a module without children."""
        return ""

    def __repr__(self) -> str:
        name = type(self).__name__
        children = list(self.named_children())
        if not children:
            return f"{name}({self.extra_repr()})"
        lines = [f"  ({k}): " + repr(m).replace("\n", "\n  ") for k, m in children]
        return "\n".join([f"{name}(", *lines, ")"])


def _cast(held: Any, dtype: np.dtype) -> None:
    """Give a parameter or a storage another float dtype, in place."""
    storage: Storage = held.storage
    if not is_float(storage.dtype):
        return
    storage.array = storage.array.astype(dtype)
    note_move()
    storage.version += 1
    if held is not storage:
        held.array, held.grad = storage.array, None
