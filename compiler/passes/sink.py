"""sink: compute after a loop what its rounds do not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...graphs import ops
from ...graphs.dims import Size, product
from ...graphs.dtypes import BOOL
from ...graphs.ir import CONSTANT, Graph, Node, Value
from ...graphs.ops.batching import apply
from ...graphs.regions import SCAN
from .rounds import Rounds, addends, at_most, can_batch, is_product, is_settled, nbytes, settled
from .terms import is_addition

# A sum of at most so many bytes, a line of the cache, costs nothing to stack.
_TINY = 64

# The sum of what these give for every round is what they give for the sum of the operands.
_LINEAR = frozenset(
    ["broadcast_to", "expand_dims", "getitem", "negative", "permute_dims", "reshape",
     "scatter_slice", "squeeze", "sum_to"]
)  # fmt: skip

# The sum of what these give for every round is what they give for the stacks of the operands.
_GATHERED = frozenset(["embedding_grad", "scatter_add", "sum_to"])

# Views that keep the order of elements: whatever is reshaped next may as well begin before them.
_RESHAPES = frozenset(["expand_dims", "reshape", "squeeze"])


def sink(graph: Graph) -> Graph:
    """Before: a pruned graph. After: a `scan` has no carry to which its rounds only add products of
    matrices, rows of a table or sums over axes: what these are made of is stacked, and one
    operation after the loop sums over the rounds, too. Nor does it multiply by a matrix that is the
    same in every round what only leads to stacked results. Both where the loop then moves less
    memory. Sums are rounded differently, but those of integers."""
    if is_settled(graph) and not graph.regions:
        return graph
    # Stacks for the one serve the other.
    for change in (_sink_products, _sink_sums, _sink_products):
        graph = _after(graph, change)
    return settled(graph)


# From a loop to what its results are after a change; None where it stays.
Change = Callable[[Rounds], Sequence[Value] | None]


def _after(graph: Graph, change: Change) -> Graph:
    """The graph with a change to each of its scans, and before that to those in bodies."""

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
        if node.op is not SCAN:
            return None
        [body], [feed] = node.attrs["bodies"], node.attrs["feeds"]
        rounds = Rounds(new, node, inputs, _after(body, change), feed)
        results = change(rounds) if rounds.is_counted else None
        return rounds.append_copy() if results is None else results

    return graph.rebuild(visit, bodies=lambda body: _after(body, change))


class _Stacks:
    """What a loop stacks, or is to stack.

    Attributes
    ----------
    kept : list of int
        Which outputs of the body stay.
    more : list of Value
        What it gives beside.
    """

    def __init__(self, rounds: Rounds, kept: list[int]) -> None:
        self.rounds, self.kept = rounds, kept
        self.more: list[Value] = []
        self.there = {rounds.body.outputs[i] for i in kept if i >= rounds.carries}
        self.there.update(v for v, i in rounds.operand_of.items() if i in rounds.slices)

    def missing(self, values: Iterable[Value]) -> list[Value]:
        """Those that are not stacked so far, each once."""
        return [v for v in dict.fromkeys(values) if v not in self.there]

    def add(self, values: Iterable[Value]) -> None:
        for value in self.missing(values):
            self.there.add(value)
            self.more.append(value)

    def append(self) -> dict[int, Value]:
        """Append the loop to the new graph: its results by their position in the old one.

        `Rounds.outside` has the stacks then.
        """
        rounds = self.rounds
        values = [rounds.body.outputs[i] for i in self.kept]
        carries = [i for i in self.kept if i < rounds.carries]
        results = rounds.append_scan(carries, [*values, *self.more])
        first = len(carries)
        for value, result in zip([*values[first:], *self.more], results[first:]):
            if value not in rounds.outside:
                rounds.outside[value] = result
                rounds.along.add(value)
        return {**dict(zip(self.kept, results)), **{i: rounds.inputs[i] for i in rounds.unchanged}}


# -- sums ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recipe:
    """How the sum of a value over the rounds is computed after the loop.

    Attributes
    ----------
    reads : tuple of Value
        Of which it takes the stacks.
    total : callable
        Appends it.
    is_plain : bool
        Nothing but the sum of the stack of the value itself.
    """

    reads: tuple[Value, ...]
    total: Callable[[], Value]
    is_plain: bool = False


def _sink_sums(rounds: Rounds) -> Sequence[Value] | None:
    """The loop without the carries to which it only adds."""
    outputs = rounds.body.outputs
    sums = {i: found for i in range(rounds.carries) if (found := _terms(rounds, i)) is not None}
    kept = [i for i in range(len(outputs)) if i not in rounds.unchanged]
    stacks = _Stacks(rounds, kept)
    chosen: list[int] = []
    before = -1
    while len(chosen) != before:  # a stack for one sum may serve another one
        before = len(chosen)
        for i, recipes in sums.items():
            if i not in chosen and _pays(stacks, rounds.node.bound.ins[i].nbytes, recipes):
                chosen.append(i)
                stacks.add(v for recipe in recipes for v in recipe.reads)
    if not chosen:
        return None
    stacks.kept = [i for i in kept if i not in chosen]
    results = stacks.append()
    for i in chosen:
        parts = [] if _is_zero(rounds.inputs[i]) else [rounds.inputs[i]]
        with rounds.new.located(outputs[i].node.location):
            parts += [recipe.total() for recipe in sums[i]]
            results[i] = parts[0] if len(parts) == 1 else ops.accumulate(parts)
    return [results[i] for i in range(len(outputs))]


def _terms(rounds: Rounds, carry: int) -> list[_Recipe] | None:
    """The recipes for what the rounds add to a carry, where they do nothing else with it."""
    outputs = rounds.body.outputs
    starts = [v for v, i in rounds.operand_of.items() if i == carry]
    end = outputs[carry]
    is_state = carry >= rounds.carries - rounds.node.attrs["state"]
    if is_state or len(starts) != 1 or not is_addition(end.node) or end.dtype == BOOL:
        return None
    [start] = starts
    shared = sum(v is end or v is start for v in outputs) > 1
    if shared or end.uses or len(start.uses) != 1:
        return None
    terms, _ = addends(end.node, set(outputs))
    added = [t for t in terms if t is not start]
    if len(added) == len(terms) or any(t.aval != start.aval for t in added):
        return None
    recipes = [r for t in added if (r := _recipe(rounds, t)) is not None]
    return recipes if len(recipes) == len(added) else None


def _pays(stacks: _Stacks, carried: Size, recipes: list[_Recipe]) -> bool:
    """Whether the loop then moves less, as far as is known, than by reading and writing a carry."""
    plain = stacks.missing(v for r in recipes if r.is_plain for v in r.reads)
    more = nbytes(stacks.missing(v for r in recipes for v in r.reads))
    return at_most(nbytes(plain), _TINY) and not at_most(2 * carried + 1, more)


def _recipe(rounds: Rounds, value: Value) -> _Recipe | None:
    """How to sum a value over the rounds; None for what is the same in each."""
    if value in rounds.fixed:
        return None
    node = value.node
    found = _product(rounds, value)
    if found is None and node.op.name in _LINEAR and len(node.inputs) == 1:
        found = _of_sum(node, _recipe(rounds, node.inputs[0]))
    if found is None and node.op.name in _GATHERED and node.attrs.get("axis", 0) == 0:
        found = _gathered(rounds, node)
    if found is None:
        found = _Recipe((value,), lambda: ops.sum_to(rounds.outside[value], value.shape), True)
    return found


def _of_sum(node: Node, inner: _Recipe | None) -> _Recipe | None:
    """A linear operator on the sum of its operand."""
    if inner is None or inner.is_plain:
        return None
    return _Recipe(inner.reads, lambda: apply(node.bound, inner.total()))


def _gathered(rounds: Rounds, node: Node) -> _Recipe | None:
    """An operator that sums over the axes of its operands, the stacks' first one included."""
    if any(v in rounds.fixed for v in node.inputs):
        return None
    return _Recipe(
        node.inputs, lambda: apply(node.bound, *(rounds.outside[v] for v in node.inputs))
    )


