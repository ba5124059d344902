"""The kernel layer that every style shares.

A kernel is called as ``kernel(xp, *arrays, out=None, **attrs)`` with `xp` NumPy or CuPy. It gives
a new array, or fills `out` and returns it; a view kernel gives a view and takes no `out`.
"""

from .launch import Recorder, copied, launch, recorder, recording, touched_bytes

__all__ = ["Recorder", "copied", "launch", "recorder", "recording", "touched_bytes"]
