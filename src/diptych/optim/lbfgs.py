"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..graphs.errors import ArgumentError, DTypeError, TapeError
from ..graphs.ops import dispatch
from ..graphs.storage import Storage
from .groups import ParameterGroup
from .hyperparameters import require_at_least_0, require_whole
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer

# A pair whose product is smaller says nothing certain about curvature.
_LEAST_CURVATURE = 1e-10


class LBFGS(Optimizer):
    """Quasi-Newton steps from the last few differences of gradients, in eager code.

    A step evaluates the loss several times, where the search leads it, so it takes a closure and
    not a loss. A graph cannot say beforehand how often; `minimize` is an error.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of one dtype, in one group.
    lr : float
        The first length to try along each direction, at least 0.
    max_iter : int
        Directions a step, at least 1.
    max_eval : int, optional
        Evaluations a step after which no new direction is taken; 5/4 of `max_iter` by default.
    tolerance_grad : float
        Stop when no element of the gradient is larger.
    tolerance_change : float
        Stop when a direction changes neither the loss nor any parameter by more.
    history_size : int
        Differences that are kept, at least 1. Each takes twice the parameters' memory.
    line_search_fn : {"strong_wolfe"}, optional
        None takes the first length without looking.

    Raises
    ------
    DTypeError, UnknownNameError, ArgumentError
        As `Optimizer` does; also when dtypes differ, or there is more than one group.

    Notes
    -----
    D. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization,
    Mathematical Programming 45, 1989.

    Examples
    --------
    >>> w = dt.nn.Parameter([3.0, -2.0])
    >>> optimizer = dt.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     loss = ((w - 1) * (w - 1)).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    13.0
    >>> w.detach().numpy().round(3)
    array([1., 1.], dtype=float32)
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1.0,
        *,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        options = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_eval, "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(parameters, options)

    def check(self, options: Mapping[str, Any]) -> None:
        require_whole("max_iter", options["max_iter"], 1)
        if options["max_eval"] is not None:
            require_whole("max_eval", options["max_eval"], 1)
        require_whole("history_size", options["history_size"], 1)
        for name in ("tolerance_grad", "tolerance_change"):
            require_at_least_0(name, options[name])
        search = options["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise ArgumentError(
                f"optimizer: line_search_fn must be None or 'strong_wolfe', got {search!r}"
            )
        dtypes = sorted({str(p.dtype) for p in options["params"]})
        if len(dtypes) > 1:
            raise DTypeError(f"optimizer: LBFGS takes parameters of one dtype, got {dtypes}")
        if self.param_groups:
            raise ArgumentError("optimizer: LBFGS takes one group of parameters, got a second")

    def begin(self, group: ParameterGroup) -> None:
        xp, dtype = group.parameters[0].device.xp, group.parameters[0].dtype
        size, pairs = sum(p.size for p in group.parameters), group["history_size"]
        for name, shape, kind in (
            ("displacements", (pairs, size), dtype),
            ("differences", (pairs, size), dtype),
            ("pairs", (), np.int64),
            ("displacement", (size,), dtype),
            ("gradient", (size,), dtype),
            ("steps", (), np.int64),
        ):
            group.slots[name] = self.keep(Storage(xp.zeros(shape, kind), name))

    def minimize(self, loss: Any) -> Any:
        """Not for this optimiser, which evaluates the loss again at every point of its search.

        Raises
        ------
        TapeError
            Always, and with the way to do it.
        """
        raise TapeError(
            "minimize: LBFGS evaluates the loss anew at each point of its search, got one loss; "
            "call step(closure) in eager code"
        )

    def apply(self, gradients: Iterable[Any]) -> Any:
        """Not for this optimiser; see `minimize`.

        Raises
        ------
        TapeError
            Always, and with the way to do it.
        """
        raise TapeError(
            "apply: LBFGS evaluates the gradients anew at each point of its search, got one list "
            "of them; call step(closure) in eager code"
        )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take up to `max_iter` directions.

        Parameters
        ----------
        closure : callable
            Computes the loss, calls ``backward()`` on it and gives it back. The gradients are
            forgotten before each call.

        Returns
        -------
        Tensor
            The loss before the step.

        Raises
        ------
        TapeError
            When there is no closure, it leaves no gradient, or a graph is being built.
        """
        if closure is None:
            raise TapeError(
                "step: LBFGS needs a closure that computes the loss and its gradients, got none"
            )
        if dispatch.is_building():
            raise TapeError(
                "step: LBFGS evaluates the loss as often as its search needs, which a graph cannot "
                "say beforehand, got a call while one is built; call it in eager code"
            )
        return _Step(self, closure).run()


