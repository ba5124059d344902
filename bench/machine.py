"""What this machine is and what is installed on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from ..graphs.devices import cuda_device_count


def versions() -> dict[str, str]:
    """Versions of Diptych, Python and the libraries that are installed."""
    names = ("diptych", "numpy", "networkx", "cupy-cuda13x", "cupy-cuda12x", "matplotlib", "rich")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores, memory in bytes, BLAS and compiler."""
    return {
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": cores(),
        "memory_bytes": _memory(),
        "blas": _blas(),
        "compiler": _compiler(),
        "cuda": _cuda(),
    }


def cores() -> int:
    """Number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _blas() -> str:
    np.zeros((2, 2)) @ np.zeros((2, 2))  # some BLAS libraries are loaded by their first call
    pools = [p for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    described = [f"{p['internal_api']} {p['version']} {p.get('architecture', '')}" for p in pools]
    return ", ".join(d.strip() for d in described) or "unknown"


def _compiler() -> str | None:
    path = shutil.which(os.environ.get("CC", "cc"))
    if path is None:
        return None
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines()[0] if done.stdout else path


def _cuda() -> str | None:
    if not cuda_device_count():
        return None
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return f"{properties['name'].decode()} ({cuda_device_count()} devices)"


def doctor() -> str:
    """A page on what is here and what is missing, with what each missing piece is for."""
    here = machine()
    lines = [f"{name:12} {version}" for name, version in versions().items()]
    lines += [f"{'executable':12} {sys.executable}"]
    lines += [f"{name:12} {value}" for name, value in here.items() if value is not None]
    if here["compiler"] is None:
        lines.append("compiler     none: native code needs one; executors here do not")
    if here["cuda"] is None:
        lines.append("cuda         none: pip install 'diptych[cuda]' on a machine with a driver")
    for name, purpose in (("matplotlib", "plots in --html"), ("rich", "progress bars")):
        if name not in versions():
            lines.append(f"{name:12} none: pip install 'diptych[report]' for {purpose}")
    return "\n".join(lines)
