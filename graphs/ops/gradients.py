"""Gradient rules of a general kind: all operands at once, and none at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .creation import zeros

Rule = Callable[..., tuple[Any, ...]]


def once(rule: Rule) -> Rule:
    """The rule, run for the first operand alone: the context keeps what it gave for the others."""

    @wraps(rule)
    def shared(c: Any, *cotangents: Any) -> tuple[Any, ...]:
        kept = c.__dict__
        if rule.__name__ not in kept:
            kept[rule.__name__] = rule(c, *cotangents)
        return kept[rule.__name__]

    return shared


def each(rule: Rule, count: int) -> tuple[Callable[..., Any], ...]:
    """One rule per operand, from a rule that gives the gradients of all."""
    shared = once(rule)
    return tuple(_nth(shared, position) for position in range(count))


def _nth(rule: Rule, position: int) -> Callable[..., Any]:
    return lambda c, *cotangents: rule(c, *cotangents)[position]


def flat(position: int) -> Callable[..., Any]:
    """The rule of an operand at whose place the result is constant: zeros."""

    def rule(c: Any, *cotangents: Any) -> Any:
        aval = c.ins[position]
        return zeros(aval.shape, dtype=aval.dtype, device=aval.device)

    return rule
