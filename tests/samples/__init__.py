"""Samples, references and error samples of every operator, one file a family.

A reference is plain NumPy, written apart from the kernels. It takes the promoted operands, with
floats widened to float64, and the attributes; its result is compared after a cast to the inferred
dtype.
"""

from . import creation, elementwise, indexing, linalg, manipulation, neural, random, reductions
from .base import SAMPLES, SPECIAL, ErrorSample, Sample

__all__ = [
    "SAMPLES",
    "SPECIAL",
    "ErrorSample",
    "Sample",
    "creation",
    "elementwise",
    "indexing",
    "linalg",
    "manipulation",
    "neural",
    "random",
    "reductions",
]