def _product(rounds: Rounds, value: Value) -> _Recipe | None:
    """The sum of products ``a.T @ b``, which is one product of the rows of all `a` and `b`."""
    node = value.node
    if node.op.name == "sum_to":
        node = node.inputs[0].node
    if node.op.name != "matmul" or value.aval.ndim != 2:
        return None
    x, y = node.inputs
    if x.aval.ndim < 2 or x.shape[:-2] != y.shape[:-2]:
        return None
    if (x.shape[-2], y.shape[-1]) != value.shape:
        return None
    count = product((rounds.length, *y.shape[:-1]))
    left, right = _Rows(x, True), _Rows(y, False)
    if left.base in rounds.fixed or right.base in rounds.fixed:
        return None

    def total() -> Value:
        a, b = (rows.of(rounds.outside[rows.base], count) for rows in (left, right))
        return ops.matmul(ops.permute_dims(a, (1, 0)), b)

    return _Recipe((left.base, right.base), total)


class _Rows:
    """A factor of a product as rows, one for each number that the product sums over.

    Attributes
    ----------
    base : Value
        What is stacked: not a view, where one can be taken of the stack as well.
    """

    def __init__(self, factor: Value, is_left: bool) -> None:
        self.width = factor.shape[-2 if is_left else -1]
        self.base, self.is_turned = factor, is_left
        if _turns(factor.node):
            self.base, self.is_turned = factor.node.inputs[0], not is_left
        if any(isinstance(size, int) and size == 1 for size in self.base.shape[-2:]):
            self.is_turned = False  # turned or not, its numbers are in one order
        while not self.is_turned and self.base.node.op.name in _RESHAPES:
            self.base = self.base.node.inputs[0]

    def of(self, stack: Value, count: Size) -> Value:
        return ops.reshape(
            ops.matrix_transpose(stack) if self.is_turned else stack, (count, self.width)
        )


