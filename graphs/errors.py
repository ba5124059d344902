"""The errors of every style: one class per rule broken, each a subclass of a built-in.

A message has the form ``operator: rule, got values``, and is raised before any kernel runs; only a
`RangeError` and a `LinAlgError` come from kernels, which alone see the indices and matrices in
their data.
"""

from __future__ import annotations

import numpy as np


class DiptychError(Exception):
    """Base of every error that Diptych raises on purpose."""


class ShapeError(DiptychError, ValueError, IndexError):
    """Shapes, axes or indices break an operator's rule.

    Of both built-in kinds, as NumPy's error for an axis: the Array API asks for either in places.
    """


class RangeError(DiptychError, IndexError):
    """An index in the data points outside its axis."""


class LinAlgError(DiptychError, np.linalg.LinAlgError):
    """A matrix in the data is singular, not positive definite, or cannot be decomposed."""


class ArgumentError(DiptychError, ValueError):
    """An argument that is no shape and no dtype is out of its range."""


class DTypeError(DiptychError, TypeError):
    """Dtypes do not promote, or an operator does not take them."""


class DeviceError(DiptychError, RuntimeError):
    """A device is unknown or absent, or operands live on different ones."""


class GraphError(DiptychError, ValueError):
    """A graph is malformed, or a value does not belong to it."""


class FeedError(DiptychError, ValueError):
    """What was fed to a program does not match its placeholders."""


class FetchError(DiptychError, ValueError):
    """A fetch is not a value or an effect of the graph that is compiled."""


class TapeError(DiptychError, RuntimeError):
    """The tape cannot answer: freed buffers, a value changed in place, no gradient recorded."""


class StaticValueError(DiptychError, TypeError):
    """Python asked for the number behind a value that exists only when the graph runs."""


class FileError(DiptychError, ValueError):
    """A file is damaged, or holds what it must not hold."""


class AnomalyError(DiptychError, ArithmeticError):
    """A kernel gave NaN where no operand held one; see `detect_anomaly`."""


class GradientError(DiptychError, ArithmeticError):
    """A gradient is not the slope that finite differences give; see `gradcheck`."""


class UnknownNameError(DiptychError, LookupError):
    """A name (workload, mode, executor, pass, key) that is not registered."""


def unknown(what: str, name: object, known: object) -> UnknownNameError:
    """The error for a name that is none of the `known` ones."""
    names = ", ".join(sorted(map(str, known)))  # type: ignore[call-overload]
    return UnknownNameError(f"{what}: must be one of {names}, got {name!r}")
