"""The tape: one node per recorded call, linked from results to operands."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ..graphs.autodiff import zeros_of
from ..graphs.avals import Aval, aval_of
from ..graphs.bound import Bound
from ..graphs.compiled import as_compiled
from ..graphs.errors import TapeError
from ..graphs.held import new_held
from ..graphs.kernels import recorder
from ..graphs.modes import mode, styles
from ..graphs.nodes import user_location
from ..graphs.ops import REGISTRY, getitem
from ..graphs.ops.dispatch import call
from ..graphs.parameter import Parameter
from ..graphs.pulling import pull
from ..graphs.storage import Storage
from ..graphs.watch import is_watching
from .launches import launches

_count = itertools.count()
_FIRST = ((), (0,), (0, 1), (0, 1, 2))
_ADD, _SUBTRACT, _MULTIPLY = REGISTRY["add"], REGISTRY["subtract"], REGISTRY["multiply"]
_DIVIDE, _MATMUL, _NEGATIVE = REGISTRY["divide"], REGISTRY["matmul"], REGISTRY["negative"]
_GETITEM = REGISTRY["getitem"]


def next_seq() -> int:
    """A moment in the order of creation of nodes: later ones have a larger `seq`."""
    return next(_count)


class Recorded:
    """What the tape knows of a tensor: its numbers, how it was made, and what its gradient is.

    `Tensor` adds what users call. The fields are documented there.
    """

    array: Any
    requires_grad: bool
    grad_fn: Node | None
    index: int
    _grad: Any
    _storage: Any
    _base: Any
    _made: Any
    _view_version: int
    _recorded_version: int
    _hooks: list[Callable[[Any], Any]] | None

    def __init__(self, array: Any, requires_grad: bool = False) -> None:
        self.array = array
        self.requires_grad = requires_grad

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def storage(self) -> Storage:
        """The storage that this tensor and all its views share."""
        return storage_of(self)

    @property
    def grad(self) -> Any:
        """The gradient that `backward` has summed; in a traced step, that of the step so far."""
        return grad_traced(self) if styles() else self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        if not (styles() and set_grad_traced(self, gradient)):
            self._grad = gradient

    @property
    def is_leaf(self) -> bool:
        """Whether nothing recorded made it."""
        return self.grad_fn is None

    def edge(self) -> tuple[Any, int] | None:
        """Where its gradient flows: its maker, or itself if it is a leaf."""
        return edge_of(self)

    # `Operand` has these, too; here they are slots of a compiled class, which Python calls sooner,
    # and with the operands in their order, so that these need no reflected ones.

    def __add__(self, other: Any) -> Any:
        return call(_ADD, (self, other), ())

    def __sub__(self, other: Any) -> Any:
        return call(_SUBTRACT, (self, other), ())

    def __mul__(self, other: Any) -> Any:
        return call(_MULTIPLY, (self, other), ())

    def __truediv__(self, other: Any) -> Any:
        return call(_DIVIDE, (self, other), ())

    def __matmul__(self, other: Any) -> Any:
        return call(_MATMUL, (self, other), ())

    def __neg__(self) -> Any:
        return call(_NEGATIVE, (self,), ())

    def __getitem__(self, index: Any) -> Any:
        entries = _basic(index)
        return getitem(self, index) if entries is None else call(_GETITEM, (self,), (entries,))


as_compiled(
    Recorded,
    requires_grad=False,
    **dict.fromkeys(("grad_fn", "_grad", "_storage", "_base", "_made", "_hooks")),
    **dict.fromkeys(("index", "_view_version", "_recorded_version"), 0),
)


def _basic(index: Any) -> tuple[Any, ...] | None:
    """An index of plain numbers and slices as `getitem` of the table takes it; None for others."""
    entries: list[Any] = []
    for entry in index if type(index) is tuple else (index,):
        if type(entry) is slice:
            start, stop, step = entry.start, entry.stop, entry.step
            if not (_is_plain(start) and _is_plain(stop) and _is_plain(step)):
                return None
            entries.append((start, stop, step))
        elif type(entry) is int or entry is None or entry is Ellipsis:
            entries.append(entry)
        else:
            return None
    return tuple(entries)


def grad_traced(tensor: Any) -> Any:
    """The gradient of a tensor where a style is in force."""
    trace = _tracing(tensor)
    return tensor._grad if trace is None else trace.grad_of(tensor)


def set_grad_traced(tensor: Any, gradient: Any) -> bool:
    """Give a tensor its gradient in what is being traced, if anything is."""
    trace = _tracing(tensor)
    if trace is None:
        return False
    trace.set_grad(tensor, gradient)
    return True


def _tracing(tensor: Any) -> Any:
    """The trace that keeps the gradients of a tensor while it is made; None for all others."""
    if not isinstance(tensor, Parameter):
        return None
    style = styles()[-1]
    while getattr(style, "parent", None) is not None:
        style = style.parent
    return style if getattr(style, "keeps_grads", False) else None


def _is_plain(bound: Any) -> bool:
    return bound is None or type(bound) is int


# What compiled code calls is no method: on an instance of a class in Python, which `Tensor` is, a
# method would have to be searched for.


def made(kind: Any, array: Any) -> Any:
    """A new tensor of a class, which nothing has recorded: what calling the class gives, sooner."""
    tensor = kind.__new__(kind)
    tensor.array = array
    return tensor


def storage_of(tensor: Recorded) -> Storage:
    """The storage of a tensor, which it gets when it is first asked for."""
    held = tensor._storage
    if held is None:
        held = None if tensor.grad_fn is None else tensor.grad_fn.storage_of_result(tensor.index)
        if held is None:
            held = new_held(Storage, tensor.array)
        tensor._storage = held
    return held


def version_of(tensor: Recorded) -> int:
    """How often a tensor's memory was written; without a storage, never."""
    held = tensor._storage
    return 0 if held is None else held.version


