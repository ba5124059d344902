"""Checks of hyperparameters: each a number, within its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from ..graphs.errors import ArgumentError


def require(
    name: str, value: Any, rule: str, holds: Callable[[float], bool], where: str = "optimizer"
) -> None:
    """Check that a hyperparameter is a finite number that keeps its rule.

    Raises
    ------
    ArgumentError
        ``where: name must be rule, got value``.
    """
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not holds(float(value)):
        rule = rule if number or not isinstance(value, float) else f"finite and {rule}"
        raise ArgumentError(f"{where}: {name} must be {rule}, got {value!r}")


def require_at_least_0(name: str, value: Any, where: str = "optimizer") -> None:
    """Check that a hyperparameter is a finite number from 0 up; see `require`."""
    require(name, value, "at least 0", lambda v: v >= 0, where)


def require_whole(name: str, value: Any, least: int, where: str = "optimizer") -> None:
    """Check that a hyperparameter is a whole number, and large enough.

    Raises
    ------
    ArgumentError
        ``where: name must be a whole number, at least least, got value``.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ArgumentError(
            f"{where}: {name} must be a whole number, at least {least}, got {value!r}"
        )


def require_flag(name: str, value: Any, where: str = "optimizer") -> None:
    """Check that a hyperparameter is True or False.

    Raises
    ------
    ArgumentError
        ``where: name must be True or False, got value``.
    """
    if not isinstance(value, bool):
        raise ArgumentError(f"{where}: {name} must be True or False, got {value!r}")
