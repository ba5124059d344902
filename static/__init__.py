"""Define-then-run: build a graph, compile what is fetched, run the program."""

from ..compiler import Program
from ..graphs.ir import Update, Value
from .graph import Graph

__all__ = ["Graph", "Program", "Update", "Value"]