def edge_of(tensor: Recorded) -> tuple[Any, int] | None:
    """The source of a tensor and which of its results it is; None where no gradient flows."""
    source = source_of(tensor)
    return None if source is None else (source, tensor.index)


def source_of(tensor: Recorded) -> Any:
    """Where a tensor's gradient flows: its maker, or itself if it is a leaf, or None."""
    if tensor._base is not None and _is_stale(tensor):
        raise TapeError(
            "view: its base must not change in place after it was taken, got version "
            f"{tensor.storage.version} in place of {tensor._view_version}; take the view again"
        )
    if not tensor.requires_grad:
        return None
    return tensor if tensor.grad_fn is None else tensor.grad_fn


def _is_stale(view: Recorded) -> bool:
    """Whether a view's numbers have a history that it does not know of."""
    if view._view_version == version_of(view):
        return False
    return view.requires_grad or view._base._recorded_version > view._view_version


def hooked(hooks: Any, cotangent: Any) -> Any:
    """A cotangent after hooks, each of which may replace it.

    Raises
    ------
    TapeError
        When a hook gives something else than a tensor of that shape and dtype, or None.
    """
    for hook in tuple(hooks or ()):
        replaced = hook(cotangent)
        if replaced is None:
            continue
        if not isinstance(replaced, Recorded):
            raise TapeError(f"hook: must give a tensor or None, got {replaced!r}")
        if replaced.shape != cotangent.shape or replaced.dtype != cotangent.dtype:
            raise TapeError(
                "hook: must keep the shape and dtype of the gradient, got "
                f"{aval_of(replaced.array)} for {aval_of(cotangent.array)}"
            )
        cotangent = replaced
    return cotangent


def join(tensor: Recorded, node: Node, index: int) -> None:
    """Say that a tensor is a result of a node."""
    tensor.grad_fn, tensor.index, tensor.requires_grad = node, index, True


class Saved:
    """A value that a gradient rule will read, with the version it had when it was saved.

    An operand is held as its tensor. A result is held as its array and storage alone: holding the
    tensor would tie a knot with the node that the tensor holds.

    Attributes
    ----------
    name : str
    tensor : Recorded or None
        An operand.
    index : int
        Which result it is; -1 for an operand.
    array, storage
        Of a result. The storage is one with the tensor's, once anybody has asked for either.
    version : int
    """

    name: Any
    tensor: Any
    array: Any
    storage: Any
    kind: Any
    version: int
    index: int

    def read(self, node: Node) -> Any:
        """The saved tensor, joined to its history; an error if it was changed in place since."""
        tensor = self.tensor
        if tensor is None:
            tensor = made(self.kind, self.array)
            tensor._storage = self.storage
        if version_of(tensor) != self.version:
            raise TapeError(
                f"{node.name}: a value saved for the gradient must not change in place, got "
                f"{self.name!r} at version {version_of(tensor)} in place of {self.version}"
            )
        if self.index >= 0 and mode().enabled:
            tensor._storage = self.shared_storage()
            join(tensor, node, self.index)
        return tensor

    def read_array(self, node: Node) -> Any:
        """The saved array; an error if it was changed in place since."""
        tensor = self.tensor
        held = self.storage if tensor is None else tensor._storage
        if (0 if held is None else held.version) != self.version:
            self.read(node)
        return self.array if tensor is None else tensor.array

    def shared_storage(self) -> Storage:
        """The storage of a result."""
        if self.storage is None:
            self.storage = new_held(Storage, self.array)
        return self.storage


