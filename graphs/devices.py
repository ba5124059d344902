"""Devices, and the array namespace that serves each.

`cpu` means `cpu:0` and is NumPy's; `cuda:N` is CuPy's, which is imported at its first use and
never before, for the import alone takes a fifth of a second and the first array needs a driver.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from .errors import DeviceError

_NAME = re.compile(r"(cpu|cuda)(?::(\d+))?")


@dataclass(frozen=True, slots=True)
class Device:
    """Where an array lives.

    Parameters
    ----------
    kind : {"cpu", "cuda"}
    index : int
        Ordinal among the devices of that kind.

    Examples
    --------
    >>> Device.of("cpu")
    Device('cpu:0')
    """

    kind: str
    index: int = 0

    @staticmethod
    def of(device: Device | str) -> Device:
        """Read a name such as ``"cpu"`` or ``"cuda:1"``.

        Raises
        ------
        DeviceError
            When the name is not of that form.
        """
        if isinstance(device, Device):
            return device
        match = _NAME.fullmatch(device) if isinstance(device, str) else None
        if match is None:
            raise DeviceError(f"device: must be 'cpu', 'cpu:N', 'cuda' or 'cuda:N', got {device!r}")
        return Device(match[1], int(match[2] or 0))

    @property
    def xp(self) -> ModuleType:
        """The array namespace (NumPy or CuPy) whose kernels run on this device."""
        return np if self.kind == "cpu" else _cupy(self)

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}"

    def __repr__(self) -> str:
        return f"Device('{self}')"


CPU = Device("cpu")


def device_of(array: Any) -> Device:
    """The device of a NumPy or CuPy array."""
    if isinstance(array, np.ndarray | np.generic):
        return CPU
    return Device("cuda", array.device.id)


def put(array: Any, device: Device) -> Any:
    """The same numbers on `device`; the very array when it is there already."""
    here = device_of(array)
    if here == device or (here.kind == device.kind == "cpu"):
        return array
    if device.kind == "cpu":
        return array.get()
    xp = _cupy(device)
    with xp.cuda.Device(device.index):
        return xp.asarray(array)


def cuda_device_count() -> int:
    """How many CUDA devices CuPy sees; 0 without CuPy or a driver."""
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount()
    except Exception:  # a missing module, a missing driver and a broken one all mean the same
        return 0


def _cupy(device: Device) -> ModuleType:
    try:
        import cupy
    except ImportError:
        raise DeviceError(
            f"device: {device} needs CuPy, which is not installed; pip install 'diptych[cuda]'"
        ) from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise DeviceError(f"device: {device} needs a working CUDA driver, got {error}") from None
    if device.index >= count:
        raise DeviceError(f"device: {device} is not here, got {count} CUDA device(s)")
    return cupy
