"""Containers: modules and parameters held in lists and dicts."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, MutableSequence
from typing import Any

from ..graphs.avals import show
from ..graphs.errors import DTypeError, RangeError, unknown
from ..graphs.guards import note_read
from ..graphs.parameter import Parameter
from .attributes import MODULES, PARAMETERS, check_name, label, module_of
from .module import Module

# A name of the user's own, or none for an item that goes by its position; and the item.
Entry = tuple[str | None, Any]


class _Container(Module):
    """Modules, or parameters, in one table."""

    _table = MODULES

    def _held(self) -> dict[str, Any]:
        return note_read(self.__dict__, self._table)

    def _hold(self, items: dict[str, Any]) -> None:
        """Replace everything that is held."""
        known = set(map(id, self._held().values()))
        for item in items.values():
            self._check(item)
        self.__dict__[self._table] = items
        for name, item in items.items():
            if id(item) not in known:
                label(name, item)

    def _check(self, item: Any) -> None:
        modules = self._table is MODULES
        if not (module_of(item) is not None if modules else isinstance(item, Parameter)):
            raise DTypeError(
                f"{type(self).__name__}: takes {'modules' if modules else 'parameters'}, got "
                f"{type(item).__name__}"
            )

    def __len__(self) -> int:
        return len(self._held())

    def extra_repr(self) -> str:
        return ", ".join(f"{name}: {show(p.shape)}" for name, p in self._parameters.items())

    # A container is a module like any other: itself, whatever it holds.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


class _Sequence(_Container, MutableSequence):
    """A list whose items have their positions as names, unless they have names of their own."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        if isinstance(items, Mapping) or not isinstance(items, Iterable):
            raise DTypeError(f"{type(self).__name__}: takes a list, got {type(items).__name__}")
        self._fill([(None, item) for item in items])

    @abstractmethod
    def _empty(self) -> _Sequence:
        """What a slice is put in."""

    def _entries(self) -> list[Entry]:
        return [(None if name.isdigit() else name, item) for name, item in self._held().items()]

    def _fill(self, entries: list[Entry]) -> None:
        self._hold({name or str(position): item for position, (name, item) in enumerate(entries)})

    def _at(self, position: Any) -> int:
        count, index = len(self), operator.index(position)
        if not -count <= index < count:
            raise RangeError(
                f"{type(self).__name__}: position must be within a list of {count}, got {index}"
            )
        return index % count

    def __getitem__(self, position: Any) -> Any:
        entries = self._entries()
        if not isinstance(position, slice):
            return entries[self._at(position)][1]
        part = self._empty()
        part._fill(entries[position])
        return part

    def __setitem__(self, position: Any, value: Any) -> None:
        entries = self._entries()
        if isinstance(position, slice):
            entries[position] = [(None, item) for item in value]
        else:
            index = self._at(position)
            entries[index] = (entries[index][0], value)
        self._fill(entries)

    def __delitem__(self, position: Any) -> None:
        entries = self._entries()
        del entries[position if isinstance(position, slice) else self._at(position)]
        self._fill(entries)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._held().values())

    def insert(self, position: int, item: Any) -> None:
        """Put an item before the one at a position; those behind it move on."""
        entries = self._entries()
        entries.insert(position, (None, item))
        self._fill(entries)


class ModuleList(_Sequence):
    """A list of modules, which belong to the tree under their positions as names.

    Parameters
    ----------
    items : iterable of Module

    Raises
    ------
    DTypeError
        When something else is among them.
    RangeError
        When a position is out of range.

    Examples
    --------
    >>> layers = dt.nn.ModuleList([dt.nn.Linear(2, 2) for _ in range(3)])
    >>> layers.append(dt.nn.Tanh())
    >>> len(layers), [name for name, _ in layers.named_parameters()][:2]
    (4, ['0.weight', '0.bias'])
    """

    def _empty(self) -> ModuleList:
        return ModuleList()