def new_saved(name: str, tensor: Recorded, index: int) -> Saved:
    """What saves the result of an index, or an operand, whose index is -1."""
    saved = Saved.__new__(Saved)
    saved.name = name
    saved.index = index
    saved.version = version_of(tensor)
    if index < 0:
        saved.tensor = tensor
    else:
        saved.array, saved.storage, saved.kind = tensor.array, tensor._storage, type(tensor)
    return saved


as_compiled(Saved, **dict.fromkeys(("tensor", "array", "storage", "kind")))


class Recalled(Protocol):
    """What a node has not kept: the saved values are made when one is asked for."""

    def all(self) -> tuple[Saved, ...]: ...


class Node:
    """A recorded call: where its operands came from, and how cotangents pass through it.

    Attributes
    ----------
    name : str
    seq : int
        Order of creation on all threads; the sweep visits descending ones.
    sources : tuple
        Per operand, the node that made it, or the leaf tensor itself; None where no gradient flows.
    indices : tuple of int or None
        Per operand, which result of its source it is; None where each is the first.
    wanted : tuple of int
        Positions of the operands to which a gradient flows.
    outputs : tuple of Aval
    location : Location or None
        The line of the call, noted where anomalies are looked for.
    """

    name: str
    seq: int
    sources: tuple[Any, ...]
    indices: tuple[int, ...] | None
    wanted: tuple[int, ...]
    outputs: tuple[Aval, ...]
    location: Any
    saved: tuple[Saved, ...] | Recalled | None
    shared: dict[int, weakref.ref[Storage]] | None
    retained: dict[int, weakref.ref[Any]] | None
    _hooks: dict[int, list[Callable[[Any], Any]]] | None

    def __init__(
        self,
        name: str,
        edges: tuple[Any, ...],
        outputs: tuple[Aval, ...],
        saved: tuple[Saved, ...],
    ) -> None:
        sources = tuple([None if edge is None else edge[0] for edge in edges])
        self.begin(name, sources, positions(sources), outputs, saved)
        self.indices = tuple([0 if edge is None else edge[1] for edge in edges])

    def begin(
        self,
        name: str,
        sources: tuple[Any, ...],
        wanted: tuple[int, ...],
        outputs: tuple[Aval, ...],
        saved: tuple[Saved, ...],
    ) -> None:
        """Fill in a new node, each of whose operands is the first result of its source."""
        self.name = name
        self.sources = sources
        self.wanted = wanted
        self.outputs = outputs
        self.saved = saved
        self.seq = next(_count)
        if recorder() is not None and is_watching():
            self.location = user_location()

    def index_of(self, position: int) -> int:
        """Which result of its source an operand is."""
        return 0 if self.indices is None else self.indices[position]

    @property
    def edges(self) -> tuple[tuple[Any, int] | None, ...]:
        """Per operand its source and which result of it it is; None where no gradient flows."""
        return tuple(
            [None if s is None else (s, self.index_of(i)) for i, s in enumerate(self.sources)]
        )

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Per operand, the node its gradient flows to and the index of the result there."""
        return tuple(
            [
                (None, 0) if edge is None else
                (edge[0] if isinstance(edge[0], Node) else AccumulateGrad(edge[0]), edge[1])
                for edge in self.edges
            ]
        )  # fmt: skip

    def place(self, index: int) -> tuple[tuple[int, int], Callable[[Any], Any] | None]:
        """Where a sweep finds the cotangent of a result, and what takes it out there, if needed."""
        return (id(self), index), None

    def hooks(self, index: int) -> list[Callable[[Any], Any]]:
        """The list of hooks on the cotangent of one result."""
        if self._hooks is None:
            self._hooks = {}
        return self._hooks.setdefault(index, [])

    def apply_hooks(self, index: int, cotangent: Any) -> Any:
        """A result's cotangent after the hooks on it."""
        return cotangent if self._hooks is None else hooked(self._hooks.get(index), cotangent)

    def retain(self, index: int, tensor: Any) -> None:
        """Let a backward add the cotangent of one result to ``tensor.grad``.

        The tensor is held weakly: it holds this node.
        """
        if self.retained is None:
            self.retained = {}
        self.retained[index] = weakref.ref(tensor)

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        """Cotangents of the operands, as (position, cotangent).

        Parameters
        ----------
        cotangents : list
            One per result; None where nothing reads the result.
        wanted : tuple of int
            Positions of the operands whose cotangents are wanted.
        """
        raise NotImplementedError(self.name)

    def pull_arrays(self, cotangents: list[Any]) -> list[Any] | None:
        """Cotangents of all operands that are wanted, on arrays; None where only tensors will do.

        Parameters
        ----------
        cotangents : list of array or None
        """
        return None

    def unpack(self, position: int) -> Any:
        """A saved value, by its position among these.

        Raises
        ------
        TapeError
            When it was freed, or changed in place.
        """
        saved = self.saved
        if saved is None:
            raise TapeError(
                f"{self.name}: the tape's buffers are freed by the first backward, got a second; "
                "pass retain_graph=True to the first"
            )
        return (saved if isinstance(saved, tuple) else saved.all())[position].read(self)

    def storage_of_result(self, index: int) -> Storage | None:
        """The storage that a result has in common with others, or would have."""
        if isinstance(self.saved, tuple):
            for saved in self.saved:
                if saved.index == index:
                    return saved.shared_storage()
        found = None if self.shared is None else self.shared.get(index)
        return None if found is None else found()

    def check_alive(self) -> None:
        """Raises TapeError when the buffers were freed."""
        if self.saved is None:
            self.unpack(0)

    def free(self) -> None:
        """Drop the saved values; another backward through this node is an error.

        Storages of results by which others may know these are found as long as they know them.
        """
        if isinstance(self.saved, tuple):
            for saved in self.saved:
                if saved.storage is not None:
                    if self.shared is None:
                        self.shared = {}
                    self.shared[saved.index] = weakref.ref(saved.storage)
        self.saved = None

    def __repr__(self) -> str:
        return f"<{self.name} backward>"


