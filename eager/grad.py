"""The backward sweep over the tape."""

from __future__ import annotations

import heapq
from typing import Any

from ..graphs.autodiff import as_list, met, seeds_for, unreached
from ..graphs.errors import AnomalyError, TapeError
from ..graphs.modes import GradMode
from .tape import Node
from .tensor import Tensor


def backward(
    outputs: Any,
    gradients: Any = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradient of the outputs' sum to ``.grad`` of every leaf; see `Tensor.backward`."""
    outputs = _recorded(outputs)
    with GradMode(create_graph):
        seeds = seeds_for(outputs, gradients)
        found, ran = _sweep(outputs, seeds, None)
        # Memory that somebody else holds is not handed to a leaf.
        given = {id(seed.array) for seed in seeds}
        for tensor, gradient in found.values():
            _accumulate(tensor, gradient, given)
    if not (retain_graph or create_graph):
        _free(ran)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of the sum of `outputs` with respect to `inputs`; ``.grad`` stays as it is.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence
    grad_outputs : Tensor or sequence, optional
        Cotangents of the outputs; 1 for scalars by default.
    retain_graph : bool, optional
        Keep the tape's buffers; as `create_graph` by default.
    create_graph : bool
        Record the backward pass itself, so that the gradients can be differentiated again.
    allow_unused : bool
        Give None for an input that does not reach the outputs, in place of an error.

    Returns
    -------
    tuple, one gradient per input

    Raises
    ------
    TapeError
        As `Tensor.backward` does, and for an input that does not reach the outputs.

    Examples
    --------
    >>> x = dt.tensor(3.0, requires_grad=True)
    >>> (slope,) = dt.grad(x * x * x, x, create_graph=True)
    >>> (curvature,) = dt.grad(slope, x)
    >>> slope.item(), curvature.item()
    (27.0, 18.0)
    """
    outputs, inputs = _recorded(outputs), as_list(inputs)
    for position, x in enumerate(inputs):
        if not (isinstance(x, Tensor) and x.requires_grad) and not allow_unused:
            raise unreached(position)
    keys = [_key(x) if isinstance(x, Tensor) and x.requires_grad else None for x in inputs]
    with GradMode(create_graph):
        found, ran = _sweep(outputs, seeds_for(outputs, grad_outputs), {k for k in keys if k})
    results = []
    for position, key in enumerate(keys):
        gradient = found[key][1] if key in found else None
        if gradient is None and not allow_unused:
            raise unreached(position)
        results.append(gradient)
    if not (create_graph if retain_graph is None else retain_graph):
        _free(ran)
    return tuple(results)


def _recorded(outputs: Any) -> list[Tensor]:
    outputs = as_list(outputs)
    for output in outputs:
        if not isinstance(output, Tensor) or not output.requires_grad:
            raise TapeError(
                "backward: an output must have been recorded, got one without requires_grad"
            )
    return outputs


def _key(tensor: Tensor) -> tuple[int, int]:
    """What a cotangent is gathered under: a leaf, or one result of a node."""
    return (id(tensor if tensor.grad_fn is None else tensor.grad_fn), tensor.index)


def _sweep(
    outputs: list[Tensor], seeds: list[Any], wanted: set[tuple[int, int]] | None
) -> tuple[dict[tuple[int, int], tuple[Any, Tensor]], list[Node]]:
    """Cotangents of the wanted tensors, or of every leaf and retaining tensor when it is None.

    Also the nodes whose rules ran.

    Nodes are taken from a heap in descending order of creation, so a cotangent is complete when
    its node is reached; there is no recursion, so a chain may be of any length.
    """
    useful = None if wanted is None else _useful(outputs, wanted)
    arrived: dict[tuple[int, int], tuple[Any, Any]] = {}
    heap: list[tuple[int, Node]] = []
    queued: set[int] = set()

    def give(source: Any, index: int, cotangent: Any) -> None:
        key = (id(source), index)
        arrived[key] = (source, met(arrived[key][1] if key in arrived else None, cotangent))
        if isinstance(source, Node) and id(source) not in queued:
            queued.add(id(source))
            heapq.heappush(heap, (-source.seq, source))

    for output, seed in zip(outputs, seeds):
        source, index = output.edge() or (output, 0)
        give(source, index, seed)
    found: dict[tuple[int, int], tuple[Any, Tensor]] = {}
    ran: list[Node] = []
    while heap:
        _, node = heapq.heappop(heap)
        totals: list[Any] = []
        for index in range(len(node.outputs)):
            key = (id(node), index)
            gradient = None
            if key in arrived:
                gradient = node.apply_hooks(index, arrived.pop(key)[1])
                if wanted is not None:
                    if key in wanted:
                        found[key] = (node, gradient)
                elif node.retained and index in node.retained:
                    found[key] = (node.retained[index](), gradient)
            totals.append(gradient)
        needs = [
            edge is not None and (useful is None or id(edge[0]) in useful) for edge in node.edges
        ]
        if not any(needs):
            continue
        node.check_alive()
        ran.append(node)
        for position, cotangent in _pull(node, totals, needs):
            source, index = node.edges[position]
            give(source, index, cotangent)
    for key, (leaf, cotangent) in arrived.items():
        if wanted is None or key in wanted:
            found[key] = (leaf, leaf.apply_hooks(cotangent))
    return found, ran


def _pull(node: Node, totals: list[Any], needs: list[bool]) -> list[tuple[int, Any]]:
    try:
        return node.pull(totals, needs)
    except AnomalyError as error:
        error.add_note(f"in the gradient of {node.name}, called at {node.location}")
        raise


def _nodes(outputs: list[Tensor]) -> list[Node]:
    """Every node that the outputs came from, operands before results."""
    seen: dict[int, Node] = {}
    pending = [o.grad_fn for o in outputs if o.grad_fn is not None]
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            pending.extend(e[0] for e in node.edges if e is not None and isinstance(e[0], Node))
    return sorted(seen.values(), key=lambda node: node.seq)


def _useful(outputs: list[Tensor], wanted: set[tuple[int, int]]) -> set[int]:
    """Ids of the nodes and leaves through which a gradient reaches what is wanted."""
    useful = {key[0] for key in wanted}
    for node in _nodes(outputs):
        if any(edge is not None and id(edge[0]) in useful for edge in node.edges):
            useful.add(id(node))
    return useful


def _free(nodes: list[Node]) -> None:
    for node in nodes:
        node.free()


def _accumulate(tensor: Tensor | None, gradient: Tensor, given: set[int]) -> None:
    """Add to a tensor's gradient; take the first over if nothing else can hold its memory."""
    if tensor is None:  # it retained its gradient and is gone
        return
    if tensor.grad is not None:
        tensor.grad = met(tensor.grad, gradient)
        return
    shared = id(gradient.array) in given or gradient.array.base is not None
    tensor.grad = gradient.clone() if shared else gradient
    given.add(id(gradient.array))
