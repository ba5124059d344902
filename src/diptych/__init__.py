"""Diptych: one model in three styles over one kernel layer.

- eager: `tensor`, `grad`, `Tensor.backward`;
- static: `static.Graph`, `Graph.compile`, `Program.run`;
- hybrid: `compile`, `hybrid.disabled`.

`nn`, `optim`, `data` and the functions below serve all three; `compare` measures them.
"""

import builtins as _builtins
from importlib import import_module as _import_module
from typing import Any as _Any

from . import cuda, data, eager, errors, hybrid, nn, optim, static
from .eager import Node, Tensor, asarray, from_numpy, tensor
from .graphs.devices import Device
from .graphs.dims import Dim
from .graphs.dtypes import DTYPES as _DTYPES
from .graphs.generator import Generator, manual_seed
from .graphs.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .graphs.ops import FUNCTIONS as _FUNCTIONS
from .graphs.parameter import Parameter
from .graphs.storage import Storage
from .hybrid import compile
from .random import rand, randn
from .transforms import grad

__version__ = "0.1.0"

globals().update(_DTYPES | _FUNCTIONS)

__all__ = [
    "Device", "Dim", "Generator", "Node", "Parameter", "Storage", "Tensor", "asarray",
    "compile", "cuda", "data", "eager", "enable_grad", "errors", "from_numpy", "grad",
    "hybrid", "is_grad_enabled", "manual_seed", "nn", "no_grad", "optim", "rand", "randn",
    "set_grad_enabled", "static", "tensor",
    # What a star would bring in must not hide Python's own.
    *(name for name in (*_DTYPES, *_FUNCTIONS) if not hasattr(_builtins, name)),
]  # fmt: skip


def __getattr__(name: str) -> _Any:
    """`bench` and `compare` are loaded when they are first asked for."""
    if name == "compare":
        return _import_module("diptych.bench").compare
    if name == "bench":
        return _import_module("diptych.bench")
    raise AttributeError(f"module 'diptych' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "bench", "compare"})
