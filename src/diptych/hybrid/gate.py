"""The gate: whether compiling a call pays, by what its graph holds and what calls cost here.

An operator in eager code costs Python's work beside that of its kernel, and hands its result on
through memory. Compiled code saves both, of element-wise operators the second with `native` alone,
and costs a call. The work of kernels is the same on both sides, as far as the gate knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..graphs.dims import Dim
from ..graphs.interpreter import owns_memory
from ..graphs.ir import Graph, Node
from ..graphs.regions import COND, SCAN, WHILE
from .costs import Costs
from .function import GraphFunction

# In a recorded call, the backward pass hands on as much again as the forward pass, and reads that.
_RECORDED = 3


@dataclass(frozen=True, slots=True)
class Work:
    """What eager code does beside running kernels.

    Attributes
    ----------
    operators : float
        That it calls; infinite in loops that data end.
    nbytes : float
        That it writes and reads again between element-wise operators.
    """

    operators: float = 0
    nbytes: float = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.operators + other.operators, self.nbytes + other.nbytes)

    def times(self, rounds: float) -> Work:
        if not rounds:
            return Work()
        return Work(self.operators * rounds, self.nbytes * rounds if self.nbytes else 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a call costs either way, beside its kernels.

    Attributes
    ----------
    work : Work
    is_recorded : bool
        Whether a backward pass is counted in.
    is_fresh : bool
        Whether all results are memory of their own in eager code, too, as compiled ones are.
    eager_s, compiled_s : float
    """

    work: Work
    is_recorded: bool
    is_fresh: bool
    eager_s: float
    compiled_s: float

    @property
    def pays(self) -> bool:
        """Whether calls are to run compiled."""
        return self.compiled_s < self.eager_s or not self.is_fresh

    def __str__(self) -> str:
        if math.isinf(self.work.operators):
            return "runs compiled: data tell how many rounds its loops have"
        if not self.is_fresh:
            return "runs compiled: eager code would give memory that is there before"
        passes = "forward and back" if self.is_recorded else "a call"
        how = "compiled" if self.pays else "as eager code"
        return (
            f"runs {how}: {self.work.operators:.0f} operators, beside their kernels, take about "
            f"{self.eager_s * 1e6:.1f} us {passes} as eager code and {self.compiled_s * 1e6:.1f} "
            "us compiled"
        )


def judged(
    function: GraphFunction, sizes: Mapping[str, int], is_recorded: bool, fuses: bool, costs: Costs
) -> Verdict:
    """Whether compiling a graph pays.

    Parameters
    ----------
    function : GraphFunction
    sizes : mapping
        That of each symbolic dimension.
    is_recorded : bool
        Whether there is a backward pass.
    fuses : bool
        Whether the executor computes element-wise operators together.
    costs : Costs
    """
    outputs = tuple(function.outputs)
    work = _work(function.nodes, set(outputs), sizes)
    eager, compiled = costs.eager, costs.compiled
    nbytes = work.nbytes if fuses else 0.0
    if is_recorded:
        eager, compiled, nbytes = costs.eager_recorded, costs.compiled_recorded, nbytes * _RECORDED
    endless = math.isinf(work.operators)
    return Verdict(
        work,
        is_recorded,
        all(owns_memory(outputs)),
        math.inf if endless else eager.at(work.operators) + nbytes * costs.byte,
        compiled.call if endless else compiled.at(work.operators),
    )


def _work(nodes: Sequence[Node], outputs: set[Any], sizes: Mapping[str, int]) -> Work:
    total = Work()
    for node in nodes:
        if node.op.region:
            bodies = [_within(body, sizes) for body in node.attrs["bodies"]]
            total += sum(bodies, Work()).times(_rounds(node, sizes))
        elif node.op.effect or node.op.kernel is not None:
            handed = node.op.expr and not any(v in outputs for v in node.outputs)
            nbytes = sum(_number(v.aval.nbytes, sizes) for v in node.outputs) if handed else 0
            total += Work(1, 2 * nbytes)
    return total


def _within(body: Graph, sizes: Mapping[str, int]) -> Work:
    return _work(body.nodes, set(body.outputs), sizes)


def _rounds(node: Node, sizes: Mapping[str, int]) -> float:
    """How often the bodies of a region run: of branches, one of them."""
    attrs = node.attrs
    if node.op is SCAN:
        slices = attrs["xs"]
        return _number(node.inputs[attrs["carries"]].shape[0] if slices else attrs["length"], sizes)
    if node.op is WHILE:
        return math.inf
    return 1 / len(attrs["bodies"]) if node.op is COND else 1


def _number(size: Any, sizes: Mapping[str, int]) -> float:
    """A size as a number; infinite if data tell it."""
    if not isinstance(size, Dim):
        return float(size)
    return math.inf if size.depends_on_data else float(size.evaluate(sizes))
