"""The backward sweep over the tape."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

import numpy as np

from ..graphs.autodiff import as_list, seeds_for, unreached
from ..graphs.bound import Bound
from ..graphs.compiled import universal
from ..graphs.dtypes import FLOAT32, FLOAT64
from ..graphs.errors import AnomalyError, TapeError
from ..graphs.kernels import recorder
from ..graphs.modes import GradMode, in_style, is_grad_enabled, readers, styles
from ..graphs.pulling import met
from .pieces import Pieces, join_pieces, piece, together
from .style import EAGER
from .tape import Node, OpNode, made
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
    with GradMode(create_graph), _at_once():
        seeds = seeds_for(outputs, gradients)
        # Memory that somebody else holds is not handed to a leaf.
        given = {id(seed.array) for seed in seeds}
        found, _ = _sweep(outputs, seeds, None, given, not (retain_graph or create_graph))
        for tensor, gradient in found.values():
            _accumulate(tensor, gradient, given)


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
    places = [_place(x) if isinstance(x, Tensor) and x.requires_grad else None for x in inputs]
    results = []
    with GradMode(create_graph), _at_once():
        seeds = seeds_for(outputs, grad_outputs)
        # What ran is freed when all that is asked for was found.
        found, ran = _sweep(outputs, seeds, {place[0] for place in places if place}, set(), False)
        for position, place in enumerate(places):
            key, take_out = place or (None, None)
            gradient = found[key][1] if key in found else None
            if gradient is None and not allow_unused:
                raise unreached(position)
            results.append(gradient if gradient is None or take_out is None else take_out(gradient))
    if not (create_graph if retain_graph is None else retain_graph):
        for node in ran:
            node.free()
    return tuple(results)


def _recorded(outputs: Any) -> list[Tensor]:
    outputs = as_list(outputs)
    for output in outputs:
        if not isinstance(output, Tensor) or not output.requires_grad:
            raise TapeError(
                "backward: an output must have been recorded, got one without requires_grad"
            )
    return outputs


def _place(tensor: Tensor) -> tuple[tuple[int, int], Any]:
    """What a cotangent is gathered under: a leaf, or one result of a node."""
    if tensor.grad_fn is None:
        return (id(tensor), tensor.index), None
    return tensor.grad_fn.place(tensor.index)


def _at_once() -> AbstractContextManager[None]:
    """Within the block operators are computed when they are called, whatever is in force."""
    return in_style(EAGER) if styles() else nullcontext()


def _sweep(
    outputs: list[Tensor],
    seeds: list[Any],
    wanted: set[tuple[int, int]] | None,
    given: set[int],
    frees: bool,
) -> tuple[dict[tuple[int, int], tuple[Any, Tensor]], list[Node]]:
    """Cotangents of the wanted tensors, or of every leaf and retaining tensor when it is None.

    Also the nodes whose rules ran, unless each is freed as soon as it did, so that what it saved
    makes room for the cotangents of those before it. What hooks have seen, and may keep, is added
    to `given`, the ids of arrays.

    Nodes are taken in descending order of creation, so a cotangent is complete when its node is
    reached; there is no recursion, so a chain may be of any length.
    """
    asked = set() if wanted is None else {source for source, _ in wanted}
    useful = None if wanted is None else _useful(outputs, asked)
    arrivals = Arrivals(not _is_seen() and all(map(_is_tensor, seeds)))
    for output, seed in zip(outputs, seeds):
        source, index = output.edge() or (output, 0)
        [cotangent] = arrivals.taken([seed])
        arrivals.give(source, index, cotangent)
    found: dict[tuple[int, int], tuple[Any, Tensor]] = {}
    ran: list[Node] = []
    while arrivals.heap:
        node, totals = arrivals.next()
        if node._hooks is not None or node.retained is not None or (asked and id(node) in asked):
            totals = arrivals.shown(totals)
            _look(node, totals, wanted, given, found)
            totals = arrivals.taken(totals)
        sources = node.wanted if useful is None else _reaching(node, useful)
        if not sources:
            continue
        node.check_alive()
        arrivals.pull(node, totals, sources)
        if frees:
            node.free()
        else:
            ran.append(node)
    for leaf, arrived in arrivals.leaves.values():
        [cotangent] = arrivals.shown([arrived])
        key = (id(leaf), 0)
        if wanted is None or key in wanted:
            gradient = leaf.apply_hooks(cotangent)
            if leaf._hooks:
                given |= {id(cotangent.array), id(gradient.array)}
            found[key] = (leaf, gradient)
    return found, ran


def _is_seen() -> bool:
    """Whether what a sweep computes is recorded or watched."""
    return is_grad_enabled() or recorder() is not None or bool(readers())


def _is_tensor(seed: Any) -> bool:
    return type(seed) is Tensor


def _look(
    node: Node,
    totals: list[Any],
    wanted: set[tuple[int, int]] | None,
    given: set[int],
    found: dict[tuple[int, int], tuple[Any, Tensor]],
) -> None:
    """Run the hooks on a node's cotangents, and note those that are asked for."""
    for index, total in enumerate(totals):
        if total is None:
            continue
        totals[index] = gradient = node.apply_hooks(index, total)
        if node._hooks is not None:
            given |= {id(total.array), id(gradient.array)}
        key = (id(node), index)
        if wanted is not None:
            if key in wanted:
                found[key] = (node, gradient)
        elif node.retained and index in node.retained:
            found[key] = (node.retained[index](), gradient)


