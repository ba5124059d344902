"""The errors that Diptych raises, for ``except`` clauses; see `diptych.graphs.errors`."""

from .graphs.errors import (
    AnomalyError,
    ArgumentError,
    DeviceError,
    DiptychError,
    DTypeError,
    FeedError,
    FetchError,
    FileError,
    GradientError,
    GraphError,
    LinAlgError,
    RangeError,
    ShapeError,
    StaticValueError,
    TapeError,
    UnknownNameError,
)  # fmt: skip

__all__ = [
    "AnomalyError", "ArgumentError", "DTypeError", "DeviceError", "DiptychError", "FeedError",
    "FetchError", "FileError", "GradientError", "GraphError", "LinAlgError", "RangeError",
    "ShapeError", "StaticValueError", "TapeError", "UnknownNameError",
]  # fmt: skip
