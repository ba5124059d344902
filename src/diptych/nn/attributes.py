"""Attributes of modules: parameters, storages and modules live in tables that traces watch."""

from __future__ import annotations

from typing import Any

from ..graphs.errors import ArgumentError, DTypeError
from ..graphs.guards import note_read
from ..graphs.parameter import Parameter
from ..graphs.storage import Storage

PARAMETERS, STORAGES, MODULES = TABLES = ("_parameters", "_storages", "_modules")
_OWN = frozenset({*TABLES, "_transient", "_hooks", "_training"})
_KINDS = {
    PARAMETERS: ("Parameter", "; to write numbers use {name}.storage.write(numbers)"),
    STORAGES: ("Storage", "; to write numbers use {name}.write(numbers)"),
    MODULES: ("Module", ""),
}


class Attributes:
    """The base of `Module` that holds what is assigned to its attributes.

    A table is replaced and never changed, so a trace that read one notices by its identity.
    """

    def __init__(self) -> None:
        self.__dict__.update(_parameters={}, _storages={}, _modules={}, _transient=frozenset())

    def __setattr__(self, name: str, value: Any) -> None:
        if PARAMETERS not in self.__dict__:
            raise DTypeError(
                f"{type(self).__name__}: super().__init__() must run before attributes are "
                f"assigned, got {name!r}"
            )
        if name in _OWN:
            raise ArgumentError(
                f"{type(self).__name__}: a name must be none that every module uses, got {name!r}"
            )
        table = _table_of(value)
        self._check_kept(name, value, table)
        known = _class_attribute(type(self), name)
        if known is not None and table is not None and not hasattr(known[0], "__set__"):
            raise ArgumentError(
                f"{type(self).__name__}: a name must be no attribute of the class, got {name!r}"
            )
        # A missing parameter has its place among the others, where a trace notes that it read it.
        if known is None and (table is not None or value is None):
            self._place(table or PARAMETERS, name, value)
        else:
            self._drop(name)
            object.__setattr__(self, name, value)

    def _check_kept(self, name: str, value: Any, table: str | None) -> None:
        """Raises DTypeError when an assignment would lose what is trained or saved."""
        for held, (kind, remedy) in _KINDS.items():
            plain = value is not None and table is None
            other = held is PARAMETERS and table not in (None, PARAMETERS)
            if self.__dict__[held].get(name) is not None and (plain or other):
                raise DTypeError(
                    f"{type(self).__name__}: {kind.lower()} {name!r} must stay a {kind} or become "
                    f"None, got {type(value).__name__}{remedy.format(name=name)}"
                )

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        for table in TABLES:
            if name in state.get(table, ()):
                return note_read(state, table)[name]
        raise AttributeError(f"{type(self).__name__}: has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        if not self._drop(name):
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = (name for table in TABLES for name in self.__dict__[table])
        return sorted({*super().__dir__(), *names})

    def _place(self, table: str, name: str, value: Any) -> None:
        """Hold a value under a name."""
        held = self.__dict__[table]
        if name not in held:
            self._drop(name)
            self.__dict__.pop(name, None)
        self.__dict__[table] = {**held, name: value}
        label(name, value)

    def _drop(self, name: str) -> bool:
        """Forget what a table holds under a name; whether one did."""
        found = [table for table in TABLES if name in self.__dict__[table]]
        for table in found:
            self.__dict__[table] = {k: v for k, v in self.__dict__[table].items() if k != name}
        if name in self._transient:
            self.__dict__["_transient"] = self._transient - {name}
        return bool(found)

    def add_module(self, name: str, module: Any) -> None:
        """Hold a module under a name that need not be known when the code is written.

        Parameters
        ----------
        name : str
            Of the attribute: not empty and without a dot.
        module : Module, a compiled module, or None

        Raises
        ------
        ArgumentError
            When the name is empty, has a dot, or is an attribute of the class.
        DTypeError
            When it is no module.

        Examples
        --------
        >>> net = dt.nn.Module()
        >>> net.add_module("head", dt.nn.Linear(2, 1))
        >>> net.head
        Linear(2, 1, bias=True)
        """
        check_name("add_module", name)
        if module is not None and module_of(module) is None:
            raise DTypeError(f"add_module: must be a Module or None, got {type(module).__name__}")
        setattr(self, name, module)

    def register_parameter(self, name: str, parameter: Any) -> None:
        """Hold a parameter, or None where there is none, under a name; see `add_module`.

        Raises
        ------
        ArgumentError
            When the name is empty, has a dot, or is an attribute of the class.
        DTypeError
            When it is no parameter.
        """
        check_name("register_parameter", name)
        if parameter is not None and not isinstance(parameter, Parameter):
            raise DTypeError(
                f"register_parameter: must be a Parameter or None, got {type(parameter).__name__}"
            )
        setattr(self, name, parameter)

    def register_buffer(self, name: str, data: Any, persistent: bool = True) -> None:
        """Hold numbers that are used but not trained, as a `Storage`.

        Parameters
        ----------
        name : str
            Of the attribute.
        data : array, Tensor or nested lists of numbers
        persistent : bool
            Whether `state_dict` has them.

        Raises
        ------
        ArgumentError
            When the name is empty, has a dot, or is an attribute of the class.

        Examples
        --------
        >>> net = dt.nn.Module()
        >>> net.register_buffer("mean", [0.5])
        >>> net.register_buffer("mask", [1.0], persistent=False)
        >>> list(net.state_dict())
        ['mean']
        """
        check_name("register_buffer", name)
        setattr(self, name, Storage(data, name))
        others = self._transient - {name}
        self.__dict__["_transient"] = others if persistent else others | {name}


def module_of(held: Any) -> Any:
    """The module that an attribute is, or that a compiled function calls; None for others."""
    inner = held if isinstance(held, Attributes) else getattr(held, "function", None)
    return inner if isinstance(inner, Attributes) else None


def _class_attribute(cls: type, name: str) -> tuple[Any] | None:
    """What a class or a base of it holds under a name, which wins over a table."""
    return next(((c.__dict__[name],) for c in cls.__mro__ if name in c.__dict__), None)


def check_name(where: str, name: Any) -> None:
    """Raises ArgumentError unless a name can stand between the dots of a path."""
    if not isinstance(name, str) or not name or "." in name:
        raise ArgumentError(f"{where}: a name must be a string without dots, got {name!r}")


def _table_of(value: Any) -> str | None:
    if isinstance(value, Parameter):
        return PARAMETERS
    if isinstance(value, Storage):
        return STORAGES
    return None if module_of(value) is None else MODULES


def label(name: str, value: Any) -> None:
    """Name what an attribute holds by its path, unless another owner has named it."""
    module = module_of(value)
    if module is not None:
        for path, storage in module._state().items():
            if storage.name == path:
                storage.name = f"{name}.{path}"
    elif value is not None:
        value.storage.name = value.storage.name or name
