"""Frame: a tracer as one rewritten function sees it. Where none runs, it does what was written."""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..graphs.errors import GraphError
from ..graphs.nodes import user_location
from ..graphs.operand import Operand
from .along import Along, counted
from .operators import ARITHMETIC, COMPARISONS, IN_PLACE
from .purity import IMMUTABLE
from .rounds import UNBOUND, Round
from .weak import Number

if TYPE_CHECKING:
    from .tracer import Tracer


class Frame:
    """The tracer as one function sees it: knows where the function's names are held."""

    def __init__(self, tracer: Tracer, function: FunctionType) -> None:
        self._tracer = tracer
        self._globals = function.__globals__
        self._cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))

    slice = slice

    def name(self, key: str, value: Any) -> Any:
        tracer = self._active()
        return value if tracer is None else tracer.name(self._globals, key)

    def free(self, key: str, value: Any) -> Any:
        tracer = self._active()
        return value if tracer is None else tracer.free(self._cells[key], key)

    def attribute(self, owner: Any, key: str) -> Any:
        tracer = self._active()
        return getattr(owner, key) if tracer is None else tracer.attribute(owner, key)

    def item(self, owner: Any, key: Any) -> Any:
        tracer = self._active()
        return owner[key] if tracer is None else tracer.item(owner, key)

    def whole(self, value: Any) -> Any:
        tracer = self._active()
        return value if tracer is None else tracer.whole(value)

    def test(self, value: Any) -> Any:
        tracer = self._active()
        return value if tracer is None else tracer.objects.tested(value)

    def entered(self, value: Any) -> Any:
        tracer = self._active()
        return value if tracer is None else tracer.objects.entered(value)

    def binary(self, name: str, left: Any, right: Any) -> Any:
        tracer = self._active()
        if tracer is None:
            return ARITHMETIC[name](left, right)
        return tracer.binary(name, left, right)

    def compare(self, name: str, left: Any, right: Any) -> Any:
        tracer = self._active()
        if tracer is None:
            return COMPARISONS[name](left, right)
        return tracer.compare(name, left, right)

    def compared(self, value: Any) -> Any:
        tracer = self._active()
        return value if tracer is None else tracer.compared(value, None)[0]

    def each(self, value: Any) -> Any:
        tracer = self._active()
        return value if tracer is None else tracer.each(value)

    def call(self, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        tracer = self._active()
        return callee(*args, **kwargs) if tracer is None else tracer.call(callee, args, kwargs)

    def set_attribute(self, owner: Any, key: str, value: Any) -> None:
        tracer = self._active()
        (setattr if tracer is None else tracer.set_attribute)(owner, key, value)

    def set_item(self, owner: Any, key: Any, value: Any) -> None:
        tracer = self._active()
        (operator.setitem if tracer is None else tracer.set_item)(owner, key, value)

    def check_outer(self, name: str) -> None:
        if self._active() is not None:
            raise GraphError(
                "compile: a traced function must not change what outlives it, got a declaration "
                f"of {name} as a name to assign to; return the new value"
            )

    def delete_attribute(self, owner: Any, key: str) -> None:
        tracer = self._active()
        if tracer is not None:
            tracer.check_change(owner, f".{key}")
        delattr(owner, key)

    def delete_item(self, owner: Any, key: Any) -> None:
        tracer = self._active()
        if tracer is not None:
            tracer.check_change(owner, f"[{key!r}]")
        del owner[key]

    def changed(self, name: str, before: Any, value: Any) -> Any:
        """What ``before += value`` leaves under the name."""
        tracer = self._active()
        if tracer is None:
            return IN_PLACE[name](before, value)
        if isinstance(before, (*IMMUTABLE, Number)):
            return tracer.binary(name, before, value)
        if not isinstance(before, Operand):
            tracer.check_change(before, "")
        return IN_PLACE[name](before, tracer.whole(value))

    def change_attribute(self, name: str, owner: Any, key: str, value: Any) -> None:
        before = self.attribute(owner, key)
        after = self.changed(name, before, value)
        if after is not before:
            self.set_attribute(owner, key, after)

    def change_item(self, name: str, owner: Any, key: Any, value: Any) -> None:
        before = self.item(owner, key)
        after = self.changed(name, before, value)
        if after is not before or isinstance(owner, Operand):  # of which an item may be a copy
            self.set_item(owner, key, after)

    def along(self, value: Any) -> Any:
        """What a `for` goes along, if a loop in the graph may do it."""
        tracer = self._active()
        return value if tracer is None else tracer.loops.along(value)

    def bound(self, value: Callable[[], Any]) -> Any:
        """A local name, or that it has no value yet."""
        try:
            return value()
        except NameError:
            return UNBOUND

    def loop(
        self, along: Any, body: Any, names: tuple[str, ...], kinds: str, state: tuple[Any, ...]
    ) -> Any:
        """The state after a loop that stands in the graph; None where it does not."""
        tracer = self._active()
        if tracer is None or not isinstance(along, Along):
            return None
        if not tracer.loops.may_append(kinds, state):
            return None
        return tracer.loops.capture(along, Round(body, names, kinds, state))

    def along_range(self, *args: Any) -> Any:
        return range(*args) if self._active() is None else counted(args)

    def along_zip(self, *parts: Any) -> Any:
        tracer = self._active()
        return zip(*parts) if tracer is None else tracer.loops.along_zip(*parts)

    def along_enumerate(self, *args: Any) -> Any:
        tracer = self._active()
        return enumerate(*args) if tracer is None else tracer.loops.along_enumerate(*args)

    def along_reversed(self, part: Any) -> Any:
        tracer = self._active()
        return reversed(part) if tracer is None else tracer.loops.along_reversed(part)

    def check_round(self, what: str) -> None:
        tracer = self._active()
        if tracer is not None and tracer.is_in_body:
            raise GraphError(
                f"for: a round or branch must change its own names alone, got {what} at "
                f"{user_location()}"
            )

    def _active(self) -> Tracer | None:
        return self._tracer if self._tracer.is_running else None
