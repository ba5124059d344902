"""The passes, in the order in which they run.

A pass is one file with one function from a graph to a new graph, with its contract in the
docstring. Those of `PASSES` keep results bit for bit; those of `NATIVE_PASSES`, which the `native`
executor runs after them, change the order of sums.
"""

from collections.abc import Callable

from ...graphs.ir import Graph
from .cse import cse
from .fold import fold
from .fuse import fuse
from .prune import prune
from .simplify import simplify

Pass = Callable[[Graph], Graph]

PASSES: dict[str, Pass] = {
    "prune": prune,
    "fold": fold,
    "simplify": simplify,
    "cse": cse,
}
NATIVE_PASSES: dict[str, Pass] = {
    "fuse": fuse,
}

__all__ = ["NATIVE_PASSES", "PASSES", "Pass", "cse", "fold", "fuse", "prune", "simplify"]
