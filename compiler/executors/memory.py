"""The memory plan: which value lives in which buffer, and where each buffer lies in the arena.

A buffer is dead after the last node that reads any value in it. An operator that may work in
place takes over a dying operand's buffer; a value that is assigned to a variable is computed
straight into the variable where nothing reads the old one later; the rest share one arena.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...graphs.avals import Aval
from ...graphs.dims import Dim
from ...graphs.interpreter import resolve, source_array, viewed
from ...graphs.ir import PLACEHOLDER, VARIABLE, Graph, Node, Value
from ...graphs.kernels import shares, shares_memory, touched_bytes
from ...graphs.ops.core import Bound
from ...graphs.storage import Storage
from ..arena import lay_out


@dataclass(eq=False)
class Buffer:
    """Memory that one or more values share.

    Attributes
    ----------
    nbytes : int
    start, end : int
        First and last node, in order of execution, at which it is live.
    array : array or None
        Memory that exists already: a variable's or a constant's.
    offset : int
        In the arena, in bytes.
    storage : Storage or None
        The variable whose memory it is.
    """

    nbytes: int
    start: int
    end: int
    array: Any = None
    offset: int = 0
    storage: Storage | None = None


@dataclass
class Counts:
    """What one run of a plan does, known without running it.

    Attributes
    ----------
    operators, launches, bytes_moved, flop : int
        As `graphs.kernels.Recorder` counts them.
    arena_bytes : int
    profile : list of int
        Bytes in use after each operator: live buffers, and what will be returned.
    """

    operators: int = 0
    launches: int = 0
    bytes_moved: int = 0
    flop: int = 0
    arena_bytes: int = 0
    profile: list[int] = field(default_factory=list)


@dataclass
class MemoryPlan:
    """Where every value of a graph lives for one binding of its symbolic dimensions.

    Attributes
    ----------
    bounds : list of Bound
        Per node, with sizes filled in.
    homes : dict
        From each computed or stored value to its buffer. A value without one is made anew in
        each run: what is returned, feeds, and views of these.
    arena : list of Buffer
    arena_bytes, bound_bytes : int
        Size of the arena, and the liveness lower bound that no plan can beat.
    returned_bytes : int
        Allocated in each run for what is returned.
    in_place, direct : int
        Results computed over a dying operand, and straight into a variable.
    committed : list of (Storage, Value)
        What is left to copy into variables at the end.
    counts : Counts
    """

    bounds: list[Bound]
    homes: dict[Value, Buffer] = field(default_factory=dict)
    arena: list[Buffer] = field(default_factory=list)
    arena_bytes: int = 0
    bound_bytes: int = 0
    returned_bytes: int = 0
    in_place: int = 0
    direct: int = 0
    committed: list[tuple[Storage, Value]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def __str__(self) -> str:
        return (
            f"plan memory: peak {self.arena_bytes + self.returned_bytes} bytes: arena "
            f"{self.arena_bytes} bytes in {len(self.arena)} buffers (liveness bound "
            f"{self.bound_bytes}), {self.in_place} results in place, {self.direct} straight into "
            f"variables, {self.returned_bytes} bytes returned a run"
        )


def plan_memory(graph: Graph, binding: dict[str, int]) -> MemoryPlan:
    """Plan a graph for one binding of its symbolic dimensions."""
    return _Planner(graph, binding).plan


class _Planner:
    """Fills a plan in, step by step."""

    def __init__(self, graph: Graph, binding: dict[str, int]) -> None:
        self.graph, self.binding = graph, binding
        self.plan = MemoryPlan([resolve(node, binding) for node in graph.nodes])
        self.outputs = set(graph.outputs)
        self.escaping = {viewed(v) for v in graph.outputs}
        # Arrays of the right layout that are never touched: they tell which views are views.
        self.layouts: dict[Value, Any] = {}
        self.targets = {
            node.inputs[1]: node for node in reversed(graph.effects)
        }  # the first assignment of a value wins its memory
        self._roots()
        self._shared = self._overlapping()
        self._place()
        self._commit()
        self.plan.arena_bytes, self.plan.bound_bytes = lay_out(self.plan.arena)
        self._count()

    def _roots(self) -> None:
        """Group values that share memory, and find when each group is last read."""
        self.root: dict[Value, Value] = {}
        self.last: dict[Value, int] = {}
        for node, bound in zip(self.graph.nodes, self.plan.bounds):
            # What is assigned is read when the run commits, after every node.
            if node.op.effect:
                self._read(node.inputs[1], len(self.graph.nodes))
                continue
            for value in node.inputs:
                self._read(value, node.id)
            for value, aval in zip(node.outputs, bound.outs):
                self.root[value] = self._root_of(value, node, bound, aval)
                self.last.setdefault(self.root[value], node.id)
        for value in self.outputs:
            self._read(value, len(self.graph.nodes))

    def _read(self, value: Value, when: int) -> None:
        root = self.root[value]
        self.last[root] = max(self.last.get(root, 0), when)

    def _root_of(self, value: Value, node: Node, bound: Bound, aval: Any) -> Value:
        if node.is_source and node.op is not PLACEHOLDER:
            self.layouts[value] = source_array(node, self.binding)
            return value
        if node.op.view:
            source = self.layouts[node.inputs[0]]
            view = bound.kernel(source)
            if shares(view, source):
                self.layouts[value] = view
                return self.root[node.inputs[0]]
        # What depends on data has no size before a run.
        shape = tuple(0 if isinstance(d, Dim) else d for d in aval.shape)
        self.layouts[value] = aval.device.xp.empty(shape, aval.dtype)
        return value

    def is_view(self, value: Value) -> bool:
        return self.root[value] is not value

    def _place(self) -> None:
        for node, bound in zip(self.graph.nodes, self.plan.bounds):
            if node.op.effect:
                continue
            if node.is_source:
                self._place_source(node)
                continue
            for value, aval in zip(node.outputs, bound.outs):
                if self.is_view(value):
                    home = self.plan.homes.get(self.root[value])
                    if home is not None:
                        self.plan.homes[value] = home
                elif value in self.outputs or value in self.escaping or self._is_fresh(node, aval):
                    self.plan.returned_bytes += self.layouts[value].nbytes
                else:
                    self.plan.homes[value] = self._buffer(node, bound, value)

    def _is_fresh(self, node: Node, aval: Aval) -> bool:
        """Whether a kernel makes its own memory: of several results, or of a size unknown yet."""
        return len(node.outputs) > 1 or node.op.region or aval.is_symbolic

    def _place_source(self, node: Node) -> None:
        [value] = node.outputs
        if node.op is PLACEHOLDER:
            return
        array = self.layouts[value]
        storage = node.attrs["storage"] if node.op is VARIABLE else None
        self.plan.homes[value] = Buffer(array.nbytes, 0, len(self.graph.nodes), array, 0, storage)

    def _buffer(self, node: Node, bound: Bound, value: Value) -> Buffer:
        end = self.last[value]
        target = self.targets.get(value)
        if target is not None and self._may_overwrite(node, target):
            self.plan.direct += 1
            return self.plan.homes[target.inputs[0]]
        if node.op.in_place:
            for operand in node.inputs:
                home = self._dying(operand, node, value)
                if home is not None:
                    home.end = end
                    self.plan.in_place += 1
                    return home
        home = Buffer(int(bound.outs[0].nbytes), node.id, end)
        if home.nbytes:
            self.plan.arena.append(home)
        return home

    def _dying(self, operand: Value, node: Node, value: Value) -> Buffer | None:
        """The operand's buffer, if this node may write its result over it."""
        home = self.plan.homes.get(operand)
        layout, wanted = self.layouts[operand], self.layouts[value]
        free = (
            home is not None
            and home.array is None
            and not self.is_view(operand)
            and self.last[operand] == node.id
            and layout.shape == wanted.shape
            and layout.dtype == wanted.dtype
            # Another operand in the same memory under other strides would be overwritten unread.
            and all(
                other is operand or self.root[other] is not self.root[operand]
                for other in node.inputs
            )
        )
        return home if free else None

    def _overlapping(self) -> set[int]:
        """Ids of storages whose memory another storage of the graph shares."""
        held = [storage for storage, _ in self.graph.variables]
        shared = set()
        for i, a in enumerate(held):
            for b in held[:i]:
                if shares_memory(a.array, b.array):
                    shared |= {id(a), id(b)}
        return shared

    def _may_overwrite(self, node: Node, target: Node) -> bool:
        """Whether a node may compute straight into the variable that its result is assigned to."""
        variable = target.inputs[0]
        storage = target.attrs["storage"]
        readers = [v for v, root in self.root.items() if root is variable]
        if any(v in self.outputs for v in readers):
            return False
        used = [user for v in readers for user in v.uses if not user.op.effect]
        stored = [e for e in self.graph.effects if self._source_of(e) is variable]
        written = [e for e in self.graph.effects if e.attrs["storage"] is storage]
        own = [v for v in node.inputs if self.root[v] is variable]
        # A kernel that may refuse its data must find every variable as it was.
        safe = not any(self._may_raise(other) for other in self.graph.nodes[node.id + 1 :])
        return (
            len(written) == 1
            and not stored
            and safe
            and id(storage) not in self._shared
            and all(user.id <= node.id for user in used)
            and (not own or (node.op.in_place and all(v is variable for v in own)))
            and self.layouts[variable].flags.c_contiguous
        )

    def _may_raise(self, node: Node) -> bool:
        """Whether a kernel may refuse its data; of a region, one in its bodies."""
        if node.op.region:
            return any(map(self._may_raise, (n for b in node.attrs["bodies"] for n in b.nodes)))
        return node.bound.may_raise

    def _source_of(self, effect: Node) -> Value:
        return self.root[effect.inputs[1]]

    def _commit(self) -> None:
        for effect in self.graph.last_effects:
            storage, value = effect.attrs["storage"], effect.inputs[1]
            home = self.plan.homes.get(value)
            if home is None or home.storage is not storage or self.is_view(value):
                self.plan.committed.append((storage, value))

    def _count(self) -> None:
        counts = self.plan.counts
        counts.arena_bytes = self.plan.arena_bytes
        returned = 0
        for node in self.graph.nodes:
            if node.op.effect or node.is_source:
                continue
            if node.op.region:
                continue  # its bodies count for themselves, in every round
            counts.operators += 1
            if not any(self.is_view(v) for v in node.outputs):
                counts.launches += 1
                arrays = [self.layouts[v] for v in (*node.inputs, *node.outputs)]
                counts.bytes_moved += sum(map(touched_bytes, arrays))
                flop = self.plan.bounds[node.id].flop
                counts.flop += 0 if isinstance(flop, Dim) else flop  # rounds are not known yet
                returned += sum(
                    self.layouts[v].nbytes for v in node.outputs if v not in self.plan.homes
                )
            live = sum(b.nbytes for b in self.plan.arena if b.start <= node.id <= b.end)
            counts.profile.append(live + returned)
