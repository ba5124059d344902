"""Nested containers of operands: lists, tuples, named tuples and dicts, taken apart and rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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
    kind, keys, children = structure
    parts = [tree[key] for key in keys] if kind is dict else tree
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
    if kind is dict:
        return f"a dict of {', '.join(sorted(map(repr, keys))) or 'nothing'}"
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
    leaves.append(tree)
    return None


def _build(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is None:
        return next(leaves)
    kind, keys, children = structure
    built = [_build(child, leaves) for child in children]
    return dict(zip(keys, built)) if kind is dict else kind(built)
