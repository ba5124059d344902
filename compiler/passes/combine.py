"""combine: one large product of matrices for many small ones, as loops that are unrolled leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...graphs.ir import Graph, Node, Value
from ...graphs.ops import accumulate, matmul, sum_to
from ...graphs.ops.indexing import getitem
from .assemble import joined, slot_of, slots_of
from .contract import is_mergeable, is_transposed, merged, reshaped, transposed
from .terms import readers, whole_sums

Key = tuple[tuple[int, tuple[Any, ...]], ...]  # which matrices are joined, and their shapes

FEWEST = 3  # products to make one of
MOST_ROWS = 256  # of one of them: from here on a product is efficient by itself


def combine(graph: Graph) -> Graph:
    """Before: any graph, best after `contract`. After: these are one product each.

    - a sum of products ``a[i].T @ b[i]``, by the rows of all joined: the gradient of a weight that
      every step of a loop has read; and the sums over the rows of the same ``b[i]`` are one sum
    - products ``x[i] @ w`` of all slices of an array
    - products ``a[i] @ w`` that are joined or stacked

    Results agree to rounding: sums are taken in another order.
    """
    return graph.rebuild(_Combining(graph).visit, bodies=combine)


class _Combining:
    """The visitor of one graph: what is to be combined, and what of it the new graph has."""

    def __init__(self, graph: Graph) -> None:
        self.reads = readers(graph)
        self.env: dict[Value, Value] = {}
        self.matrices: dict[Key, Value] = {}
        self.sums = whole_sums(graph, self.reads)
        self.products: dict[Node, list[Value]] = {}
        self.orders: dict[frozenset[Value], list[Value]] = {}
        for root, terms in self.sums.items():
            found = [t for t in terms if self._is_small(t) and is_transposed(t.node.inputs[0])]
            if len(found) >= FEWEST:
                self.products[root] = found = _in_order(found)
                rights = [term.node.inputs[1] for term in found]
                self.orders[frozenset(map(_base, rights))] = rights
        self.slices = _of_all_slices(graph, self.reads)
        self.whole: dict[tuple[Value, Value], Value] = {}

    def visit(self, new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value] | None:
        self.env.update(zip(node.inputs, inputs))
        found: Value | None = None
        if node in self.sums:
            found = self._sum(node)
        elif node in self.slices:
            found = self._slice_of_product(node)
        elif node.op.name in ("concat", "stack") and node.attrs["axis"] == 0:
            found = self._joined_products(node)
        return None if found is None else (found,)

    def _is_small(self, value: Value) -> bool:
        """Whether a value is a product of matrices, few rows of which are added up or joined."""
        if value.node.op.name != "matmul" or self.reads[value] != 1 or len(value.shape) != 2:
            return False
        left, right = value.node.inputs
        if len(left.shape) != 2 or len(right.shape) != 2:
            return False
        rows = left.shape[1] if is_transposed(left) else left.shape[0]
        return isinstance(rows, int) and rows <= MOST_ROWS

    def _matrix(self, rows: Sequence[Value]) -> Value:
        """Matrices one below the other, once for all that read them, or some of them that follow
        each other."""
        key = tuple((id(_base(v)), v.shape) for v in rows)
        if key not in self.matrices:
            found = self._rows_of_another(key)
            self.matrices[key] = joined(self._runs(key, rows), 0) if found is None else found
        return self.matrices[key]

    def _rows_of_another(self, key: Key) -> Value | None:
        """The part of a matrix that has the same rows and more."""
        for known, matrix in self.matrices.items():
            for first in range(len(known) - len(key) + 1):
                if known[first : first + len(key)] == key:
                    begin, count = (sum(n for _, (n, *_) in p) for p in (known[:first], key))
                    return getitem(matrix, ((begin, begin + count, 1),))
        return None

    def _runs(self, key: Key, rows: Sequence[Value]) -> list[Value]:
        """What to join: the matrices, or as many of them as are joined by now."""
        found = []
        while key:
            begins = [known for known in self.matrices if key[: len(known)] == known]
            longest = max(begins, key=len, default=())
            if longest:
                found.append(self.matrices[longest])
            else:
                found.append(reshaped(self.env[_base(rows[0])], rows[0].shape))
            count = max(len(longest), 1)
            key, rows = key[count:], rows[count:]
        return found

    def _sum(self, root: Node) -> Value | None:
        terms = self.sums[root]
        combined = self.products.get(root)
        if combined is not None:
            left = self._matrix([term.node.inputs[0].node.inputs[0] for term in combined])
            whole = matmul(transposed(left), self._matrix([t.node.inputs[1] for t in combined]))
        else:
            combined = [t for t in terms if t.node.op.name == "sum_to" and self.reads[t] == 1]
            rights = self.orders.get(frozenset(_base(t.node.inputs[0]) for t in combined))
            shape = root.bound.outs[0].shape
            if rights is None or len(rights) != len(combined) or shape != rights[0].shape[1:]:
                return None
            whole = sum_to(self._matrix(rights), shape)
        rest = set(terms) - set(combined)
        return accumulate([*(self.env[t] for t in terms if t in rest), whole]) if rest else whole

    def _slice_of_product(self, node: Node) -> Value:
        part, w = node.inputs
        [source] = part.node.inputs
        if (source, w) not in self.whole:
            x = self.env[source]
            product = matmul(merged(x), self.env[w])
            self.whole[source, w] = reshaped(product, (*x.shape[:-1], product.shape[-1]))
        return getitem(self.whole[source, w], part.node.attrs["index"])

    def _joined_products(self, node: Node) -> Value | None:
        rights = {id(part.node.inputs[1]) for part in node.inputs if self._is_small(part)}
        alike = len(rights) == 1 and all(map(self._is_small, node.inputs))
        lefts = [part.node.inputs[0] for part in node.inputs] if alike else []
        if len(lefts) < FEWEST or any(map(is_transposed, lefts)):
            return None
        product = matmul(self._matrix(lefts), self.env[node.inputs[0].node.inputs[1]])
        return reshaped(product, node.bound.outs[0].shape)


def _base(value: Value) -> Value:
    """The value before it was reshaped."""
    while value.node.op.name == "reshape":
        value = value.node.inputs[0]
    return value


def _in_order(products: list[Value]) -> list[Value]:
    """Products in the order of the slices of one array that they read, else of their left sides.

    The steps of a loop run forwards, its gradient backwards, and both read the same values.
    """
    lefts = [p.node.inputs[0].node.inputs[0] for p in products]
    found = slots_of(lefts)
    if found is not None and all(isinstance(slot.start, int) for slot in found[1]):
        keys = [slot.start for slot in found[1]]
    else:
        keys = [left.node.id for left in lefts]
    order = sorted(range(len(products)), key=lambda i: (keys[i], i))
    return [products[i] for i in order]


def _of_all_slices(graph: Graph, reads: Counter[Value]) -> set[Node]:
    """Products of one matrix with slices that together are all of an array."""
    groups: dict[Any, list[Node]] = {}
    for node in graph.nodes:
        if node.op.name == "matmul" and reads[node.outputs[0]]:
            part, w = node.inputs
            slot = slot_of(part.node.attrs["index"]) if part.node.op.name == "getitem" else None
            if slot is not None and len(part.shape) == len(w.shape) == 2:
                [source] = part.node.inputs
                groups.setdefault((source, w, slot.axis, slot.is_index), []).append(node)
    found: set[Node] = set()
    for (source, _, axis, _), nodes in groups.items():
        slots = [slot_of(node.inputs[0].node.attrs["index"]) for node in nodes]
        starts = {slot.start: slot.stop - slot.start for slot in slots if slot is not None}
        rows = [node.inputs[0].shape[0] for node in nodes]
        if (
            len(starts) >= FEWEST
            and sum(starts.values()) == source.shape[axis]
            and axis < len(source.shape) - 1
            and all(isinstance(n, int) and n <= MOST_ROWS for n in rows)
            and is_mergeable(source)
        ):
            found.update(nodes)
    return found
