"""Feeds: what a run is given, checked against the placeholders before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from .avals import show
from .devices import device_of
from .dims import Dim
from .errors import DTypeError, FeedError, ShapeError
from .ir import Value
from .ops.plain import array_of


def bind_feeds(
    needed: Collection[str],
    symbols: Collection[str],
    feeds: Mapping[Any, Any],
    declared: Mapping[str, Value],
) -> tuple[list[Any], dict[str, int]]:
    """Arrays in the order of the placeholders, and the size of every symbolic dimension.

    Parameters
    ----------
    needed, symbols : collection of str
        Names of the placeholders and of the dimensions of what runs, after pruning.
    feeds : mapping
        From placeholders or their names to arrays, tensors or nested lists.
    declared : mapping
        The placeholders before pruning, by name. The feeds of those that were pruned are optional,
        unless a dimension is found in no other.

    Raises
    ------
    FeedError
        When a placeholder is not fed, or a feed is for none.
    ShapeError, DTypeError
        When a feed does not fit its placeholder, or two disagree about a dimension.
    """
    if not isinstance(feeds, Mapping):
        raise FeedError(f"feed: must map placeholders to arrays, got {type(feeds).__name__}")
    by_name = {_name(declared, key): data for key, data in feeds.items()}
    missing = [name for name in needed if name not in by_name]
    if missing:
        raise FeedError(
            f"feed: every placeholder must be fed, got none for {', '.join(map(repr, missing))}"
        )
    arrays: dict[str, Any] = {}
    binding: dict[str, int] = {}
    source: dict[str, str] = {}
    for name, value in declared.items():
        if name in by_name:
            arrays[name] = _array(name, by_name[name], value)
            _match(name, value, arrays[name], binding, source)
    unknown = [name for name in symbols if name not in binding]
    if unknown:
        raise FeedError(
            "feed: every dimension must be known, got none for "
            f"{', '.join(map(repr, unknown))}; feed a placeholder that has it"
        )
    return [arrays[name] for name in needed], {s: binding[s] for s in symbols}


def _name(declared: Mapping[str, Value], key: Any) -> str:
    name = key.node.attrs.get("name") if isinstance(key, Value) else key
    held = declared.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or held is None or (isinstance(key, Value) and held is not key):
        names = ", ".join(map(repr, declared)) or "none"
        raise FeedError(f"feed: keys must be placeholders of the graph ({names}), got {key!r}")
    return name


def _array(name: str, data: Any, value: Value) -> Any:
    data = getattr(data, "array", data)
    if isinstance(data, np.ndarray):
        return np.asarray(data)
    if not hasattr(data, "strides"):
        data = array_of(data, f"feed {name!r}")
        # Numbers written in Python have no width, and whole ones are floats, too.
        if np.can_cast(data.dtype, value.dtype, "same_kind"):
            data = data.astype(value.dtype)
    return data


def _match(
    name: str, value: Value, array: Any, binding: dict[str, int], source: dict[str, str]
) -> None:
    expected = f"feed {name!r}: must be {value.aval}, got {array.dtype}{list(array.shape)}"
    if array.dtype != value.dtype:
        raise DTypeError(f"{expected}; cast it with .astype({str(value.dtype)!r})")
    if device_of(array).kind != value.device.kind:
        raise FeedError(f"{expected} on {device_of(array)}")
    if len(array.shape) != len(value.shape):
        raise ShapeError(expected)
    for dim, size in zip(value.shape, array.shape):
        if not isinstance(dim, Dim):
            if dim != size:
                raise ShapeError(expected)
            continue
        [symbol] = dim.symbols
        if binding.setdefault(symbol, size) != size:
            raise ShapeError(
                f"feed {name!r}: dimension {symbol!r} must be one size, got {size} here and "
                f"{binding[symbol]} in {source[symbol]!r}, shape {show(array.shape)}"
            )
        source.setdefault(symbol, name)
