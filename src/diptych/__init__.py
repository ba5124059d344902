"""Diptych: one model in three styles over one kernel layer.

- eager: `tensor`, `grad`, `Tensor.backward`;
- static: `static.Graph`, `Graph.compile`, `Program.run`;
- hybrid: `compile`, `hybrid.call_python`, `hybrid.disabled`.

`nn`, `optim`, `data` and the functions below serve all three; `compare` measures them.
"""

import builtins as _builtins
import os as _os
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _os.environ.get("DIPTYCH_PURE_PYTHON", "").lower() not in ("", "0", "false", "no", "off"):
    from .sources import prefer_sources as _prefer_sources

    _prefer_sources()

from .graphs.collector import paused as _paused

with _paused():  # the thousands of objects that an import makes stay
    from . import eager, errors

from .anomaly import detect_anomaly
from .custom import custom_op
from .eager import Node, Tensor, autobatch, from_dlpack, from_numpy, tensor
from .gradcheck import gradcheck
from .graphs.allocator import MemoryStats, empty_cache, memory_stats, reset_peak_memory_stats
from .graphs.batching import vmap
from .graphs.compiled import is_compiled
from .graphs.control import checkpoint, cond, scan, while_loop
from .graphs.devices import Device
from .graphs.dims import Dim
from .graphs.dtypes import DTYPES as _DTYPES
from .graphs.generator import Generator, default_generator, manual_seed
from .graphs.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .graphs.ops import FUNCTIONS as _FUNCTIONS
from .graphs.parameter import Parameter
from .graphs.storage import Storage
from .graphs.threads import get_num_threads, set_num_threads
from .graphs.transforms import grad, hessian, jacobian, jvp, vjp
from .namespace import (
    __array_api_version__,
    __array_namespace_info__,
    asarray,
    can_cast,
    e,
    finfo,
    iinfo,
    inf,
    isdtype,
    nan,
    newaxis,
    pi,
    result_type,
)
from .random import rand, randn

if _TYPE_CHECKING:
    from . import bench as bench
    from . import cuda, data, fft, hybrid, linalg, nn, optim, static
    from .bench import compare as compare
    from .hybrid import compile
    from .saving import load, save

__version__ = "0.1.0"

globals().update(_DTYPES | _FUNCTIONS)

__all__ = [
    "Device", "Dim", "Generator", "MemoryStats", "Node", "Parameter", "Storage", "Tensor",
    "__array_api_version__", "__array_namespace_info__", "asarray", "autobatch", "can_cast",
    "checkpoint", "compile", "cond", "cuda", "custom_op", "data", "default_generator",
    "detect_anomaly", "e", "eager", "empty_cache", "enable_grad", "errors", "fft", "finfo",
    "from_dlpack", "from_numpy", "get_num_threads", "grad", "gradcheck", "hessian", "hybrid",
    "iinfo", "inf", "is_compiled", "is_grad_enabled", "isdtype", "jacobian", "jvp", "linalg",
    "load", "manual_seed", "memory_stats", "nan", "newaxis", "nn", "no_grad", "optim", "pi",
    "rand", "randn", "reset_peak_memory_stats", "result_type", "save", "scan", "set_grad_enabled",
    "set_num_threads", "static", "tensor", "vjp", "vmap", "while_loop",
    # What a star would bring in must not hide Python's own.
    *(name for name in (*_DTYPES, *_FUNCTIONS) if not hasattr(_builtins, name)),
]  # fmt: skip


# What a script in eager code may do without is loaded when it is first asked for: these modules,
# and these functions of modules.
_MODULES = ("bench", "cuda", "data", "fft", "hybrid", "linalg", "nn", "optim", "static")
_MODULE_OF = {"compare": "bench", "compile": "hybrid", "load": "saving", "save": "saving"}


def __getattr__(name: str) -> _Any:
    if name not in _MODULES and name not in _MODULE_OF:
        raise AttributeError(f"module 'diptych' has no attribute {name!r}")
    with _paused():
        module = _import_module(f"diptych.{_MODULE_OF.get(name, name)}")
    found = globals()[name] = getattr(module, name) if name in _MODULE_OF else module
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_MODULE_OF})
