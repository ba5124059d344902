"""From a graph to a program: passes, executors, and what they report."""

from .executors import EXECUTORS
from .passes import PASSES
from .pipeline import compile_graph
from .program import Program

__all__ = ["EXECUTORS", "PASSES", "Program", "compile_graph"]
