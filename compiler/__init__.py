"""From a graph to a program: passes, executors, and what they report."""

from .executors import EXECUTORS
from .keeping import RECOMPUTE, least_kept
from .passes import PASSES
from .pipeline import compile_graph, passes_of
from .program import Program

__all__ = [
    "EXECUTORS",
    "PASSES",
    "RECOMPUTE",
    "Program",
    "compile_graph",
    "least_kept",
    "passes_of",
]
