"""Reverse-mode differentiation of graphs.

The gradient rules are the operators' own. Nodes are visited in descending order of creation, and
a cotangent that meets another at a value is added to it at once by `accumulate`, here, on the tape
and in the loops of `control`, so all give the same kernels in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .avals import Aval, show
from .collector import paused
from .dtypes import is_float
from .errors import DTypeError, GraphError, ShapeError, TapeError
from .ir import Graph, Value, storage_of
from .modes import enable_grad
from .operand import Operand
from .ops import ones, stop_gradient, zeros
from .ops.plain import array_of, as_plain
from .partition import depending
from .pulling import met, pull


def seeds_for(outputs: Sequence[Any], given: Any) -> list[Any]:
    """The cotangents to start from: as given, or 1 for scalars.

    Raises
    ------
    TapeError
        When none is given for an output that is no scalar.
    DTypeError
        When an output is no float.
    ShapeError
        When a cotangent has not its output's shape.
    """
    if given is None:
        given = [None] * len(outputs)
    elif not isinstance(given, list | tuple):
        given = [given]
    if len(given) != len(outputs):
        raise ShapeError(
            f"grad: one cotangent per output is needed, got {len(given)} for {len(outputs)}"
        )
    seeds = []
    for output, seed in zip(outputs, given):
        if not is_float(output.dtype):
            raise DTypeError(f"grad: outputs must be floats, got {output.dtype}")
        if seed is None:
            if output.shape != ():
                raise TapeError(
                    "grad: outputs without a cotangent must be scalars, got shape "
                    f"{show(output.shape)}"
                )
            seed = ones((), dtype=output.dtype, device=output.device)
        else:
            seed = _as_seed(seed, output)
        if seed.shape != output.shape:
            raise ShapeError(
                f"grad: a cotangent must have its output's shape, got {show(seed.shape)} for "
                f"{show(output.shape)}"
            )
        seeds.append(seed)
    return seeds


def _as_seed(seed: Any, output: Any) -> Any:
    """A given cotangent as an operand of the output's style and dtype."""
    if not isinstance(seed, Operand):
        array = array_of(seed, "grad") if isinstance(seed, list | tuple | int | float) else seed
        seed = output.style.constant(as_plain(array, "grad"))
    return seed if seed.dtype == output.dtype else seed.astype(output.dtype)


def zeros_of(aval: Aval) -> Any:
    """The cotangent of a result that nothing reads."""
    return zeros(aval.shape, dtype=aval.dtype, device=aval.device)


def as_list(operands: Any) -> list[Any]:
    return list(operands) if isinstance(operands, list | tuple) else [operands]


def unreached(position: int) -> TapeError:
    return TapeError(
        f"grad: every input must reach the outputs, got input {position}, which does not; pass "
        "allow_unused=True to get None for it"
    )


@paused()
def gradients(
    graph: Graph,
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = True,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Append the gradient of the sum of `outputs` to a graph.

    Parameters
    ----------
    outputs, inputs : value or sequence
        Inputs may be parameters and storages: their variables are meant.
    grad_outputs : value or sequence, optional
        Cotangents of the outputs; 1 for scalars by default.
    retain_graph : bool
        As on the tape, and without effect: a graph stays.
    create_graph : bool
        Whether the gradients can be differentiated again. `dt.grad` says no where it is not asked,
        as on the tape, so that a traced function keeps its meaning.
    allow_unused : bool
        Give None for an input that does not reach the outputs, in place of an error.

    Returns
    -------
    tuple of Value, one per input
    """
    outputs, inputs = as_list(outputs), as_list(inputs)
    for value in outputs:
        if not isinstance(value, Value) or value.graph is not graph:
            raise GraphError(f"grad: outputs must be values of this graph, got {value!r}")
    outputs = [graph.now(value) for value in outputs]
    wanted = [_wanted(graph, x) for x in inputs]
    nodes = list(graph.nodes)
    with graph.building(), enable_grad():
        given = seeds_for(outputs, grad_outputs)
        seeds = [graph.lift(g, "grad") if isinstance(g, Value) else g for g in given]
    with graph.building(), enable_grad(), graph.as_made():
        reached = depending(nodes, [v for reads in wanted for v in reads])
        found = sweep(nodes, outputs, seeds, reached, {v for reads in wanted for v in reads})
        results = []
        for position, reads in enumerate(wanted):
            gradient = None
            for value in reversed(reads):
                if value in found:
                    gradient = met(gradient, found[value])
            if gradient is None and not allow_unused:
                raise unreached(position)
            cut = gradient is not None and not create_graph
            results.append(stop_gradient(gradient) if cut else gradient)
    if graph.moves is not None:
        for gradient in results:
            if gradient is not None:
                graph.moves.own(gradient)
    return tuple(results)


def _wanted(graph: Graph, x: Any) -> list[Value]:
    """The values that an input means; of state, every read of it, for each is a leaf."""
    if isinstance(x, Value):  # in a body, what stands for a value of the graph around it
        return list(graph.reads_of(graph.leaf_of(graph.lift(x, "grad"))))
    return list(graph.reads_of(storage_of(x, "grad")))


def sweep(
    nodes: list[Any],
    outputs: Sequence[Value],
    seeds: Sequence[Any],
    reached: set[Value],
    wanted: set[Value],
    begun: dict[Value, Any] | None = None,
) -> dict[Value, Any]:
    """Cotangents of the wanted values, from those of the outputs.

    Parameters
    ----------
    nodes : list of Node
        In order of creation.
    outputs, seeds : sequence
    reached : set of Value
        Those through which a gradient flows; see `depending`.
    wanted : set of Value
    begun : dict, optional
        Sums to which the cotangents of some values are added.
    """
    cotangents: dict[Value, Any] = dict(begun or {})
    for value, seed in zip(outputs, seeds):
        cotangents[value] = met(cotangents.get(value), seed)
    found: dict[Value, Any] = {}
    for node in reversed(nodes):
        totals = [cotangents.pop(v, None) for v in node.outputs]
        if all(g is None for g in totals) or not any(v in reached for v in node.outputs):
            continue
        found.update((v, g) for v, g in zip(node.outputs, totals) if v in wanted and g is not None)
        needs = [v in reached for v in node.inputs]
        if not any(needs) or not (node.recorded and node.op.vjp):
            continue
        # What computes the gradient of a line stands for that line.
        with node.graph.located(node.location):
            pulled = _pull_node(node, needs, totals, cotangents)
        for position, g in pulled:
            operand = node.inputs[position]
            cotangents[operand] = met(cotangents.get(operand), g)
    return found


def _pull_node(
    node: Any, needs: list[bool], totals: list[Any], cotangents: dict[Value, Any]
) -> list[tuple[int, Any]]:
    if node.op.region:
        from .loops import pull_region

        return pull_region(node, needs, totals, cotangents)
    full = [zeros_of(v.aval) if g is None else g for v, g in zip(node.outputs, totals)]
    named = {
        **dict(zip(node.op.operands, node.inputs)),
        **dict(zip(node.op.results, node.outputs)),
    }
    wanted = tuple(i for i, need in enumerate(needs) if need)
    return pull(node.bound, wanted, {n: named[n] for n, _, _ in node.bound.reads(wanted)}, full)
