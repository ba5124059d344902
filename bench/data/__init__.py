"""Data sets that ship with the package."""

from .digits import digits

__all__ = ["digits"]
