"""Checkpointing on the tape: what the gradient needs is computed again in place of being kept."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from ..graphs.errors import TapeError
from ..graphs.modes import enable_grad, is_grad_enabled, noting_reads, noting_writes
from ..graphs.storage import Storage
from ..graphs.trees import flatten
from .tape import Node, OpNode, Saved, next_seq
from .tensor import Tensor


def checkpoint(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a function whose intermediate results are dropped, and computed again by the sweep."""
    if not is_grad_enabled():
        return function(*args)
    first = next_seq()
    reads = _Reads()
    with noting_writes() as before, noting_reads(reads.note):
        results = function(*args)
    nodes = _made_since(first, results)
    recipe = _Recipe(function, args, dict(before), reads, nodes)
    for position, node in enumerate(nodes):
        if isinstance(node, OpNode) and node.saved is not None:
            node.saved = _Again(recipe, position)
    reads.forget_dead()
    return results


class _Reads:
    """The version at which a run first read each storage; none is kept alive for it."""

    def __init__(self) -> None:
        self._first: dict[int, tuple[weakref.ref[Storage], int]] = {}

    def version(self, storage: Storage) -> int | None:
        """The version at its first read, None where it was not read."""
        held, version = self._first.get(id(storage), (None, None))
        return version if held is not None and held() is storage else None

    def note(self, operator: str, storage: Storage) -> None:
        if self.version(storage) is None:
            self._first[id(storage)] = (weakref.ref(storage), storage.version)

    def forget_dead(self) -> None:
        """Drop what cannot be read again: intermediate results."""
        self._first = {key: noted for key, noted in self._first.items() if noted[0]() is not None}


class _Recipe:
    """How to make the dropped values again: the function, and state as it was.

    State that the function wrote, such as a random offset or running statistics, is set back for
    the second run, and to what it is now after it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        before: dict[int, tuple[Storage, Any, int]],
        reads: _Reads,
        nodes: list[Node],
    ) -> None:
        self.function, self.args = function, args
        self._before, self._reads = before, reads
        self._names = [node.name for node in nodes]
        self._lock = threading.Lock()
        self._saved: list[Any] | None = None

    def saved(self, position: int) -> Any:
        """What one of the function's nodes saved, at its second run."""
        with self._lock:
            if self._saved is None:
                self._saved = self._run_again()
            return self._saved[position]

    def _run_again(self) -> list[Any]:
        now = [(s, s.array.copy(), s.version) for s, _, _ in self._before.values()]
        first = next_seq()
        try:
            _set(self._before.values())
            with enable_grad(), noting_reads(self._checked_reads()):
                nodes = _made_since(first, self.function(*self.args))
        finally:
            _set(now)
        if [node.name for node in nodes] != self._names:
            raise TapeError(
                "checkpoint: the function must compute the same again, got "
                f"{len(nodes)} operators in place of {len(self._names)}, or others"
            )
        return [node.saved for node in nodes]

    def _checked_reads(self) -> Callable[[str, Storage], None]:
        """A reader of the second run: what both runs read must be as the first run found it.

        Tensors that the function makes are others in each run, so it may change those.
        """
        again = _Reads()

        def check(operator: str, storage: Storage) -> None:
            version = self._reads.version(storage)
            is_first = again.version(storage) is None
            again.note(operator, storage)
            if is_first and version not in (None, storage.version):
                raise TapeError(
                    "checkpoint: what the function read must not change before its gradient, got "
                    f"an operand of {operator} at version {storage.version} in place of {version}"
                )

        return check


class _Again:
    """The saved values of a node, made when one is asked for."""

    def __init__(self, recipe: _Recipe, position: int) -> None:
        self._recipe, self._position = recipe, position

    def all(self) -> tuple[Saved, ...]:
        saved = self._recipe.saved(self._position)
        return saved if isinstance(saved, tuple) else saved.all()


def _made_since(first: int, results: Any) -> list[Node]:
    """The nodes that results came from, as far back as a moment, in order of creation."""
    seen: dict[int, Node] = {}
    leaves, _ = flatten(results)
    pending = [x.grad_fn for x in leaves if isinstance(x, Tensor) and x.grad_fn is not None]
    while pending:
        node = pending.pop()
        if node.seq > first and id(node) not in seen:
            seen[id(node)] = node
            pending.extend(source for source in node.sources if isinstance(source, Node))
    return sorted(seen.values(), key=lambda node: node.seq)


def _set(state: Any) -> None:
    for storage, array, version in state:
        storage.array[...] = array
        storage.version = version
