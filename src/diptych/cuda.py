"""What there is of CUDA. Tensors move with `Tensor.to`, `Tensor.cuda` and `Tensor.cpu`."""

from __future__ import annotations

from .graphs.devices import cuda_device_count

__all__ = ["device_count", "is_available"]


def is_available() -> bool:
    """Whether CuPy is installed and sees at least one CUDA device.

    Examples
    --------
    >>> is_available() == (device_count() > 0)
    True
    """
    return device_count() > 0


def device_count() -> int:
    """Number of CUDA devices that CuPy sees; 0 without CuPy or a driver.

    Examples
    --------
    >>> device_count() >= 0
    True
    """
    return cuda_device_count()
