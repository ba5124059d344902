"""The errors that Diptych raises, for ``except`` clauses; see `diptych.graphs.errors`."""

from .graphs.errors import (
    ArgumentError,
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
    "ArgumentError", "DTypeError", "DeviceError", "DiptychError", "FeedError", "FetchError",
    "GraphError", "RangeError", "ShapeError", "StaticValueError", "TapeError",
    "UnknownNameError",
]  # fmt: skip
