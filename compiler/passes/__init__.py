"""The passes, in the order in which they run.

A pass is one file with one function from a graph to a new graph, with its contract in the
docstring; `groups` and `leave` belong to `fuse`, and `rounds` and `terms` are what several share.
Passes of `PASSES` keep results bit for bit; those of `NATIVE_PASSES`, which the `native` executor
runs after them, change the order of sums.
"""

from collections.abc import Callable

from ...graphs.ir import Graph
from .assemble import assemble
from .combine import combine
from .contract import contract
from .cse import cse
from .decompose import decompose
from .fold import fold
from .fuse import fuse
from .hoist import hoist
from .prune import prune
from .simplify import simplify
from .sink import sink

Pass = Callable[[Graph], Graph]

PASSES: dict[str, Pass] = {
    "prune": prune,
    "fold": fold,
    "simplify": simplify,
    "cse": cse,
}
NATIVE_PASSES: dict[str, Pass] = {
    "decompose": decompose,
    "assemble": assemble,
    "contract": contract,
    "hoist": hoist,
    "sink": sink,
    "combine": combine,
    "fuse": fuse,
}
# What one pass leaves, another one tidies up.
NATIVE_ORDER = (
    "fold", "decompose", "simplify", "cse", "assemble", "contract", "hoist", "sink", "contract",
    "combine", "assemble", "cse", "prune", "fuse",
)  # fmt: skip

__all__ = ["NATIVE_ORDER", "NATIVE_PASSES", "PASSES", "Pass"]
