"""Nested containers of operands, taken apart and rebuilt: lists, tuples, named tuples, dicts and
dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from .errors import ArgumentError

Structure = Any


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves from left to right, and a hashable structure that `unflatten` takes.

    Examples
    --------
    >>> leaves, structure = flatten({"a": 1, "b": [2, (3,)]})
    >>> leaves
    [1, 2, 3]
    >>> unflatten(structure, leaves)
    {'a': 1, 'b': [2, (3,)]}
    """
    leaves: list[Any] = []
    return leaves, _structure(tree, leaves)


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """The containers of `structure` with other leaves."""
    return _build(structure, iter(leaves))


def builder(structure: Structure) -> Callable[[list[Any]], Any]:
    """A function that does what `unflatten` does, written out once for many calls.

    Examples
    --------
    >>> build = builder(flatten({"a": 1, "b": [2, (3,)]})[1])
    >>> build([10, 20, 30])
    {'a': 10, 'b': [20, (30,)]}
    """
    names: dict[str, Any] = {}
    count = iter(range(_size(structure)))

    def text(structure: Structure) -> str:
        if structure is None:
            return f"leaves[{next(count)}]"
        kind, keys, children = structure
        parts = [text(child) for child in children]
        if kind is list:
            return f"[{', '.join(parts)}]"
        if kind is dict:
            for key in keys:
                names[f"key{len(names)}"] = key
            first = len(names) - len(keys)
            return "{" + ", ".join(f"key{first + i}: {p}" for i, p in enumerate(parts)) + "}"
        made = "(" + "".join(f"{part}, " for part in parts) + ")"
        if kind is tuple:
            return made
        name = f"key{len(names)}"
        names[name] = kind
        return f"{name}({made})"

    found: Callable[[list[Any]], Any] = eval(f"lambda leaves: {text(structure)}", names)
    return found


def matched(
    structure: Structure,
    tree: Any,
    rule: str,
    error: type[Exception] = ArgumentError,
    stands_for_all: Callable[[Any], bool] = lambda leaf: False,
) -> list[Any]:
    """The leaves of a tree in the order of another's structure: of dicts by key.

    Parameters
    ----------
    structure
        From `flatten`.
    tree : containers of leaves
        Lists, tuples and named tuples may stand for each other.
    rule : str
        What an error says before it tells the difference.
    error : exception type
    stands_for_all : callable
        Which leaves of `tree` may stand in place of a container, for every leaf within it.

    Raises
    ------
    error
        When the containers differ.

    Examples
    --------
    >>> _, structure = flatten({"a": 1, "b": (2, 3)})
    >>> matched(structure, {"b": [20, 30], "a": 10}, "example: containers must match")
    [10, 20, 30]
    """
    if structure is not None and stands_for_all(tree):
        return [tree] * _size(structure)
    difference = _difference(structure, tree)
    if difference:
        raise error(f"{rule}, got {difference}")
    if structure is None:
        return [tree]
    _, keys, children = structure
    parts = tree if keys is None else _parts(tree, keys)
    return [
        leaf
        for child, part in zip(children, parts)
        for leaf in matched(child, part, rule, error, stands_for_all)
    ]


def _difference(structure: Structure, tree: Any) -> str:
    """How the outermost container of a tree differs from that of a structure."""
    _, found = flatten(tree)
    shown = [_show(s) for s in (found, structure)]
    return "" if shown[0] == shown[1] else " in place of ".join(shown)


def _show(structure: Structure) -> str:
    if structure is None:
        return "a leaf"
    kind, keys, children = structure
    if keys is not None:
        what = "dict" if kind is dict else kind.type.__name__
        return f"a {what} of {', '.join(sorted(map(repr, keys))) or 'nothing'}"
    return f"a sequence of {len(children)}"


def _size(structure: Structure) -> int:
    return 1 if structure is None else sum(map(_size, structure[2]))


def _structure(tree: Any, leaves: list[Any]) -> Structure:
    if type(tree) is dict:
        return (dict, tuple(tree), tuple(_structure(v, leaves) for v in tree.values()))
    if type(tree) in (list, tuple):
        return (type(tree), None, tuple(_structure(v, leaves) for v in tree))
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        kind: Any = type(tree)
        return (kind._make, None, tuple(_structure(v, leaves) for v in tree))
    if is_dataclass(tree) and not (isinstance(tree, type) or callable(tree) or _is_operand(tree)):
        names = tuple([field.name for field in fields(tree)])
        held: list[Any] = []
        parts = tuple([_structure(getattr(tree, name), held) for name in names])
        if any(map(_is_operand, held)):  # one of numbers alone is a number, too
            leaves += held
            return (_Rebuild(type(tree), names), names, parts)
    leaves.append(tree)
    return None


def _is_operand(leaf: Any) -> bool:
    return hasattr(leaf, "shape") and not isinstance(leaf, np.dtype)


@dataclass(frozen=True)
class _Rebuild:
    """Makes a dataclass of its fields, without what its own initialisation does beside."""

    type: type
    names: tuple[str, ...]

    def __call__(self, parts: Iterable[Any]) -> Any:
        made: Any = object.__new__(self.type)
        for name, part in zip(self.names, parts):
            object.__setattr__(made, name, part)
        return made


def _parts(tree: Any, keys: tuple[Any, ...]) -> list[Any]:
    return [tree[k] if isinstance(tree, dict) else getattr(tree, k) for k in keys]


def _build(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is None:
        return next(leaves)
    kind, keys, children = structure
    built = [_build(child, leaves) for child in children]
    return dict(zip(keys, built)) if kind is dict else kind(built)
