"""Dynamic batching: like operators of independent examples computed by one launch."""

from .autobatch import autobatch

__all__ = ["autobatch"]
