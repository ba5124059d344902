"""ScriptFrame: what a scripted function asks beside what others do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..graphs.errors import GraphError, StaticValueError
from ..graphs.nodes import user_location
from ..graphs.operand import Operand
from .frame import Frame
from .names import Names, local
from .operators import COMPARISONS
from .repeats import DataRange
from .weak import Number, converted

Thunk = Callable[[], Any]


class ScriptFrame(Frame):
    """A `Frame` of a function whose branches and loops are functions, too."""

    def local(self, name: str, value: Any) -> Any:
        return local(name, value)

    def made(self, value: Any) -> Any:
        tracer = self._active()
        return value if tracer is None else tracer.own.add(value)

    def plain(self, value: Any, construct: str) -> Any:
        """A condition that Python asks, of a construct that has no place in a graph."""
        if self._active() is not None and isinstance(value, Operand | Number):
            raise StaticValueError(
                f"script: what {construct} asks must be known when tracing, got a tensor at "
                f"{user_location()}"
            )
        return self.test(value)

    def truth(self, value: Any) -> Any:
        tracer = self._active()
        return bool(value) if tracer is None else tracer.branches.truth(value)

    def negated(self, holds: Any) -> Any:
        tracer = self._active()
        return not holds if tracer is None else tracer.branches.negated(holds)

    def boolean(self, name: str, *operands: Thunk) -> Any:
        tracer = self._active()
        if tracer is not None:
            return tracer.branches.boolean(name, operands)
        value = operands[0]()
        for operand in operands[1:]:
            if bool(value) != (name == "and"):
                break
            value = operand()
        return value

    def choose(self, holds: Any, one: Thunk, other: Thunk) -> Any:
        tracer = self._active()
        if tracer is None:
            return one() if holds else other()
        return tracer.branches.choose(holds, one, other)

    def chain(self, names: tuple[str, ...], left: Any, *others: Thunk) -> Any:
        tracer = self._active()
        if tracer is not None:
            return tracer.branches.chain(names, left, others, tracer.compare)
        found: Any = True
        for name, other in zip(names, others):
            right = other()
            found = COMPARISONS[name](left, right)
            if not found:
                break
            left = right
        return found

    def branch(self, holds: Any, then: Thunk, other: Thunk, *names: Any) -> None:
        tracer = self._active()
        if tracer is None:
            (then if holds else other)()
        else:
            tracer.branches.branch(holds, then, other, Names(*names))

    def repeat(self, test: Thunk, body: Thunk, ends: Thunk | None, *names: Any) -> None:
        tracer = self._active()
        if tracer is not None:
            tracer.repeats.repeat(test, body, ends, Names(*names))
            return
        while not (ends and any(ends())) and test():
            body()

    def each_round(
        self, along: Any, body: Callable[[Any], None], ends: Thunk | None, *names: Any
    ) -> None:
        tracer = self._active()
        if tracer is not None:
            tracer.repeats.each_round(along, body, ends, Names(*names))
            return
        for item in along:
            body(item)
            if ends and any(ends()):
                break

    def along_range(self, *args: Any) -> Any:
        if self._active() is None or not any(isinstance(a, Operand | Number) for a in args):
            return super().along_range(*args)
        numbers = [converted(int, a) if isinstance(a, Operand | Number) else a for a in args]
        start, stop, step = (0, *numbers, 1) if len(args) == 1 else (*numbers, 1)[:3]
        if not isinstance(step, int) or step == 0:
            raise StaticValueError("range: the step must be a known number, got a tensor or 0")
        return DataRange(start, stop, step)

    def check_raise(self) -> None:
        tracer = self._active()
        if tracer is not None and tracer.is_in_body:
            raise GraphError(
                f"script: raise must not depend on data, got one at {user_location()}; use assert, "
                "or dt.hybrid.call_python"
            )

    def asserted(self, holds: Any, message: Thunk) -> None:
        tracer = self._active()
        if tracer is not None and not isinstance(holds, bool):
            tracer.branches.check(holds, message)
        elif not holds:
            told = message()
            raise AssertionError(*([] if told is None else [told]))
