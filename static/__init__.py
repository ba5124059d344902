"""Define-then-run: build a graph, compile what is fetched, run the program."""

from ..compiler import Program
from ..graphs.ir import Update, Value
from .graph import Graph, load

__all__ = ["Graph", "Program", "Update", "Value", "load"]
