"""Regions: the nodes that hold graphs of their own, which is how control flow stands in a graph.

`cond`, `while_loop` and `scan` are nodes whose attribute `bodies` holds one or two graphs. Bodies
are closed: what they read of the graph around them is among the node's operands. `feeds` says for
each body which operand (or, in a loop, which carry or slice) each of its placeholders takes, in
order. An executor runs a body as it runs any graph; `kernel_of` says in what order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .avals import Aval
from .devices import device_of
from .dims import Dim, substitute
from .errors import GraphError
from .ir import Graph, Node, Update, Value, is_within
from .kernels import copied, owner, recorder
from .moves import Moves
from .nodes import user_location
from .ops import REGISTRY, dispatch
from .ops.core import Bound, Op, defop
from .ops.rules import no_flop
from .storage import Storage

# From the arrays of a body's placeholders to those of its outputs.
Runner = Callable[[list[Any]], list[Any]]


def _region(name: str, attrs: dict[str, Any], doc: str) -> Op:
    function = defop(
        name,
        "*operands -> results",
        attrs={"bodies": (), "feeds": (), **attrs},
        infer=lambda *operands, **attrs: operands,
        kernel=None,
        vjp=(lambda c, *g, position: None,),  # `loops.pull` differentiates the bodies
        cost=no_flop,
        region=True,
        doc=doc,
    )
    return function.op


COND = _region("cond", {}, "The first body where the first operand holds, else the second.")
CHECKPOINT = _region(
    "checkpoint", {}, "The body, of whose results its gradient keeps none but computes them again."
)
FUSED = _region(
    "fused",
    {"domain": (), "reduced": None, "kinds": ()},
    "The body, as one loop nest over `domain`. `kinds` says of each node of the body what its "
    "result covers: see `compiler.passes.groups`.",
)
WHILE = _region(
    "while_loop",
    {"carries": 0, "state": 0},
    "The second body on the carries for as long as the first one holds; also the outputs of every "
    "round beyond the carries, stacked. The last `state` carries hold storages that rounds assign.",
)
SCAN = _region(
    "scan",
    {"carries": 0, "state": 0, "xs": 0, "length": None, "reverse": False},
    "The body on the carries and a slice of each of the next operands, from end to end; the last "
    "carries, and the other outputs stacked.",
)


class Body(Graph):
    """The graph of a branch or a round while it is built within another graph.

    An operator on values of the graph around it, or on state, brings these in as captures.

    Parameters
    ----------
    parent : Graph
    name : str
        Of the function that builds it, for errors.

    Attributes
    ----------
    captured : dict
        From each placeholder that stands for a value of `parent` to that value.
    """

    def __init__(self, parent: Graph, name: str) -> None:
        super().__init__()
        self.parent, self.name = parent, name
        self.rank = parent.rank + 1
        self.is_trace = parent.is_trace
        self.moves = None if parent.moves is None else Moves(self)
        self.captured: dict[Value, Value] = {}
        self._inside: dict[Value, Value] = {}
        self._written: dict[int, tuple[Storage, Value]] = {}

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        if not is_within(dispatch.current(), self):
            raise GraphError(
                f"{op.name}: what a body of {self.name} computes stays within it, got one of its "
                "values outside; return it from the function"
            )
        return super().call(op, operands, attrs)

    def lift(self, operand: Any, where: str) -> Any:
        if isinstance(operand, Value) and operand.graph is not self:
            return self.capture(self.parent.lift(operand, where))
        return super().lift(operand, where)

    def capture(self, value: Value) -> Value:
        """The placeholder that stands for a value of the graph around."""
        value = value if value.graph is self.parent else self.parent.lift(value, self.name)
        if value not in self._inside:
            inside = self.add_placeholder(f"capture{len(self._inside)}", value.aval)
            self._inside[value], self.captured[inside] = inside, value
        return self._inside[value]

    def variable_of(self, storage: Storage) -> Value:
        value = self.capture(self.parent.read(storage))
        self._leaves[value] = storage
        return value

    def read(self, storage: Any) -> Value:
        if id(storage.storage) not in self._assigned:
            self.parent.read(storage)  # a parameter is noted by the outermost graph
        return super().read(storage)

    def assign(self, storage: Any, value: Any, when: Value | None = None) -> Update:
        """Carry a storage's new value out of the body, which the graph around writes."""
        if isinstance(storage, Value):
            raise GraphError(f"{self.name}: a variable is assigned outside the body, got {storage}")
        held = storage.storage
        value = self.now(value) if isinstance(value, Value) else self.constant(value)
        held.check(value.shape, value.dtype)
        value = value if value.dtype == held.dtype else value.astype(held.dtype)
        self._assigned[id(held)] = value
        self._written[id(held)] = (held, value)
        return Update(())

    @property
    def written(self) -> list[tuple[Storage, Value]]:
        """Storages that the body assigns, with their last values."""
        return list(self._written.values())


