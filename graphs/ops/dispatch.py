"""From an operator's function to the style that its operands carry.

An operand may have an attribute `style`; plain arrays and numbers have none. The style of highest
`rank` takes the call, so a static value wins over an eager tensor (and then refuses it). With no
operand at all, as in ``zeros``, the style in force on this thread takes it; with plain arrays
alone, the kernel runs and gives a plain array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..modes import styles
from .plain import plain

if TYPE_CHECKING:
    from .core import Op


class Style(Protocol):
    """What eager code, graphs and plain arrays each provide."""

    rank: int
    parameter_type: Any

    def constant(self, array: Any) -> Any:
        """A plain array as an operand of this style."""

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        """Apply an operator."""

    def read(self, storage: Any) -> Any:
        """The current value of a `Storage`, as an operand of this style."""

    def assign(self, storage: Any, value: Any, when: Any = None) -> Any:
        """Write `value` into a `Storage`; in a graph, in every run that computes `when`."""

    def together(self, updates: Any) -> Any:
        """One handle on several assignments, for a graph to fetch; None elsewhere."""

    def checkpoint(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Call a function whose gradient computes its intermediate results again."""

    def grad(self, outputs: Any, inputs: Any, **options: Any) -> Any:
        """Gradients of the sum of `outputs` with respect to `inputs`."""


_VARIES, _UNKNOWN = object(), object()
_default: list[Style] = [plain]
_styles: dict[type, Any] = {}  # of types whose operands all have one


class DirectStyle:
    """Base of a style whose `call` is compiled, so that compiled code calls it directly."""

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        raise NotImplementedError


def call(op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    """Apply `op` in the style of its operands."""
    style = _style_of(operands)
    if isinstance(style, DirectStyle):
        return _call_directly(style, op, operands, attrs)
    return style.call(op, operands, attrs)


def _call_directly(
    style: DirectStyle, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]
) -> Any:
    return style.call(op, operands, attrs)


def style_of(*operands: Any) -> Style:
    """The style that an operator on these operands would take."""
    return _style_of(operands)


def _style_of(operands: tuple[Any, ...]) -> Style:
    chosen: Any = None
    before: Any = None
    for operand in operands:
        kind = type(operand)
        if kind is before or kind is float or kind is int:
            continue
        style = _styles.get(kind, _UNKNOWN)
        if style is _UNKNOWN:
            style = _style_by_type(operand, kind)
        if style is _VARIES:
            style = operand.style
        else:
            before = kind  # all of this type have one
        if style is None or style is chosen:
            continue
        if chosen is None or style.rank > chosen.rank:
            chosen = style
    if chosen is None:
        return plain if operands else current()
    stack = styles()
    return _in_force(chosen, stack) if stack else chosen


def _style_by_type(operand: Any, kind: type) -> Any:
    """The style that a type's operands share, noted; `_VARIES` where each has its own."""
    declared = getattr(kind, "style", None)
    varies = hasattr(declared, "__get__") or (declared is None and hasattr(operand, "style"))
    _styles[kind] = _VARIES if varies else declared
    return _styles[kind]


def _in_force(style: Style, stack: list[Any]) -> Style:
    """The body that is being built within a graph, if any, which brings in what it reads of it."""
    inner: Any = stack[-1]
    while inner is not None:
        if inner is style:
            return stack[-1]
        inner = getattr(inner, "parent", None)
    return style


def current() -> Style:
    """The style in force on this thread: the innermost graph being built, else eager."""
    stack = styles()
    return stack[-1] if stack else _default[0]


def is_building() -> bool:
    """Whether a graph is being built on this thread."""
    style: Any = current()
    while style is not None and style is not _default[0]:
        style = getattr(style, "parent", None)
    return style is None


def has_grads() -> bool:
    """Whether leaves have a ``.grad``: in eager code, and in what a compiled function traces."""
    style: Any = current()
    while getattr(style, "parent", None) is not None:
        style = style.parent
    return not is_building() or getattr(style, "keeps_grads", False)


def default() -> Style:
    """The style in force outside any graph."""
    return _default[0]


def set_default(style: Style) -> None:
    """Make `style` the one in force outside any graph. Called once, by the eager package."""
    _default[0] = style
