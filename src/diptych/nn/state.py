"""Loading of saved numbers: everything that does not fit is said at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..graphs.errors import DiptychError, DTypeError, ShapeError, UnknownNameError
from ..graphs.storage import Storage


class LoadedKeys(NamedTuple):
    """Names that a module has and the state had not, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_state(own: Mapping[str, Storage], state: Mapping[str, Any], strict: bool) -> LoadedKeys:
    """Write arrays into storages by name, unless anything does not fit.

    Raises
    ------
    UnknownNameError
        When `strict` and names are missing or unexpected.
    ShapeError, DTypeError
        When an array does not fit its storage.
    """
    keys = LoadedKeys([n for n in own if n not in state], [n for n in state if n not in own])
    problems: list[DiptychError] = []
    if strict and any(keys):
        missing, unexpected = keys
        problems.append(
            UnknownNameError(f"names must match, got missing {missing}, unexpected {unexpected}")
        )
    given: dict[str, Any] = {}
    for name, storage in own.items():
        if name not in keys.missing_keys:
            try:
                given[name] = Storage(state[name]).array
                storage.check(given[name].shape, given[name].dtype)
            except (ShapeError, DTypeError) as error:
                problems.append(type(error)(f"{name!r}: {error}"))
    if problems:
        raise type(problems[0])("load_state_dict: " + "; ".join(map(str, problems)))
    for name, array in given.items():
        own[name].write(array)
    return keys
