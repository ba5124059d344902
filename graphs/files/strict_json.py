"""JSON as files hold it: bounded in depth, without duplicate names, NaN or lone surrogates."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ..errors import FileError

# Python's reader recurses, so a text is measured before it is read.
MOST_DEPTH = 80
_MOST_DIGITS = 20
_MOST_SHOWN = 200
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_DEPTH = {"[": 1, "{": 1, "]": -1, "}": -1}


def dump(value: Any) -> str:
    """A value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parse(text: str, what: str) -> Any:
    """Read JSON.

    Parameters
    ----------
    text : str
    what : str
        The text's name in errors.

    Raises
    ------
    FileError
        When it is no JSON, nests too deep, names a member twice, or holds numbers or strings that
        no exact reader gives back.
    """
    depth = _depth(text)
    if depth > MOST_DEPTH:
        raise FileError(f"{what}: must nest at most {MOST_DEPTH} deep, got {depth}")
    try:
        return json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_number,
        )
    except FileError as error:
        raise FileError(f"{what}: {error}") from None
    except ValueError as error:
        raise FileError(f"{what}: must be JSON, got {error}") from None


def brief(value: Any) -> str:
    """A value as errors print it: a file can hold one that fills the screen."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def is_text(value: Any) -> bool:
    """Whether a value is a string that UTF-8 can write."""
    if type(value) is not str:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(text: str) -> int:
    """How deep brackets nest outside strings; of malformed text, an estimate."""
    deepest = level = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        level += _DEPTH[bracket]
        deepest = max(deepest, level)
    return deepest


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise FileError(f"names must differ, got {brief(name)} twice")
        if not is_text(name) or (type(value) is str and not is_text(value)):
            raise FileError(f"strings must be Unicode text, got {brief(value)}")
        members[name] = value
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise FileError(
            f"whole numbers must have at most {_MOST_DIGITS} digits, got {brief(digits)}"
        )
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise FileError(f"numbers must be finite, got {brief(digits)}")
    return number