class ParameterList(_Sequence):
    """A list of parameters, which belong to the tree under their positions as names.

    Parameters
    ----------
    items : iterable of Parameter

    Raises
    ------
    DTypeError
        When something else is among them.
    RangeError
        When a position is out of range.

    Examples
    --------
    >>> scales = dt.nn.ParameterList([dt.nn.Parameter([1.0]), dt.nn.Parameter([2.0])])
    >>> scales[-1].item()
    2.0
    """

    _table = PARAMETERS

    def _empty(self) -> ParameterList:
        return ParameterList()


class Sequential(_Sequence):
    """Modules one after another; a list of them, too.

    Parameters
    ----------
    *modules : Module, or one mapping from names to modules
        A module with a name of its own keeps it when others are inserted or taken out.

    Raises
    ------
    DTypeError
        When something else is among the modules.
    ArgumentError
        When a name is empty or has a dot.
    RangeError
        When a position is out of range.

    Examples
    --------
    >>> model = dt.nn.Sequential(dt.nn.Linear(3, 4), dt.nn.ReLU(), dt.nn.Linear(4, 2))
    >>> model(dt.ones((5, 3))).shape
    (5, 2)
    >>> model[:2](dt.ones((5, 3))).shape
    (5, 4)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name in modules[0]:
                check_name("Sequential", name)
            self._hold(dict(modules[0]))
        else:
            self._fill([(None, module) for module in modules])

    def _empty(self) -> Sequential:
        return Sequential()

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


class _Dict(_Container):
    """Items under names, in order of insertion."""

    def __init__(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        self.update(items)

    def __getitem__(self, name: str) -> Any:
        held = self._held()
        if name not in held:
            raise unknown(type(self).__name__, name, held)
        return held[name]

    def __setitem__(self, name: str, item: Any) -> None:
        self.update({name: item})

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __contains__(self, name: object) -> bool:
        return name in self._held()

    def keys(self) -> Any:
        """The names."""
        return self._held().keys()

    def values(self) -> Any:
        """What is held."""
        return self._held().values()

    def items(self) -> Any:
        """Names with what they name."""
        return self._held().items()

    def get(self, name: str, default: Any = None) -> Any:
        """What is held under a name, `default` if nothing is."""
        return self._held().get(name, default)

    def update(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Hold more items; what has a name already is replaced."""
        given = dict(items)
        for name in given:
            check_name(type(self).__name__, name)
        self._hold({**self._held(), **given})

    def pop(self, name: str) -> Any:
        """Take an item out and give it.

        Raises
        ------
        UnknownNameError
            When there is none of this name.
        """
        item = self[name]
        self._hold({key: value for key, value in self._held().items() if key != name})
        return item

    def clear(self) -> None:
        """Take everything out."""
        self._hold({})


class ModuleDict(_Dict):
    """Modules under names, in order of insertion, which belong to the tree.

    Parameters
    ----------
    items : mapping, or iterable of pairs, from names to modules

    Raises
    ------
    DTypeError
        When something else is among the modules.
    ArgumentError
        When a name is empty or has a dot.
    UnknownNameError
        When nothing has the name that is asked for.

    Examples
    --------
    >>> heads = dt.nn.ModuleDict({"class": dt.nn.Linear(4, 10), "box": dt.nn.Linear(4, 2)})
    >>> heads["box"](dt.ones((3, 4))).shape
    (3, 2)
    """


class ParameterDict(_Dict):
    """Parameters under names, in order of insertion, which belong to the tree.

    Parameters
    ----------
    items : mapping, or iterable of pairs, from names to parameters

    Raises
    ------
    DTypeError
        When something else is among the parameters.
    ArgumentError
        When a name is empty or has a dot.
    UnknownNameError
        When nothing has the name that is asked for.

    Examples
    --------
    >>> scales = dt.nn.ParameterDict({"left": dt.nn.Parameter([1.0])})
    >>> scales["right"] = dt.nn.Parameter([2.0])
    >>> list(scales)
    ['left', 'right']
    """

    _table = PARAMETERS
