"""Dynamic batching: like operators of independent examples computed by one launch."""

from .entry import autobatch

__all__ = ["autobatch"]
