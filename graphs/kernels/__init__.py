"""The kernel layer that every style shares.

A kernel is called as ``kernel(xp, *arrays, out=None, **attrs)`` with `xp` NumPy or CuPy. It gives
a new array, or fills `out` and returns it; a view kernel gives a view and takes no `out`.

A new array is C-contiguous whatever the operands' strides. NumPy's loops and the order of its sums
depend on the strides of the result, too, so this rule is what makes an executor that brings its own
buffers give the bits that eager code gives.
"""

from .launch import copied, launch, recorder, recording
from .memory import owner, shares, shares_memory, touched_bytes
from .recorders import Recorder

__all__ = [
    "Recorder", "copied", "launch", "owner", "recorder", "recording", "shares", "shares_memory",
    "touched_bytes",
]  # fmt: skip
