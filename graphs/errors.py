"""The errors of every style: one class per rule broken, each a subclass of a built-in.

A message has the form ``operator: rule, got values``, and is raised before any kernel runs; only a
`RangeError` comes from a kernel, which alone sees the indices in its data.
"""

from __future__ import annotations


class DiptychError(Exception):
    """Base of every error that Diptych raises on purpose."""


class ShapeError(DiptychError, ValueError):
    """Shapes, axes or indices break an operator's rule."""


class RangeError(DiptychError, IndexError):
    """An index in the data points outside its axis."""


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


class UnknownNameError(DiptychError, LookupError):
    """A name (workload, mode, executor, pass, key) that is not registered."""


def unknown(what: str, name: object, known: object) -> UnknownNameError:
    """The error for a name that is none of the `known` ones."""
    names = ", ".join(sorted(map(str, known)))  # type: ignore[call-overload]
    return UnknownNameError(f"{what}: must be one of {names}, got {name!r}")
