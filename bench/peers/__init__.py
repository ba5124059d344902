"""The peers: other frameworks on the same workloads, from the same numbers.

A peer is a file here, in which `PEER` is its class. The table holds what must be known without
importing the framework: what has to be installed, and what its process is started with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from ...graphs.errors import unknown
from .peer import Peer

Environment = Mapping[str, str]


def _none(threads: int) -> Environment:
    return {}


def _torch_compile(threads: int) -> Environment:
    # A cache on disk would make the first call of a later run look cheap.
    return {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}


def _jax(threads: int) -> Environment:
    many = "true" if threads > 1 else "false"
    return {
        "JAX_PLATFORMS": "cpu",
        "NPROC": str(threads),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={many}",
    }


def _tensorflow(threads: int) -> Environment:
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
    }


def _pytensor(threads: int) -> Environment:
    return {"NUMBA_NUM_THREADS": str(threads), "PYTENSOR_FLAGS": "numba__cache=False"}


@dataclass(frozen=True, slots=True)
class Entry:
    """How a peer is found, and how its process is started.

    Attributes
    ----------
    module : str
        Dotted name of the file that holds its class.
    needs : tuple of str
        What must be importable.
    install : str
        The command that installs it.
    environment : callable
        From a number of threads to variables of its process.
    """

    module: str
    needs: tuple[str, ...]
    install: str = "pip install 'diptych[peers]'"
    environment: Callable[[int], Environment] = _none


PEERS: dict[str, Entry] = {
    "torch-eager": Entry(f"{__name__}.torch_eager", ("torch",)),
    "torch-best": Entry(f"{__name__}.torch_best", ("torch",)),
    "torch-compile": Entry(f"{__name__}.torch_compile", ("torch",), environment=_torch_compile),
    "jax": Entry(f"{__name__}.jax_peer", ("jax",), environment=_jax),
    "tensorflow": Entry(
        f"{__name__}.tensorflow_peer", ("tensorflow",), "pip install tensorflow-cpu", _tensorflow
    ),
    "pytensor": Entry(
        f"{__name__}.pytensor_peer", ("pytensor", "numba"), "pip install pytensor numba", _pytensor
    ),
    "onnxruntime": Entry(f"{__name__}.onnx_peer", ("onnxruntime", "onnx")),
}


def find(name: str) -> Entry:
    """The entry of a peer.

    Raises
    ------
    UnknownNameError
        When there is none.
    """
    if name not in PEERS:
        raise unknown("peer", name, PEERS)
    return PEERS[name]


def missing(name: str) -> str | None:
    """What of a peer is not installed, and the remedy; None where all is here."""
    entry = find(name)
    absent = [package for package in entry.needs if find_spec(package) is None]
    return f"{' and '.join(absent)} not installed; {entry.install}" if absent else None


def load(module: str) -> type[Peer]:
    """The class of a peer, by its file's dotted name."""
    found: type[Peer] = import_module(module).PEER
    return found


__all__ = ["PEERS", "Entry", "Peer", "find", "load", "missing"]
