"""The error function and its complement, to a few units in the last place.

Below 1, ``erf(x) = x + x * p(x * x)``. Above, and everywhere in the complement, it is
``erfc(x) = exp(-x * x) * q(t) / (1 + 2 * x)`` with ``t = (x - 3.75) / (x + 3.75)``, the form of
Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < oo",
Mathematics of Computation 36 (1981). The polynomials `p` and `q` interpolate those functions at
Chebyshev's points and were found in arithmetic of 60 digits; beside each stands its largest
relative error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# Elements whose intermediate results stay in the second-level cache.
_BLOCK = 16384


@dataclass(frozen=True)
class _Fit:
    """What one dtype computes with: coefficients from the highest power down.

    Attributes
    ----------
    near : tuple of float
        Of `p`, on 0..1.
    far : tuple of float
        Of `q`, up to `last`.
    last : float
        From here on erfc(x) is 0 in the dtype.
    bits : type
        The integer of the dtype's width.
    low : int
        Bits of the mantissa's lower half: without them a square is exact.
    """

    near: tuple[float, ...]
    far: tuple[float, ...]
    last: float
    bits: Any
    low: int


# fmt: off
_FITS = {
    np.dtype(np.float32): _Fit(
        near=(  # 1.4e-9
            7.875875063e-05, -0.0008016864287, 0.005189087423, -0.02685421201, 0.1128359472,
            -0.3761262667, 0.1283791658,
        ),
        far=(  # 8.3e-9
            0.00107694313, 0.002246280226, -0.009991504583, 0.02803289326, -0.0587076739,
            0.09237042068, -0.1087943561, 0.08227169395, 0.003584750872, -0.1402404859,
            1.237512637,
        ),
        last=11.0, bits=np.uint32, low=12,
    ),
    np.dtype(np.float64): _Fit(
        near=(  # 8.2e-18
            -7.79589882700214224e-10, 1.37200645467776856e-08, -1.62084838018717059e-07,
            1.64474247033173624e-06, -1.49247369074196603e-05, 0.000120552949048397079,
            -0.000854832597538969208, 0.00522397760711642273, -0.0268661706432377704,
            0.112837916709450063, -0.376126389031835404, 0.128379167095512567,
        ),
        far=(  # 1.4e-17
            -2.41082153654223304e-09, -8.78212573480352024e-10, 3.28508355623331591e-08,
            1.59963352155737078e-08, -2.52614652677155047e-07, -4.81583962167284902e-08,
            1.74811904683919643e-06, -9.80166675585857751e-07, -1.14429909268054383e-05,
            2.23872596382301343e-05, 5.16489134695998619e-05, -0.000290154965295709261,
            0.00029371366631088616, 0.00175562601715200385, -0.00974657955343187366,
            0.0283622774004577225, -0.0586933985903094125, 0.0923043211615311556,
            -0.108803930141712359, 0.0822767384901120369, 0.00358541548546377914,
            -0.140240598585546681, 1.23751263083782758,
        ),
        last=28.0, bits=np.uint64, low=27,
    ),
}
# fmt: on


def erf(xp: Any, x: Any, out: Any = None) -> Any:
    return _blockwise(xp, "erf", _erf, x, out)


def erfc(xp: Any, x: Any, out: Any = None) -> Any:
    return _blockwise(xp, "erfc", _erfc, x, out)


def _erf(x: np.ndarray, fit: _Fit) -> np.ndarray:
    size = np.abs(x)
    result = _near(x, fit)
    far = size >= 1
    if far.any():
        size = np.minimum(size, fit.last)  # NaN stays
        complement = np.exp(-(size * size)) * _scaled(size, fit)
        np.copyto(result, np.copysign(1 - complement, x), where=far)
    return result


def _erfc(x: np.ndarray, fit: _Fit) -> np.ndarray:
    size = np.minimum(np.abs(x), fit.last)
    # exp(-size**2) keeps its last bits where the square is a sum of which one term is exact.
    head = (size.view(fit.bits) >> fit.low << fit.low).view(x.dtype)
    bell = np.exp(-(head * head)) * np.exp((head - size) * (head + size))
    result = bell * _scaled(size, fit)
    np.subtract(2, result, out=result, where=x < 0)
    near = size < 0.5
    if near.any():
        np.subtract(1, _near(x, fit), out=result, where=near)
    return result


def _near(x: np.ndarray, fit: _Fit) -> np.ndarray:
    """erf(x), of numbers between -1 and 1; of others something finite."""
    inside = np.clip(x, -1, 1)
    return inside + inside * _polynomial(fit.near, inside * inside)


def _scaled(x: np.ndarray, fit: _Fit) -> np.ndarray:
    """exp(x * x) * erfc(x), of numbers of at least 0."""
    return _polynomial(fit.far, (x - 3.75) / (x + 3.75)) / (1 + 2 * x)


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= x
        result += coefficient
    return result


def _blockwise(xp: Any, name: str, block: Callable[[Any, _Fit], Any], x: Any, out: Any) -> Any:
    """Apply a function of one dense block at a time to a whole array."""
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if xp is not np:
        from cupyx.scipy import special

        return getattr(special, name)(x, out=out)
    result = out if out.flags.c_contiguous else np.empty(x.shape, x.dtype)
    numbers, filled = x.reshape(-1), result.reshape(-1)
    wide = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype
    for start in range(0, x.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        filled[part] = block(numbers[part].astype(wide, copy=False), _FITS[wide])
    if result is not out:
        np.copyto(out, result)
    return out