def append_region(
    graph: Graph,
    op: Op,
    operands: Sequence[Value],
    outs: Sequence[Aval],
    **attrs: Any,
) -> tuple[Value, ...]:
    """Append a region to a graph; its results."""
    complete = {**op.attrs, **attrs}
    bound = Bound(op, complete, tuple(v.aval for v in operands), tuple(outs))
    return graph.append(bound, tuple(operands), None, user_location()).outputs


def append_cond(graph: Graph, pred: Value, then: Body, other: Body) -> tuple[Value, ...]:
    """Append a choice between two bodies with alike outputs; what the chosen one gives.

    Storages that one of them assigns are assigned in the graph around.
    """
    count = len(then.outputs)
    state = list({id(s): s for body in (then, other) for s, _ in body.written}.values())
    for body in (then, other):
        last = {id(s): v for s, v in body.written}
        kept = (last[id(s)] if id(s) in last else body.variable_of(s) for s in state)
        body.outputs = (*body.outputs, *kept)
    # The predicate may be captured, too: then it is fed to the body as any operand is.
    operands: dict[Value, int] = {graph.lift(pred, "cond"): 0}
    feeds = tuple([
        tuple([
            operands.setdefault(body.captured[inside], len(operands))
            for inside in body.placeholders.values()
        ])
        for body in (then, other)
    ])  # fmt: skip
    values = append_region(
        graph, COND, list(operands), [v.aval for v in then.outputs],
        bodies=(then, other), feeds=feeds,
    )  # fmt: skip
    for storage, value in zip(state, values[count:]):
        graph.assign(storage, value, when=values[0])
    return values[:count]


def append_while(
    graph: Graph,
    first: Sequence[Value],
    asks: tuple[Body, Sequence[Value]],
    goes: tuple[Body, Sequence[Value]],
) -> tuple[Value, ...]:
    """Append a loop that goes on while a body says so; the last carries.

    Parameters
    ----------
    graph : Graph
    first : sequence of Value
        The first carries.
    asks, goes : (Body, sequence of Value)
        Gives one bool, and the next carries; with the placeholders that stand for the carries.
        Storages that the second assigns are carried, too, and assigned in the graph around.
    """
    (asking, asks_in), (body, goes_in) = asks, goes
    state = body.written
    body.outputs = (*body.outputs, *(value for _, value in state))
    operands = [*first, *(graph.read(s) for s, _ in state)]
    inside = [*goes_in, *(body.variable_of(s) for s, _ in state)]
    index = {value: i for i, value in enumerate(inside)}
    asks_index = {value: i for i, value in enumerate(asks_in)}
    # The condition sees the state as the rounds before left it.
    asks_index.update((asking.variable_of(s), len(first) + i) for i, (s, _) in enumerate(state))
    carries = len(operands)
    feeds = tuple([
        feed_of(b, known, operands) for b, known in ((asking, asks_index), (body, index))
    ])  # fmt: skip
    values = append_region(
        graph, WHILE, operands, [v.aval for v in operands[:carries]],
        bodies=(asking, body), feeds=feeds, carries=carries, state=len(state),
    )  # fmt: skip
    for (storage, _), value in zip(state, values[len(first) :]):
        graph.assign(storage, value, when=values[0])
    return values[: len(first)]


def feed_of(body: Body, known: dict[Value, int], operands: list[Value]) -> tuple[int, ...]:
    """Which operand each placeholder of a body takes; captures are added to the operands."""
    feed = []
    for inside in body.placeholders.values():
        if inside not in known:
            operands.append(body.captured[inside])
            known[inside] = len(operands) - 1
        feed.append(known[inside])
    return tuple(feed)


def trips(graph: Graph) -> Dim:
    """The number of rounds of a loop that only running it will tell."""
    return Dim.of_data(f"trips{len(graph.nodes)}")


def stacked(aval: Aval, length: Any) -> Aval:
    """The aval of one output of every round."""
    return replace(aval, shape=(length, *aval.shape))


def grow(node: Node, bodies: tuple[Graph, ...], outs: Sequence[Aval]) -> tuple[Value, ...]:
    """Give a region more outputs, at the end of those that its bodies have; the new values.

    Nothing that exists changes its meaning, so the graph stays append-only. Copies of the node in
    other graphs keep what they had.
    """
    bound = node.bound
    node.bound = Bound(bound.op, {**bound.attrs, "bodies": bodies}, bound.ins, (*bound.outs, *outs))
    first = len(node.outputs)
    more = tuple(Value(node, first + i, aval) for i, aval in enumerate(outs))
    node.outputs += more
    return more


