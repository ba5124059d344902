"""`einsum`: sums of products in Einstein's notation, as transposes, reshapes and matrix products.

An operand is carried along as a `Term`: the array with one label an axis. The axes of an ellipsis
have labels of their own, counted from the last. A label has one size; an axis of size 1 under a
label of another size repeats its only element, so it is dropped before anything is computed.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from string import ascii_letters
from typing import Any, NamedTuple

from ..avals import show
from ..dims import Dim, Shape, Size, product
from ..dtypes import is_integer, promote
from ..errors import ArgumentError, ShapeError
from .diagonals import diagonal
from .elementwise import multiply
from .linalg import matmul, permuted, require_numbers, reshaped
from .manipulation import named
from .plain import shaped
from .reductions import as_type
from .reductions import sum as sum_

Labels = tuple[str, ...]
_STRATEGIES = ("auto", "auto-hq", "greedy", "optimal", "dp", "branch-1", "branch-2", "branch-all")


class Term(NamedTuple):
    """An array and the labels of its axes."""

    array: Any
    labels: Labels


def einsum(subscripts: str, *operands: Any, optimize: Any = "auto") -> Any:
    """Sum of products over the axes that share a letter, in Einstein's notation.

    Parameters
    ----------
    subscripts : str
        A letter per axis, operands apart by commas, then ``->`` and the letters of the result:
        ``"ij,jk->ik"`` is the matrix product. A letter that is not in the result is summed over; a
        letter twice in one operand means its diagonal; ``...`` stands for any axes more, which
        broadcast. Without ``->`` the result has the axes of ``...`` and then, in alphabetical
        order, the letters that occur once.
    operands : array, numbers
    optimize : bool, str or list of tuple
        In which order more than two operands meet: a strategy of opt_einsum (True for "auto"),
        False for left to right, or a path as opt_einsum gives it. Operands of symbolic sizes
        always meet from left to right.

    Returns
    -------
    array of the common dtype

    Raises
    ------
    ShapeError
        When the subscripts are malformed or do not fit the shapes.
    DTypeError
        When the dtypes do not promote, or are bool.
    ArgumentError
        When `optimize` is no strategy and no path.

    Examples
    --------
    >>> x = dt.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> dt.einsum("ij,jk->ik", x, x)
    tensor([[ 7., 10.],
            [15., 22.]])
    >>> dt.einsum("ii", x)
    tensor(5.)
    """
    arrays = [shaped(x, "einsum") for x in operands]
    for array in arrays:
        named("einsum", require_numbers, array)
    if not isinstance(subscripts, str):
        raise ShapeError(f"einsum: subscripts must be a string, got {subscripts!r}")
    shapes = tuple(tuple(a.shape) for a in arrays)
    choice = named("einsum", _choice, optimize, len(shapes))
    inputs, output, sizes, path = named("einsum", _plan, subscripts, shapes, choice)
    # Before anything is summed, for a sum must not be narrower than the result.
    dtype = named("einsum", promote, [_kind(x, a) for x, a in zip(operands, arrays)])
    terms = [_simple(Term(as_type(a, dtype), i), sizes) for a, i in zip(arrays, inputs)]
    for positions in path:
        chosen = [terms.pop(i) for i in sorted(positions, reverse=True)]
        needed = {*output, *(label for term in terms for label in term.labels)}
        met = chosen.pop()
        while chosen:
            later = needed.union(*(term.labels for term in chosen[:-1]))
            met = _meet(met, chosen.pop(), later, sizes)
        terms.append(_summed(met, needed))
    [last] = terms
    return permuted(last.array, [last.labels.index(a) for a in output])


def _kind(given: Any, array: Any) -> Any:
    """How an operand enters promotion: by its dtype, or by its type if it is a Python number."""
    return type(given) if type(given) in (int, float, complex) else array.dtype


# -- reading ---------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _plan(
    subscripts: str, shapes: tuple[Shape, ...], optimize: Any
) -> tuple[list[Labels], Labels, dict[str, Size], list[tuple[int, ...]]]:
    """Labels of the operands and of the result, the size of every label, and the path."""
    inputs, output, sizes = _parse(subscripts, shapes)
    return inputs, output, sizes, _path(inputs, output, sizes, optimize)


def _choice(optimize: Any, count: int) -> Any:
    """How the order is chosen: a bool, a strategy, or a path for so many operands as tuples.

    Raises
    ------
    ArgumentError
        When it is none of these.
    """
    if isinstance(optimize, list | tuple):
        if not _is_path(optimize, count):
            raise ArgumentError(f"optimize must be a path for {count} operands, got {optimize}")
        return tuple(map(tuple, optimize))
    if not isinstance(optimize, bool) and optimize not in _STRATEGIES:
        raise ArgumentError(
            f"optimize must be a bool, a path or one of {', '.join(_STRATEGIES)}, got {optimize!r}"
        )
    return optimize


def _is_path(path: Any, count: int) -> bool:
    """Whether it leads from so many operands to one."""
    for step in path:
        if not isinstance(step, list | tuple) or not step:
            return False
        if not all(isinstance(i, int) and 0 <= i < count for i in step):
            return False
        if len(set(step)) != len(step):
            return False
        count -= len(step) - 1
    return bool(path) and count == 1


def _parse(
    subscripts: str, shapes: tuple[Shape, ...]
) -> tuple[list[Labels], Labels, dict[str, Size]]:
    got = f"got {subscripts!r} for {' and '.join(map(show, shapes)) or 'no operand'}"
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    parts = left.split(",")
    if not shapes or len(parts) != len(shapes):
        raise ShapeError(f"there must be subscripts for every operand, {got}")
    inputs = [_labels(part, len(shape), got) for part, shape in zip(parts, shapes)]
    sizes = _sizes(inputs, shapes, got)
    dots = max((sum(not a.isalpha() for a in labels) for labels in inputs), default=0)
    broadcast = tuple(str(i) for i in reversed(range(dots)))
    if not arrow:
        counts = Counter(label for labels in inputs for label in labels)
        once = sorted(a for a in counts if a.isalpha() and counts[a] == 1)
        return inputs, (*broadcast, *once), sizes
    if dots and "..." not in right:
        raise ShapeError(f"the result must have the axes of the ellipsis, {got}")
    output = _labels(right, len(right.replace("...", "")) + dots, got)
    if len(set(output)) != len(output) or not sizes.keys() >= set(output):
        raise ShapeError(f"the result's letters must be of the operands, once each, {got}")
    return inputs, output, sizes


def _labels(part: str, ndim: int, got: str) -> Labels:
    """The labels of `ndim` axes; those of an ellipsis are numbers, counted from the last."""
    before, dots, after = part.partition("...")
    if not all(letter in ascii_letters for letter in before + after):
        raise ShapeError(f"subscripts must be letters and at most one ellipsis each, {got}")
    rest = ndim - len(before) - len(after)
    if rest < 0 or (rest and not dots):
        raise ShapeError(f"subscripts must have a letter for every axis, {got}")
    return (*before, *(str(i) for i in reversed(range(rest))), *after)


def _sizes(inputs: list[Labels], shapes: tuple[Shape, ...], got: str) -> dict[str, Size]:
    sizes: dict[str, Size] = {}
    for labels, shape in zip(inputs, shapes):
        for label, size in zip(labels, shape):
            if sizes.setdefault(label, size) == 1:
                sizes[label] = size
            elif size not in (1, sizes[label]):
                name = f"letter {label!r}" if label.isalpha() else "ellipsis"
                raise ShapeError(f"an axis must have one size, {got}, {name}")
    return sizes


def _path(
    inputs: list[Labels], output: Labels, sizes: dict[str, Size], optimize: Any
) -> list[tuple[int, ...]]:
    """Which operands meet, step by step; what comes of them is put last."""
    if isinstance(optimize, tuple):
        return list(optimize)
    count = len(inputs)
    known = not any(isinstance(size, Dim) for size in sizes.values())
    if count <= 2 or not optimize or not known:
        return [(0,)] if count == 1 else [(0, 1), *((0, n) for n in range(count - 2, 0, -1))]
    import opt_einsum

    symbols = {label: opt_einsum.get_symbol(i) for i, label in enumerate(sizes)}
    text = [["".join(symbols[a] for a in labels) for labels in side] for side in (inputs, [output])]
    expression = "->".join(map(",".join, text))
    shapes = [tuple(sizes[a] for a in labels) for labels in inputs]
    strategy = "auto" if optimize is True else optimize
    return opt_einsum.contract_path(expression, *shapes, shapes=True, optimize=strategy)[0]


# -- computing -------------------------------------------------------------------------------


def _simple(term: Term, sizes: dict[str, Size]) -> Term:
    """The term without repeated labels and without axes that only broadcast."""
    array, labels = term
    kept = [i for i, (a, n) in enumerate(zip(labels, array.shape)) if n == sizes[a]]
    array = reshaped(array, tuple(array.shape[i] for i in kept))
    labels = tuple(labels[i] for i in kept)
    for label in dict.fromkeys(a for a in labels if labels.count(a) > 1):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            rest = [i for i in range(len(labels)) if i not in (first, second)]
            array = diagonal(permuted(array, [*rest, first, second]))
            labels = (*(labels[i] for i in rest), label)
    return Term(array, labels)


def _summed(term: Term, needed: set[str]) -> Term:
    """The term summed over the labels that nobody needs any more."""
    axes = tuple(i for i, label in enumerate(term.labels) if label not in needed)
    if not axes:
        return term
    # A sum of small integers is wide; einsum keeps the dtype, as matmul does.
    dtype = term.array.dtype if is_integer(term.array.dtype) else None
    array = sum_(term.array, axis=axes, dtype=dtype)
    return Term(array, tuple(label for label in term.labels if label in needed))


def _meet(x: Term, y: Term, needed: set[str], sizes: dict[str, Size]) -> Term:
    """The product of two terms, summed over the labels that they share and nobody needs."""
    x = _summed(x, needed | set(y.labels))
    y = _summed(y, needed | set(x.labels))
    shared = [a for a in x.labels if a in y.labels]
    both = [a for a in shared if a in needed]
    contracted = [a for a in shared if a not in needed]
    rows = [a for a in x.labels if a not in shared]
    columns = [a for a in y.labels if a not in shared]
    stack, height, width, depth = (
        tuple(sizes[a] for a in labels) for labels in (both, rows, columns, contracted)
    )
    left = permuted(x.array, [x.labels.index(a) for a in (*both, *rows, *contracted)])
    right = permuted(y.array, [y.labels.index(a) for a in (*both, *contracted, *columns)])
    if contracted:
        left = reshaped(left, (*stack, product(height), product(depth)))
        right = reshaped(right, (*stack, product(depth), product(width)))
        array = matmul(left, right)
    else:
        left = reshaped(left, (*stack, *height, *[1] * len(width)))
        right = reshaped(right, (*stack, *[1] * len(height), *width))
        array = multiply(left, right)
    return Term(reshaped(array, (*stack, *height, *width)), (*both, *rows, *columns))


__all__ = ["einsum"]
