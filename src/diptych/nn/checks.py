"""Checks of the numbers that layers are made with."""

from __future__ import annotations

from typing import Any

from ..graphs.errors import ArgumentError


def check_sizes(where: str, **sizes: Any) -> None:
    """Raises ArgumentError unless every size is a whole number of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ArgumentError(f"{where}: {name} must be a whole number above 0, got {size!r}")