# -- running ---------------------------------------------------------------------------------


def kernel_of(
    bound: Bound, binding: dict[str, int], runner: Callable[[Graph], Runner]
) -> Callable[..., tuple[Any, ...]]:
    """What runs a region, from its operands to its results, in memory of their own.

    Parameters
    ----------
    bound : Bound
    binding : dict
        The size of each symbolic dimension.
    runner : callable
        Makes of a body what runs it.
    """
    runners = [runner(body) for body in bound.attrs["bodies"]]
    run = _RUN[bound.op]

    def kernel(*operands: Any) -> tuple[Any, ...]:
        results = run(bound, binding, runners, operands)
        # A carry that no round changes, or an operand that a branch hands on, is somebody else's.
        taken = {id(owner(x)) for x in operands}
        fresh = []
        for array in results:
            mine = id(owner(array)) not in taken
            taken.add(id(owner(array)))
            fresh.append(array if mine else copied(array))
        return tuple(fresh)

    return kernel


def _run_body(
    bound: Bound, binding: dict[str, int], runners: list[Runner], operands: Any
) -> list[Any]:
    """Run the only body, once."""
    return runners[0]([operands[i] for i in bound.attrs["feeds"][0]])


def _run_cond(
    bound: Bound, binding: dict[str, int], runners: list[Runner], operands: Any
) -> list[Any]:
    branch = 0 if bool(operands[0]) else 1
    return runners[branch]([operands[i] for i in bound.attrs["feeds"][branch]])


def _run_while(
    bound: Bound, binding: dict[str, int], runners: list[Runner], operands: Any
) -> list[Any]:
    count = bound.attrs["carries"]
    asks, goes = bound.attrs["feeds"]
    state = list(operands)
    rounds: list[list[Any]] = []
    while bool(runners[0]([state[i] for i in asks])[0]):
        results = runners[1]([state[i] for i in goes])
        state[:count] = results[:count]
        if len(results) > count:
            rounds.append(results[count:])
    stacks = _stacks(bound.outs[count:], binding, len(rounds))
    for i, stack in enumerate(stacks):
        for step, outputs in enumerate(rounds):
            stack[step] = outputs[i]
    _note_stacks(rounds, stacks)
    return [*state[:count], *stacks]


def _run_scan(
    bound: Bound, binding: dict[str, int], runners: list[Runner], operands: Any
) -> list[Any]:
    attrs = bound.attrs
    count, xs = attrs["carries"], range(attrs["carries"], attrs["carries"] + attrs["xs"])
    length = operands[xs[0]].shape[0] if xs else substitute(attrs["length"], binding)
    [feeds], [run] = attrs["feeds"], runners
    state = list(operands)
    stacks = _stacks(bound.outs[count:], binding, length)
    observer = recorder()
    rounds: list[list[Any]] = [[]] * length
    for step in reversed(range(length)) if attrs["reverse"] else range(length):
        for i in xs:
            state[i] = operands[i][step, ...]  # the ellipsis keeps a number an array
            if observer is not None:
                observer.note_slice(state[i], operands[i])
        results = run([state[i] for i in feeds])
        state[:count] = results[:count]
        for stack, array in zip(stacks, results[count:]):
            stack[step] = array
        if observer is not None:
            rounds[step] = results[count:]
    _note_stacks(rounds, stacks)
    return [*state[:count], *stacks]


def _note_stacks(rounds: list[list[Any]], stacks: list[Any]) -> None:
    """Tell whoever observes what each stack is made of."""
    observer = recorder()
    if observer is None or not rounds:
        return
    for parts, stacked_parts in zip(zip(*rounds), stacks):
        specs = tuple((p.shape, p.dtype, device_of(p)) for p in parts)
        observer.note(REGISTRY["stack"].bind(specs, (0,)), parts, (stacked_parts,))


def _stacks(avals: Sequence[Aval], binding: dict[str, int], length: int) -> list[Any]:
    """Room for the outputs of every round."""
    return [
        aval.device.xp.empty((length, *substitute(aval.shape[1:], binding)), aval.dtype)
        for aval in avals
    ]


_RUN = {
    CHECKPOINT: _run_body,
    FUSED: _run_body,
    COND: _run_cond,
    WHILE: _run_while,
    SCAN: _run_scan,
}

__all__ = [
    "CHECKPOINT", "COND", "FUSED", "SCAN", "WHILE", "Body", "append_cond", "append_region",
    "append_while", "feed_of", "grow", "kernel_of", "stacked", "trips",
]  # fmt: skip