def _turns(node: Node) -> bool:
    """Whether a node exchanges the last two axes."""
    if node.op.name != "permute_dims":
        return False
    axes = node.attrs["axes"]
    return axes == (*range(len(axes) - 2), len(axes) - 1, len(axes) - 2)


def _is_zero(value: Value) -> bool:
    if value.node.op is CONSTANT:
        return not value.node.attrs["array"].any()
    return value.node.op.name == "full" and value.node.attrs["value"] == 0


# -- products --------------------------------------------------------------------------------


def _sink_products(rounds: Rounds) -> Sequence[Value] | None:
    """The loop without the products by one matrix, and what follows them, that it only stacks."""
    outputs = rounds.body.outputs
    free = _free(rounds)
    late: set[Value] = set()
    kept = [i for i in range(len(outputs)) if i not in rounds.unchanged]
    chosen = None
    for node in rounds.body.nodes:
        [value, *_] = node.outputs
        if value not in free or value in late or not is_product(node, rounds):
            continue
        more = late | _following(rounds, node)
        stacks = _Stacks(rounds, [i for i in kept if i < rounds.carries or outputs[i] not in more])
        stacks.add(_read(rounds, more))
        gone = nbytes(v for v in set(outputs) if v in more)
        gone = gone + nbytes(
            w
            for v in more
            if is_product(v.node, rounds)
            for w in v.node.inputs
            if w in rounds.fixed
        )
        if not at_most(2 * gone + 1, nbytes(stacks.more)):
            late, chosen = more, stacks
    if chosen is None:
        return None
    results = chosen.append()
    rounds.compute(v for v in outputs if v in late)
    results.update((i, rounds.outside[v]) for i, v in enumerate(outputs) if v in late)
    return [results[i] for i in range(len(outputs))]


def _free(rounds: Rounds) -> set[Value]:
    """What no carry depends on, nor anything that cannot be computed for all rounds at once."""
    held: set[Value] = set(rounds.body.outputs[: rounds.carries])
    free: set[Value] = set()
    for node in reversed(rounds.body.nodes):
        if any(v in held for v in node.outputs) or not (node.inputs and can_batch(node)):
            held.update(node.inputs)
        else:
            free.update(v for v in node.outputs if v not in rounds.fixed)
    return free


def _following(rounds: Rounds, first: Node) -> set[Value]:
    """What a node gives, and all that depends on it."""
    found = set(first.outputs)
    for node in rounds.body.nodes:
        if any(v in found for v in node.inputs):
            found.update(node.outputs)
    return found


def _read(rounds: Rounds, late: set[Value]) -> list[Value]:
    """What is read of a loop by values that are computed after it."""
    reads = (v for node in rounds.body.nodes if node.outputs[0] in late for v in node.inputs)
    return [v for v in reads if v not in late and v not in rounds.fixed]
