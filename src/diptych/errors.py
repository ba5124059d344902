"""The errors that Diptych raises, for ``except`` clauses; see `diptych.graphs.errors`."""

from .graphs.errors import (
    DeviceError,
    DiptychError,
    DTypeError,
    FeedError,
    FetchError,
    GraphError,
    RangeError,
    ShapeError,
    StaticValueError,
    TapeError,
    UnknownNameError,
)  # fmt: skip

__all__ = [
    "DTypeError", "DeviceError", "DiptychError", "FeedError", "FetchError", "GraphError",
    "RangeError", "ShapeError", "StaticValueError", "TapeError", "UnknownNameError",
]  # fmt: skip
