"""The gradient rules of a call as the kernels that they launch.

A rule is written in operators. Run on tensors, each of these finds its style, binds itself and
wraps its result, and for one bound call it does so alike every time. So a rule that runs often is
run once on values of a graph, which tells what it launches; from then on its kernels are launched
one after the other, on arrays. They are the same kernels on the same numbers: the bits stay.
"""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from ..graphs.bound import Bound
from ..graphs.ir import CONSTANT, Graph, Value
from ..graphs.kernels.launch import run_kernel
from ..graphs.modes import in_style
from ..graphs.ops.core import Op
from ..graphs.pulling import pull

_OFTEN = 3  # runs of a rule from which on it is worth the while


class Launches:
    """What the rules of one bound call launch, for some of its operands.

    Arrays have places: what the rules read, then the cotangents of the results, then constants and
    what is computed.

    Attributes
    ----------
    behind : list
        What stands in the places behind those of what is given: constants, and None.
    steps : list of Step
    found : tuple of int
        Per operand, the place of its cotangent: the last one, of None, where it has none.
    """

    behind: list[Any]
    steps: list[Step]
    found: tuple[int, ...]

    def run(self, given: list[Any]) -> list[Any]:
        """The cotangent of each operand, an array or None."""
        arrays = given + self.behind
        for step in self.steps:
            computed = run_kernel(step.bound, _at(arrays, step.operands))
            for place in step.freed:
                arrays[place] = None
            if type(computed) is not tuple:
                arrays[step.result] = computed
            else:
                for i, result in enumerate(computed):
                    arrays[step.result + i] = result
        return _at(arrays, self.found)


def _at(arrays: list[Any], places: tuple[int, ...]) -> list[Any]:
    found = [None] * len(places)
    for i, place in enumerate(places):
        found[i] = arrays[place]
    return found


class Step:
    """One kernel, where its operands are, where its results go, and what nothing reads any more."""

    bound: Bound
    operands: tuple[int, ...]
    result: int
    freed: tuple[int, ...]


def launches(bound: Bound, wanted: tuple[int, ...]) -> Launches | None:
    """What the rules of operands launch; None where they must be run."""
    known = bound.launches.get(wanted, 0)
    if type(known) is int:
        if known < _OFTEN:
            bound.launches[wanted] = known + 1
            return None
        known = bound.launches[wanted] = _noted(bound, wanted)
    found: Launches | None = known
    return found


def _noted(bound: Bound, wanted: tuple[int, ...]) -> Launches | None:
    """The kernels of rules; None of a user's rules, and of those that ask for numbers."""
    if not _is_own(bound.op):
        return None
    graph = Graph()
    reads = bound.reads(wanted)
    avals = [bound.outs[i] if at is None else bound.ins[at] for _, at, i in reads]
    given = [graph.add_placeholder(f"{i}", a) for i, a in enumerate((*avals, *bound.outs))]
    saved = {name: value for (name, _, _), value in zip(reads, given)}
    try:
        with in_style(graph):
            pulled = pull(bound, wanted, saved, [*given[len(reads) :]])
    except Exception:  # which the rule raises again, where it is right to
        return None
    if not all(isinstance(value, Value) for _, value in pulled):
        return None
    cotangents = dict(pulled)
    return _steps(given, graph, [cotangents.get(position) for position in wanted])


def _is_own(op: Op) -> bool:
    """Whether an operator is of Diptych's table, whose rules do nothing else than call others."""
    return op.module.startswith(ops.__name__)


def _steps(given: list[Value], graph: Graph, pulled: list[Value | None]) -> Launches | None:
    nodes = graph.nodes[len(given) :]
    found = Launches()
    found.behind, found.steps = [], []
    count = len(given)
    places = {value: i for i, value in enumerate(given)}
    last = {value: node for node in nodes for value in node.inputs}
    results = {value for value in pulled if value is not None}
    for node in nodes:
        if node.op is CONSTANT:
            places[node.outputs[0]] = count + len(found.behind)
            found.behind.append(node.attrs["array"])
            continue
        op = node.op
        if node.bound.kernel is None or op.region or op.effect or not _is_own(op):
            return None
        step = Step()
        step.bound = node.bound
        step.operands = tuple([places[value] for value in node.inputs])
        over = {v for v in node.inputs if last[v] is node and v not in results}
        step.freed = tuple([places[v] for v in over if v.node.op is not CONSTANT])
        step.result = count + len(found.behind)
        for value in node.outputs:
            places[value] = count + len(found.behind)
            found.behind.append(None)
        found.steps.append(step)
    # A constant must not become anybody's gradient, who may write into it.
    if not all(value in places and value.node.op is not CONSTANT for value in results):
        return None
    missing = count + len(found.behind)
    found.behind.append(None)
    found.found = tuple([missing if value is None else places[value] for value in pulled])
    return found
