"""The tape: one node per recorded call, linked from results to operands."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ..graphs.autodiff import pull, zeros_of
from ..graphs.avals import Aval
from ..graphs.errors import TapeError
from ..graphs.nodes import user_location
from ..graphs.ops.core import Bound
from ..graphs.watch import is_watching

_count = itertools.count()


def next_seq() -> int:
    """A moment in the order of creation of nodes: later ones have a larger `seq`."""
    return next(_count)


class Saved:
    """A value that a gradient rule will read, with the version it had when it was saved.

    An operand is held as its tensor. A result is held as its array and storage alone: holding the
    tensor would tie a knot with the node that the tensor holds.
    """

    __slots__ = ("index", "name", "tensor", "version")

    def __init__(self, name: str, tensor: Any, index: int | None) -> None:
        self.name = name
        self.version = tensor.storage.version
        self.tensor = tensor if index is None else tensor.detach()
        self.index = index

    def read(self, node: Node) -> Any:
        """The saved tensor, joined to its history; an error if it was changed in place since."""
        if self.tensor.storage.version != self.version:
            raise TapeError(
                f"{node.name}: a value saved for the gradient must not change in place, got "
                f"{self.name!r} at version {self.tensor.storage.version} in place of {self.version}"
            )
        if self.index is None:
            return self.tensor
        return self.tensor.rejoin(node, self.index)


class SavedValues(Protocol):
    """What a node has saved, by name: kept, or made when one is asked for."""

    def __getitem__(self, name: Any, /) -> Saved: ...


class Node:
    """A recorded call: where its operands came from, and how cotangents pass through it.

    Attributes
    ----------
    name : str
    seq : int
        Order of creation on all threads; the sweep visits descending ones.
    edges : tuple
        Per operand, the node that made it, or the leaf tensor itself, with the index of the
        result; None where no gradient flows.
    outputs : tuple of Aval
    location : Location or None
        The line of the call, noted where anomalies are looked for.
    """

    __slots__ = ("_hooks", "edges", "location", "name", "outputs", "retained", "saved", "seq")

    def __init__(
        self,
        name: str,
        edges: tuple[Any, ...],
        outputs: tuple[Aval, ...],
        saved: dict[Any, Saved],
    ) -> None:
        self.name, self.edges, self.outputs = name, edges, outputs
        self.saved: SavedValues | None = saved
        self.seq = next(_count)
        self.location = user_location() if is_watching() else None
        self._hooks: dict[int, list[Callable[[Any], Any]]] | None = None
        self.retained: dict[int, weakref.ref[Any]] | None = None

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Per operand, the node its gradient flows to and the index of the result there."""
        return tuple(
            (None, 0) if edge is None else
            (edge[0] if isinstance(edge[0], Node) else AccumulateGrad(edge[0]), edge[1])
            for edge in self.edges
        )  # fmt: skip

    def hooks(self, index: int) -> list[Callable[[Any], Any]]:
        """The list of hooks on the cotangent of one result."""
        if self._hooks is None:
            self._hooks = {}
        return self._hooks.setdefault(index, [])

    def apply_hooks(self, index: int, cotangent: Any) -> Any:
        for hook in tuple(self._hooks.get(index, ())) if self._hooks else ():
            replaced = hook(cotangent)
            cotangent = cotangent if replaced is None else replaced
        return cotangent

    def retain(self, index: int, tensor: Any) -> None:
        """Let a backward add the cotangent of one result to ``tensor.grad``.

        The tensor is held weakly: it holds this node.
        """
        if self.retained is None:
            self.retained = {}
        self.retained[index] = weakref.ref(tensor)

    def pull(self, cotangents: list[Any], needs: list[bool]) -> list[tuple[int, Any]]:
        """Cotangents of the operands, as (position, cotangent).

        Parameters
        ----------
        cotangents : list
            One per result; None where nothing reads the result.
        needs : list of bool
            Which operands' are wanted.
        """
        raise NotImplementedError(self.name)

    def unpack(self, name: Any) -> Any:
        """A saved value.

        Raises
        ------
        TapeError
            When it was freed, or changed in place.
        """
        if self.saved is None:
            raise TapeError(
                f"{self.name}: the tape's buffers are freed by the first backward, got a second; "
                "pass retain_graph=True to the first"
            )
        return self.saved[name].read(self)

    def check_alive(self) -> None:
        """Raises TapeError when the buffers were freed."""
        if self.saved is None:
            self.unpack(None)

    def free(self) -> None:
        """Drop the saved values; another backward through this node is an error."""
        self.saved = None

    def __repr__(self) -> str:
        return f"<{self.name} backward>"


class OpNode(Node):
    """The recorded call of one operator, whose rules are in the operator table."""

    __slots__ = ("bound",)

    def __init__(self, bound: Bound, edges: tuple[Any, ...], saved: dict[Any, Saved]) -> None:
        super().__init__(bound.op.name, edges, bound.outs, saved)
        self.bound = bound

    def pull(self, cotangents: list[Any], needs: list[bool]) -> list[tuple[int, Any]]:
        full = [zeros_of(a) if g is None else g for a, g in zip(self.outputs, cotangents)]
        return pull(self.bound, needs, self.unpack, full)


class AccumulateGrad:
    """The end of the tape at a leaf: its cotangent is added to ``leaf.grad``."""

    def __init__(self, variable: Any) -> None:
        self.variable = variable
        self.next_functions: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return "<accumulate grad>"
