"""Numbers of a result: read with tolerance, written with a unit that suits them."""

from __future__ import annotations

import html
import math
import re
from typing import Any

Row = dict[str, Any]

NONE = "–"
SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
BYTES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def number(value: Any) -> float | None:
    """A finite number, or None for whatever else stands there."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def numbers(values: Any) -> list[float]:
    """A list of numbers; what is not finite becomes NaN, so that places keep."""
    if not isinstance(values, list | tuple):
        return []
    read = [number(v) for v in values]
    return [math.nan if v is None else v for v in read]


def interval(found: Any) -> tuple[float, float | None, float | None] | None:
    """Median, low and high."""
    if not isinstance(found, dict):
        return None
    middle = number(found.get("median"))
    return None if middle is None else (middle, number(found.get("low")), number(found.get("high")))


def steady_step(row: Row) -> float | None:
    """Seconds of a row's steady step; None for a skipped row."""
    found = None if row.get("skipped") else interval(row.get("step_s"))
    return found[0] if found and found[0] > 0 else None


def start_cost(row: Row) -> float:
    """Seconds until the first step is done, building and compiling among them."""
    return sum(number(row.get(k)) or 0.0 for k in ("build_s", "compile_s", "first_step_s"))


def rows_of(result: Row) -> list[Row]:
    """The rows of a result."""
    rows = result.get("rows")
    return [r for r in rows if isinstance(r, dict)] if isinstance(rows, list | tuple) else []


def break_evens(result: Row) -> dict[str, Row]:
    """What is known of each mode's break-even."""
    found = result.get("break_even_steps")
    if not isinstance(found, dict):
        return {}
    return {
        str(mode): known if isinstance(known, dict) else {"steps": known}
        for mode, known in found.items()
    }


def unit_of(largest: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    """The unit, as factor and name, in which a number is at least 1."""
    return next((unit for unit in units if abs(largest) >= unit[0]), units[-1])


def seconds(value: Any) -> str:
    """A duration, such as ``1.20 ms``."""
    return _with_unit(value, SECONDS)


def size(value: Any) -> str:
    """A number of bytes, such as ``1.20 MiB``."""
    return _with_unit(value, BYTES)


def seconds_between(low: float, high: float) -> str:
    """An interval of durations in one unit, such as ``291–312 µs``."""
    factor, unit = unit_of(high, SECONDS)
    return f"{_three_digits(low / factor)}–{_three_digits(high / factor)} {unit}"


def count(value: Any) -> str:
    """A whole number with thin spaces between thousands."""
    known = number(value)
    return NONE if known is None else f"{known:,.0f}".replace(",", "\u202f")


def formatted(value: Any, form: str) -> str:
    """A number in a format, or a dash."""
    known = number(value)
    return NONE if known is None else form.format(known)


def text(value: Any) -> str:
    """Anything as text that is safe within HTML and XML, also within quotes."""
    return html.escape(clean(str(value)))


def clean(value: str) -> str:
    """Without the characters that XML cannot write, not even escaped."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", value)


def _with_unit(value: Any, units: tuple[tuple[float, str], ...]) -> str:
    known = number(value)
    if known is None:
        return NONE
    if known == 0:
        return "0"
    # What rounds up to the next unit is written in it.
    factor, unit = unit_of(known * 1.0005, units)
    return f"{_three_digits(known / factor)} {unit}"


def _three_digits(value: float) -> str:
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, 3 - whole)}f}"
