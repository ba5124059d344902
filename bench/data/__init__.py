"""Data sets: real ones, that ship with the package or with Python."""

from .digits import digits
from .source import VOCABULARY, source_lines

__all__ = ["VOCABULARY", "digits", "source_lines"]
