"""The passes, in the order in which they run.

A pass is one file with one function from a graph to a new graph, with its contract in the
docstring. All of them keep results bit for bit.
"""

from collections.abc import Callable

from ...graphs.ir import Graph
from .cse import cse
from .fold import fold
from .prune import prune
from .simplify import simplify

PASSES: dict[str, Callable[[Graph], Graph]] = {
    "prune": prune,
    "fold": fold,
    "simplify": simplify,
    "cse": cse,
}

__all__ = ["PASSES", "cse", "fold", "prune", "simplify"]
