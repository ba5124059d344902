"""What calls cost on this machine: measured once, and kept where compiled code is kept."""

from __future__ import annotations

import json
import math
import platform
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..compiler.native import cache
from ..compiler.native.remembered import package
from ..compiler.native.toolchain import machine
from ..eager import Tensor, grad
from ..graphs.collector import paused
from ..graphs.compiled import is_compiled
from ..graphs.kernels import recorder
from ..graphs.modes import no_grad
from ..graphs.threads import get_num_threads

Function = Callable[[Tensor, Tensor], Tensor]

_FEW, _MANY = 2, 16  # operators of the functions that are measured
_SMALL, _LARGE = 16, 1 << 18  # elements, of float32
_ROUNDS, _CALLS = 7, 30


@dataclass(frozen=True)
class Line:
    """Seconds of a call: some for the call, and some for each operator."""

    call: float
    operator: float

    def at(self, operators: float) -> float:
        return self.call + self.operator * operators if operators else self.call


@dataclass(frozen=True)
class Costs:
    """What the gate weighs, of one executor.

    Attributes
    ----------
    eager, compiled : Line
        A call where nothing records.
    eager_recorded, compiled_recorded : Line
        A call and its backward pass.
    byte : float
        Seconds to read or write one byte of what eager code hands from operator to operator.
    """

    eager: Line
    compiled: Line
    eager_recorded: Line
    compiled_recorded: Line
    byte: float


_known: dict[str, Costs] = {}
_lock = threading.Lock()


def costs_of(executor: str, compile: Callable[[Function], Function]) -> Costs | None:
    """The costs of an executor, measured if no process has done it on this machine.

    None where they would have to be, and somebody observes what this process runs.

    Parameters
    ----------
    executor : str
    compile : callable
        Compiles a function with it.
    """
    with _lock:
        if executor not in _known:
            name = entry_name("costs", executor)
            stored = cache.read(name)
            if stored is None:
                if recorder() is not None:
                    return None
                found = _measured_apart(compile, executor == "native")
                with suppress(OSError):  # no room for it: the next process measures again
                    cache.store(name, json.dumps(asdict(found)).encode())
            else:
                found = _costs(json.loads(stored))
            _known[executor] = found
        return _known[executor]


def entry_name(kind: str, *parts: str) -> str:
    """The name of an entry of the cache for what was measured: of the machine and of what runs."""
    running = [sys.version, np.__version__, package(), str(is_compiled()), str(get_num_threads())]
    return cache.key(kind, machine(), platform.node(), *running, *parts) + f".{kind}"


def _costs(stored: dict[str, Any]) -> Costs:
    byte = stored.pop("byte")
    return Costs(**{name: Line(**line) for name, line in stored.items()}, byte=byte)


def _measured_apart(compile: Callable[[Function], Function], fuses: bool) -> Costs:
    """The costs as measured on a thread where no mode is in force."""
    found: list[Costs] = []
    thread = threading.Thread(target=lambda: found.append(_measured(compile, fuses)))
    thread.start()
    thread.join()
    return found[0]


@paused()
def _measured(compile: Callable[[Function], Function], fuses: bool) -> Costs:
    few = compile(_few)
    many = None if fuses else compile(_many)  # operators that are one loop cost no more than one
    large = [Tensor(np.ones(_LARGE, np.float32)) for _ in range(2)]
    with no_grad():
        product = _seconds(lambda: large[0] * large[1])
    return Costs(
        eager=_line(_few, _many, _plain),
        compiled=_line(few, many, _plain),
        eager_recorded=_line(_few, _many, _recorded),
        compiled_recorded=_line(few, many, _recorded),
        byte=product / (3 * large[0].array.nbytes),
    )


def _few(x: Tensor, y: Tensor) -> Tensor:
    return x * y + y


def _many(x: Tensor, y: Tensor) -> Tensor:
    for _ in range(_MANY // _FEW):
        x = x * y + y
    return x


def _line(few: Function, many: Function | None, call: Callable[[Function], Any]) -> Line:
    low = _seconds(lambda: call(few))
    if many is None:
        return Line(low, 0.0)
    each = max(_seconds(lambda: call(many)) - low, 0.0) / (_MANY - _FEW)
    return Line(max(low - _FEW * each, 0.0), each)


def _plain(function: Function) -> Any:
    return function(_X, _Y)


def _recorded(function: Function) -> Any:
    return grad(function(_RECORDING, _Y), _RECORDING, _Y)


def _seconds(call: Callable[[], Any]) -> float:
    """What a call takes when nothing disturbs it."""
    call()
    best = math.inf
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        for _ in range(_CALLS):
            call()
        best = min(best, time.perf_counter() - start)
    return best / _CALLS


_X, _Y = (Tensor(np.ones(_SMALL, np.float32)) for _ in range(2))
_RECORDING = Tensor(np.ones(_SMALL, np.float32), requires_grad=True)
