"""Checkpointing on the tape: what the gradient needs is computed again in place of being kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..graphs.errors import TapeError
from ..graphs.modes import enable_grad, is_grad_enabled, noting_writes
from ..graphs.storage import Storage
from ..graphs.trees import flatten
from .tape import Node, OpNode, Saved, next_seq
from .tensor import Tensor


def checkpoint(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a function whose intermediate results are dropped, and computed again by the sweep."""
    if not is_grad_enabled():
        return function(*args)
    first = next_seq()
    with noting_writes() as before:
        results = function(*args)
    nodes = _made_since(first, results)
    recipe = _Recipe(function, args, dict(before), nodes)
    for position, node in enumerate(nodes):
        if isinstance(node, OpNode) and node.saved:
            node.saved = _Again(recipe, position)
    return results


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
        nodes: list[Node],
    ) -> None:
        self.function, self.args, self._before = function, args, before
        self._names = [node.name for node in nodes]
        made = {id(node) for node in nodes}
        self._leaves = [
            (s.name, s.tensor.storage, s.version)
            for node in nodes
            for s in (node.saved or {}).values()
            if s.index is None and not (s.tensor.grad_fn and id(s.tensor.grad_fn) in made)
        ]
        self._lock = threading.Lock()
        self._saved: list[Mapping[Any, Saved]] | None = None

    def saved(self, position: int) -> Mapping[Any, Saved]:
        """What one of the function's nodes saved, at its second run."""
        with self._lock:
            if self._saved is None:
                self._saved = self._run_again()
            return self._saved[position]

    def _run_again(self) -> list[Mapping[Any, Saved]]:
        for name, storage, version in self._leaves:
            if storage.version != version:
                raise TapeError(
                    f"checkpoint: what the function read must not change before its gradient, got "
                    f"{name!r} at version {storage.version} in place of {version}"
                )
        now = [(s, s.array.copy(), s.version) for s, _, _ in self._before.values()]
        first = next_seq()
        try:
            _set(self._before.values())
            with enable_grad():
                nodes = _made_since(first, self.function(*self.args))
        finally:
            _set(now)
        if [node.name for node in nodes] != self._names:
            raise TapeError(
                "checkpoint: the function must compute the same again, got "
                f"{len(nodes)} operators in place of {len(self._names)}, or others"
            )
        return [node.saved or {} for node in nodes]


class _Again(Mapping[Any, Saved]):
    """The saved values of a node, made when one is asked for."""

    def __init__(self, recipe: _Recipe, position: int) -> None:
        self._recipe, self._position = recipe, position

    def __getitem__(self, name: Any) -> Saved:
        return self._recipe.saved(self._position)[name]

    def __iter__(self) -> Any:
        return iter(self._recipe.saved(self._position))

    def __len__(self) -> int:
        return len(self._recipe.saved(self._position))


def _made_since(first: int, results: Any) -> list[Node]:
    """The nodes that results came from, as far back as a moment, in order of creation."""
    seen: dict[int, Node] = {}
    leaves, _ = flatten(results)
    pending = [x.grad_fn for x in leaves if isinstance(x, Tensor) and x.grad_fn is not None]
    while pending:
        node = pending.pop()
        if node.seq > first and id(node) not in seen:
            seen[id(node)] = node
            pending.extend(e[0] for e in node.edges if e is not None and isinstance(e[0], Node))
    return sorted(seen.values(), key=lambda node: node.seq)


def _set(state: Any) -> None:
    for storage, array, version in state:
        storage.array[...] = array
        storage.version = version
