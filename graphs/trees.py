"""Nested containers of operands: lists, tuples, named tuples and dicts, taken apart and rebuilt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
