"""tree: a TreeLSTM over random binary trees, whose shape differs from tree to tree.

Eager code walks a tree as Python does. The static style holds it as arrays in post-order and walks
them in a `while_loop`, and so does a step that is compiled as a whole. The hybrid style walks in
Python and compiles the cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...graphs.control import cond, while_loop
from ...graphs.ops import (
    arange,
    concat,
    cross_entropy,
    expand_dims,
    sigmoid,
    take,
    tanh,
    where,
    zeros,
)
from ..task import Task
from . import numbers
from .workload import Rung, Workload

TREES, FEWEST_LEAVES, MOST_LEAVES = 32, 10, 40
HIDDEN, WORDS, CLASSES = 64, 100, 5

State = tuple[Any, Any]


def build(trees: int = TREES, hidden: int = HIDDEN) -> Task:
    """Trees of 10 to 40 leaves; one step goes forward and backward through each."""
    rng = np.random.default_rng(0)
    embedding = numbers.weight(rng, 1, WORDS, hidden)
    w = numbers.weight(rng, 2 * hidden, 2 * hidden, 5 * hidden)
    b = numbers.zeros(5 * hidden)
    wo, bo = numbers.weight(rng, hidden, hidden, CLASSES), numbers.zeros(CLASSES)

    def leaf(word: Any) -> State:
        c = take(embedding, word, axis=0)
        return tanh(c), c

    def node(h_left: Any, c_left: Any, h_right: Any, c_right: Any) -> State:
        z = concat([h_left, h_right]) @ w + b
        i, f1, f2, g, o = (z[k * hidden : (k + 1) * hidden] for k in range(5))
        c = sigmoid(i) * tanh(g) + sigmoid(f1) * c_left + sigmoid(f2) * c_right
        return sigmoid(o) * tanh(c), c

    def classified(h: Any, label: Any) -> Any:
        return cross_entropy(expand_dims(h @ wo + bo, 0), label)

    def loops(words: Any, left: Any, right: Any, label: Any) -> Any:
        count = words.shape[0]
        rows = arange(count)

        def grow(carry: Any) -> Any:
            at, hs, cs = carry
            a, b = take(left, at), take(right, at)
            h, c = cond(
                a < 0,
                lambda: leaf(take(words, at)),
                lambda: node(*(take(x, i, axis=0) for i in (a, b) for x in (hs, cs))),
            )
            here = expand_dims(rows == at, 1)
            return at + 1, where(here, h, hs), where(here, c, cs)

        start = (zeros((), dtype="int64"), zeros((count, hidden)), zeros((count, hidden)))
        _, hs, _ = while_loop(lambda carry: carry[0] < count, grow, start)
        return classified(take(hs, count - 1, axis=0), label)

    return Task(
        loss=_walk(leaf, node, classified),
        written_for={"static": loops, "hybrid-step": loops},
        in_pieces=lambda compile: _walk(compile(leaf), compile(node), compile(classified)),
        batches=[_tree(rng) for _ in range(trees)],
        parameters=[embedding, w, b, wo, bo],
        shapes=[("nodes",), ("nodes",), ("nodes",), (1,)],
        batches_a_step=trees,
    )


def _walk(
    leaf: Callable[..., State], node: Callable[..., State], classified: Callable[..., Any]
) -> Callable[..., Any]:
    """The loss of a tree, walked in Python from the leaves to the root."""

    def loss(words: Any, left: Any, right: Any, label: Any) -> Any:
        states: list[State] = []
        children = zip(left.numpy().tolist(), right.numpy().tolist())
        for at, (a, b) in enumerate(children):
            states.append(leaf(words[at]) if a < 0 else node(*states[a], *states[b]))
        return classified(states[-1][0], label)

    return loss


def _tree(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A random binary tree in post-order: words, left and right children, -1 at a leaf; a label."""
    words: list[int] = []
    left: list[int] = []
    right: list[int] = []

    def add(word: int, a: int, b: int) -> int:
        words.append(word)
        left.append(a)
        right.append(b)
        return len(words) - 1

    def grow(leaves: int) -> int:
        if leaves == 1:
            return add(int(rng.integers(WORDS)), -1, -1)
        split = int(rng.integers(1, leaves))
        a, b = grow(split), grow(leaves - split)
        return add(0, a, b)

    grow(int(rng.integers(FEWEST_LEAVES, MOST_LEAVES + 1)))
    columns = (words, left, right, [int(rng.integers(CLASSES))])
    return tuple(np.array(column, np.int64) for column in columns)


_RUNGS = (
    Rung("eager", "a tree is walked by Python", "eager", build),
    Rung("cell", "what a leaf, a node and the root compute is compiled", "hybrid", build),
    Rung("static", "the walk, too, in a while_loop over arrays", "static", build,
         is_certified=False),
)  # fmt: skip
TREE = Workload(
    name="tree",
    title="TreeLSTM of 64 over 32 random trees, forward and backward, each mode in its own way",
    build=build,
    steps=12,
    rungs=_RUNGS,
)