class _Step:
    """One step: the parameters as one flat vector, and the loss as a function of it."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        [group] = optimizer.param_groups
        self.optimizer, self.closure, self.group = optimizer, closure, group
        self.state: dict[str, Storage] = group.slots
        self.xp = group.parameters[0].device.xp
        self.evaluations = 0

    def run(self) -> Any:
        group = self.group
        loss = self.evaluate()
        here = Point(0.0, float(loss), 0.0, self.gradient())
        most = group["max_eval"] or group["max_iter"] * 5 // 4
        for left in reversed(range(group["max_iter"])):
            if self._largest(here.gradient) <= group["tolerance_grad"]:
                break
            first = self.state["steps"].item() == 0
            direction = self.direction(here.gradient, first)
            self.state["gradient"].write(here.gradient)
            self.state["steps"].write(self.state["steps"].array + 1)
            slope = self._dot(here.gradient, direction)
            # Written even where no step follows: it belongs to the gradient above.
            self.state["displacement"].write(self.xp.zeros_like(direction))
            if not slope <= -group["tolerance_change"]:  # so that what is no number ends it, too
                break
            length = group["lr"]
            if first:
                length *= min(1.0, 1.0 / float(self.xp.abs(here.gradient).sum()))
            before, here = here, self.move(here, direction, slope, length, look=left > 0)
            self.state["displacement"].write(here.step * direction)
            if self.evaluations >= most or self._settled(before, here, direction):
                break
        return loss

    def move(self, here: Point, direction: Any, slope: float, length: float, look: bool) -> Point:
        """Go along a direction. Without a search, what is found there is read only to `look` on."""
        start = [p.storage.array.copy() for p in self.group.parameters]

        def at(step: float) -> Point:
            self.place(start, step, direction)
            value = float(self.evaluate())
            gradient = self.gradient()
            return Point(step, value, self._dot(gradient, direction), gradient)

        if self.group["line_search_fn"] is None:
            if look:
                return at(length)
            self.place(start, length, direction)
            return Point(length, here.value, slope, here.gradient)
        origin = Point(0.0, here.value, slope, here.gradient)
        found = strong_wolfe(at, origin, length, self._largest(direction))
        self.place(start, found.step, direction)
        return found

    def direction(self, gradient: Any, first: bool) -> Any:
        """Minus the inverse Hessian, as the kept pairs know it, times the gradient."""
        if first:
            return -gradient
        self.remember(gradient - self.state["gradient"].array)
        count, size = self.state["pairs"].item(), self.group["history_size"]
        moves, changes = self.state["displacements"].array, self.state["differences"].array
        newest_first = [i % size for i in reversed(range(max(0, count - size), count))]
        weights = {i: 1.0 / self._dot(changes[i], moves[i]) for i in newest_first}
        along = {}
        q = -gradient
        for i in newest_first:
            along[i] = self._dot(moves[i], q) * weights[i]
            q = q - along[i] * changes[i]
        if newest_first:
            newest = newest_first[0]
            q = q / (weights[newest] * self._dot(changes[newest], changes[newest]))
        for i in reversed(newest_first):
            q = q + moves[i] * (along[i] - self._dot(changes[i], q) * weights[i])
        return q

    def remember(self, difference: Any) -> None:
        """Keep the last displacement and what it did to the gradient, in place of the oldest."""
        displacement = self.state["displacement"].array
        if not self._dot(difference, displacement) > _LEAST_CURVATURE:
            return
        pairs = self.state["pairs"]
        row = pairs.item() % self.group["history_size"]
        for name, vector in (("displacements", displacement), ("differences", difference)):
            # A row of a history that may be large: the rest is not written again.
            self.state[name].array[row] = vector
            self.state[name].version += 1
        pairs.write(pairs.array + 1)

    def place(self, start: list[Any], step: float, direction: Any) -> None:
        """Put the parameters at a length along the direction."""
        offset = 0
        for parameter, array in zip(self.group.parameters, start):
            part = direction[offset : offset + array.size].reshape(array.shape)
            parameter.storage.write(array + step * part)
            offset += array.size

    def evaluate(self) -> Any:
        self.optimizer.zero_grad()
        self.evaluations += 1
        return self.closure()

    def gradient(self) -> Any:
        """The gradients as one vector, 0 where there is none."""
        parameters = self.group.parameters
        if all(p.grad is None for p in parameters):
            raise TapeError(
                "step: the closure must call backward() on a loss of the parameters, got no "
                "gradient"
            )
        parts = [
            (self.xp.zeros(p.shape, p.dtype) if p.grad is None else p.grad.array).reshape(-1)
            for p in parameters
        ]
        return self.xp.concatenate(parts)

    def _settled(self, before: Point, here: Point, direction: Any) -> bool:
        tolerance = self.group["tolerance_change"]
        moved = self._largest(direction) * here.step
        return moved <= tolerance or abs(here.value - before.value) < tolerance

    def _largest(self, vector: Any) -> float:
        return float(self.xp.abs(vector).max()) if vector.size else 0.0

    def _dot(self, a: Any, b: Any) -> float:
        return float((a * b).sum())
