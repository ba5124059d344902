"""The operator table: one declaration an operator, one file a family.

`REGISTRY` maps names to operators. The functions, which are what users call, are gathered from the
families: an operator that is declared there is offered here and at the front door.
"""

from typing import TYPE_CHECKING, Any

from . import creation, elementwise, indexing, linalg, manipulation, neural, random, reductions
from .core import REGISTRY, Bound, Context, Op, defop

FUNCTIONS: dict[str, Any] = {
    name: getattr(family, name)
    for family in (
        creation, elementwise, indexing, linalg, manipulation, neural, random, reductions,
    )
    for name in family.__all__
}  # fmt: skip
globals().update(FUNCTIONS)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


__all__ = ["FUNCTIONS", "REGISTRY", "Bound", "Context", "Op", "defop"]
