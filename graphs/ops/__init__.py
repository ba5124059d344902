"""The operator table: one declaration an operator, one file a family.

`REGISTRY` maps names to operators. The functions, which are what users call, are gathered from the
families: an operator that is declared there is offered here and at the front door, but for those
that have a namespace of their own.
"""

from typing import TYPE_CHECKING, Any

from ..bound import Bound, Context
from . import (
    activations,
    advanced,
    attention,
    axes,
    complexes,
    convolution,
    creation,
    cumulative,
    decompositions,
    diagonals,
    einsum,
    elementwise,
    embeddings,
    fft,
    functions,
    gather,
    indexing,
    inverses,
    joining,
    linalg,
    logic,
    losses,
    manipulation,
    neural,
    normalization,
    norms,
    pooling,
    random,
    reductions,
    resampling,
    row_normalization,
    searching,
    sets,
    sorting,
    statistics,
    subscript,
)
from .core import REGISTRY, Op, defop

FUNCTIONS: dict[str, Any] = {
    name: getattr(family, name)
    for family in (
        activations, advanced, attention, axes, complexes, convolution, creation, cumulative,
        diagonals, einsum, elementwise, embeddings, functions, gather, indexing, joining, linalg,
        logic, losses, manipulation, neural, normalization, pooling, random, reductions,
        resampling, row_normalization, searching, sets, sorting, statistics, subscript,
    )
    for name in family.__all__
}  # fmt: skip
globals().update(FUNCTIONS)

# What `dt.linalg` and `dt.fft` offer beside, and the front door does not.
NAMESPACED: dict[str, Any] = {
    name: getattr(family, name)
    for family in (decompositions, fft, inverses, norms)
    for name in family.__all__
}

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


__all__ = ["FUNCTIONS", "NAMESPACED", "REGISTRY", "Bound", "Context", "Op", "defop"]