class Arrivals:
    """The cotangents that have come to nodes and leaves, and which node is next.

    Parameters
    ----------
    bare : bool
        Whether cotangents are arrays, which nobody else sees, so that sums may grow in place. Else
        they are tensors, and so is what hooks and the rules of other nodes are given.

    Attributes
    ----------
    heap : list of int
        Of the nodes that wait, ``-seq``.
    leaves : dict
        By id, a leaf and its cotangent.
    """

    def __init__(self, bare: bool) -> None:
        self.heap: list[int] = []
        self.leaves: dict[int, tuple[Any, Any]] = {}
        self._bare = bare
        self._waiting: dict[int, list[Any]] = {}  # by -seq: cotangents, and the node behind them
        self._sums: set[tuple[int, int]] = set()

    def shown(self, cotangents: list[Any]) -> list[Any]:
        """Cotangents that arrived, as tensors."""
        if not self._bare:
            return cotangents
        whole = [together(x) if type(x) is Pieces else x for x in cotangents]
        return [None if x is None else made(Tensor, x) for x in whole]

    def taken(self, cotangents: list[Any]) -> list[Any]:
        """The contrary of `shown`."""
        if not self._bare:
            return cotangents
        return [None if x is None else x.array for x in cotangents]

    def give(self, source: Any, index: int, cotangent: Any) -> None:
        """Add a cotangent of a leaf, or of one result of a node."""
        if isinstance(source, Node):
            self._give_node(source, index, cotangent)
            return
        before = self.leaves.get(id(source))
        if before is not None:
            cotangent = self._met(before[1], cotangent, (id(source), -1))
        self.leaves[id(source)] = (source, cotangent)

    def _give_node(self, node: Node, index: int, cotangent: Any) -> None:
        key = -node.seq
        totals = self._waiting.get(key)
        if totals is None:
            totals = [None] * len(node.outputs)
            totals.append(node)
            self._waiting[key] = totals
            if self.heap:
                heappush(self.heap, key)
            else:
                self.heap.append(key)
        before = totals[index]
        totals[index] = cotangent if before is None else self._met(before, cotangent, (key, index))

    def _met(self, first: Any, cotangent: Any, place: tuple[int, int]) -> Any:
        """The sum of two cotangents at one place; the third is added to the sum of these."""
        if type(first) is Pieces:
            if type(cotangent) is Pieces and join_pieces(first, cotangent):
                return first
            first = together(first)
        if type(cotangent) is Pieces:
            cotangent = together(cotangent)
        if not self._bare:
            return met(first, cotangent)
        if not _are_floats(first, cotangent):
            return met(made(Tensor, first), made(Tensor, cotangent)).array
        if place in self._sums:
            return _add(first, cotangent, out=first)
        self._sums.add(place)
        return _add(first, cotangent)

    def next(self) -> tuple[Node, list[Any]]:
        """The last node that was made of those that wait, and what has come to its results."""
        heap = self.heap
        totals = self._waiting.pop(heap.pop() if len(heap) == 1 else heappop(heap))
        node = totals.pop()
        for index, total in enumerate(totals):
            if type(total) is Pieces:
                totals[index] = together(total)
        return node, totals

    def pull(self, node: Node, totals: list[Any], wanted: tuple[int, ...]) -> None:
        """Let cotangents pass through a node."""
        if self._bare and isinstance(node, OpNode):
            found = piece(_bound_of(node), totals[0])
            if found is not None:
                self.give(node.sources[0], node.index_of(0), found)
                return
        if self._bare and wanted is node.wanted:
            pulled = node.pull_arrays(totals)
            if pulled is not None:
                for i, cotangent in enumerate(pulled):
                    if cotangent is not None:
                        self.give(node.sources[wanted[i]], node.index_of(wanted[i]), cotangent)
                return
        for position, cotangent in self._pull_tensors(node, totals, wanted):
            self.give(node.sources[position], node.index_of(position), cotangent)

    def _pull_tensors(
        self, node: Node, totals: list[Any], wanted: tuple[int, ...]
    ) -> list[tuple[int, Any]]:
        try:
            pulled = node.pull(self.shown(totals), wanted)
        except AnomalyError as error:
            error.add_note(f"in the gradient of {node.name}, called at {node.location}")
            raise
        return [(i, x.array) for i, x in pulled] if self._bare else pulled


_add = universal(np.add)
_ARRAY = np.ndarray


def _bound_of(node: OpNode) -> Bound:
    return node.bound


def _are_floats(x: Any, y: Any) -> bool:
    """Whether NumPy's sum of two arrays, in place or not, has the bits of `accumulate`."""
    return (
        type(x) is _ARRAY
        and type(y) is _ARRAY
        and x.dtype == y.dtype
        and (x.dtype is FLOAT32 or x.dtype is FLOAT64)
    )


def _nodes(outputs: list[Tensor]) -> list[Node]:
    """Every node that the outputs came from, operands before results."""
    seen: dict[int, Node] = {}
    pending = [o.grad_fn for o in outputs if o.grad_fn is not None]
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            for source in node.sources:
                if isinstance(source, Node):
                    pending.append(source)
    return sorted(seen.values(), key=attrgetter("seq"))


def _useful(outputs: list[Tensor], asked: set[int]) -> set[int]:
    """Ids of the nodes and leaves through which a gradient reaches those asked for."""
    useful = set(asked)
    for node in _nodes(outputs):
        for source in node.sources:
            if source is not None and id(source) in useful:
                useful.add(id(node))
                break
    return useful


def _reaching(node: Node, useful: set[int]) -> tuple[int, ...]:
    """Positions of a node's operands whose sources are useful; most often all that can be."""
    wanted = node.wanted
    reaching = [i for i in wanted if id(node.sources[i]) in useful]
    return wanted if len(reaching) == len(wanted) else tuple(reaching)


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
