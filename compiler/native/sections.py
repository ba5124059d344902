"""Sections: the code of elements, pulled out of a fused body to where in the loops it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...graphs.ir import CONSTANT, PLACEHOLDER, Graph, Node, Value
from .affine import ZERO, Affine, in_shape
from .axes import address
from .elements import Element, Let, Load
from .layout import Layout, sizes
from .scalars import C_TYPES, is_dear, literal, scalar_code

ONCE, PER_ROW, PER_ELEMENT = range(3)
Index = tuple[Affine, ...]


class Sections:
    """Code at three levels of a nest: once, for each row, for each element.

    What does not depend on the variables of inner loops is computed outside of them; what several
    statements of a section need is computed once.

    Parameters
    ----------
    body : Graph
    operands : sequence of Layout
        Of its placeholders, which C knows as ``p0, p1, ...``.
    outer, inner : iterable of str
        Variables of the loops over rows, and of those over a row's elements.

    Attributes
    ----------
    statements : list of list
        Per level.
    loads : list of Load
        All of them.
    made : dict
        From values that have a name at any index to that and its level.
    kept : dict
        From values that an earlier pass has put into memory to the pointer and the offset.
    """

    def __init__(
        self,
        body: Graph,
        operands: Sequence[Layout],
        outer: Iterable[str],
        inner: Iterable[str],
    ) -> None:
        self.statements: list[list[Element]] = [[], [], []]
        self.loads: list[Load] = []
        self.made: dict[Value, tuple[str, int]] = {}
        self.kept: dict[Value, tuple[str, Affine]] = {}
        placeholders = body.placeholders.values()
        self._pointers = {v: (f"p{i}", x) for i, (v, x) in enumerate(zip(placeholders, operands))}
        self._outer, self._inner = set(outer), set(inner)
        self._known: dict[tuple[Value, Index], tuple[str, int]] = {}
        self._count = 0

    @property
    def element(self) -> list[Element]:
        """The code for each element in this pass."""
        return self.statements[PER_ELEMENT]

    def fresh(self, prefix: str = "x") -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{prefix}{self._count}"

    def pull(self, value: Value, index: Index) -> str:
        """The name of an element; the code that defines it is appended where it belongs."""
        return self._pulled(value, index)[0]

    def begin_pass(self) -> None:
        """Begin another pass over a row: names of elements are gone."""
        self._known = {k: v for k, v in self._known.items() if v[1] < PER_ELEMENT}
        self.statements[PER_ELEMENT] = []

    def _pulled(self, value: Value, index: Index) -> tuple[str, int]:
        """The name, and the level at which it is defined."""
        if value in self.made:
            return self.made[value]
        key = (value, index)
        if key not in self._known:
            self._known[key] = self._defined(value, index)
        return self._known[key]

    def _defined(self, value: Value, index: Index) -> tuple[str, int]:
        node, kind = value.node, C_TYPES[value.dtype]
        if value in self.kept:
            # The passes before put it there, whatever its index depends on.
            return self._loaded(kind, *self.kept[value], PER_ELEMENT)
        if node.op is CONSTANT:
            array = node.attrs["array"]
            return literal(array[()], array.dtype), ONCE
        if node.op is PLACEHOLDER:
            pointer, layout = self._pointers[value]
            return self._loaded(kind, pointer, address(index, layout.strides))
        if node.op.view and node.op.name != "stop_gradient":
            [source] = node.inputs
            return self._pulled(source, _seen_through(node, index))
        operands = [self._pulled(v, _broadcast_index(index, sizes(v.aval))) for v in node.inputs]
        level = max((depth for _, depth in operands), default=ONCE)
        name = self.fresh()
        code = scalar_code(node.bound, [operand for operand, _ in operands])
        self.statements[level].append(Let(name, kind, code, is_dear(node)))
        return name, level

    def _loaded(
        self, kind: str, pointer: str, offset: Affine, least: int = ONCE
    ) -> tuple[str, int]:
        variables = offset.variables
        inside, around = variables & self._inner, variables & self._outer
        level = max(least, PER_ELEMENT if inside else PER_ROW if around else ONCE)
        load = Load(self.fresh(), kind, pointer, offset, level)
        self.statements[level].append(load)
        self.loads.append(load)
        return load.name, level


def _broadcast_index(index: Index, shape: tuple[int, ...]) -> Index:
    """The index of an operand that is broadcast to where `index` points."""
    extra = len(index) - len(shape)
    return tuple(ZERO if n == 1 else index[extra + i] for i, n in enumerate(shape))


def _seen_through(node: Node, index: Index) -> Index:
    """The index of a view's operand where the view's is given."""
    shape, target = sizes(node.outputs[0].aval), sizes(node.inputs[0].aval)
    if node.op.name == "broadcast_to":
        return _broadcast_index(index, target)
    return in_shape(index, shape, target)