as_compiled(Node, **dict.fromkeys(("indices", "location", "retained", "shared", "_hooks")))


class OpNode(Node):
    """The recorded call of one operator, whose rules are in the operator table.

    Attributes
    ----------
    bound : Bound
    """

    bound: Bound

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        bound = self.bound
        reads = bound.reads(wanted)
        values = {}
        if wanted is self.wanted:
            for position, read in enumerate(reads):
                values[read[0]] = self.unpack(position)
        else:
            kept = bound.reads(self.wanted)
            for read in reads:
                values[read[0]] = self.unpack(kept.index(read))
        for i, cotangent in enumerate(cotangents):
            if cotangent is None:
                cotangents[i] = zeros_of(self.outputs[i])
        return pull(bound, wanted, values, cotangents)

    def pull_arrays(self, cotangents: list[Any]) -> list[Any] | None:
        noted = launches(self.bound, self.wanted)
        if noted is None or type(self.saved) is not tuple:
            return None
        saved: tuple[Saved, ...] = self.saved
        count = len(saved)
        given: list[Any] = [None] * (count + len(cotangents))
        for i in range(count):
            given[i] = _array_of(saved[i], self)
        for i, cotangent in enumerate(cotangents):
            missing = cotangent is None
            given[count + i] = zeros_of(self.outputs[i]).array if missing else cotangent
        return noted.run(given)


def _array_of(saved: Saved, node: Node) -> Any:
    return saved.read_array(node)


def new_node(
    bound: Bound, sources: tuple[Any, ...], wanted: tuple[int, ...], saved: tuple[Saved, ...]
) -> OpNode:
    """The node of one operator's call."""
    node = OpNode.__new__(OpNode)
    node.begin(bound.name, sources, wanted, bound.outs, saved)
    node.bound = bound
    return node


def positions(sources: tuple[Any, ...]) -> tuple[int, ...]:
    """Where there is a source."""
    count = 0
    for i, source in enumerate(sources):
        if source is not None:
            if count < i:
                return tuple([j for j, s in enumerate(sources) if s is not None])
            count += 1
    # The commonest are one object each, which is found again by what it is.
    return _FIRST[count] if count < len(_FIRST) else tuple(range(count))


class AccumulateGrad:
    """The end of the tape at a leaf: its cotangent is added to ``leaf.grad``."""

    def __init__(self, variable: Any) -> None:
        self.variable = variable
        self.next_functions: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return "<accumulate grad>"
