"""Values as JSON: each has one form, and is read back to the bit and with its type.

None, truth values, strings and small whole numbers are JSON's own, and so is a tuple, as an array.
Everything else is an object of one member, whose name says what it is: ``{"float": 0.5}``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np

from ..devices import CPU, Device, put
from ..dims import Dim, Monomial
from ..dtypes import BOOL, COMPLEX128, DTYPES, FLOAT64, as_dtype
from ..errors import DeviceError, DTypeError, FileError
from ..operand import Operand
from .layout import Entry
from .strict_json import brief, is_text

# Every JSON reader gives whole numbers below this back exactly.
_EXACT = 1 << 53
_MOST_DIGITS = 1000
_MOST_POWER = 64
# What nests deeper would not be read back: a value takes at most two levels of JSON.
MOST_NESTING = 32


class Encoder:
    """Turns values into JSON, and gathers the arrays among them.

    Parameters
    ----------
    what : str
        Who encodes, in errors.

    Attributes
    ----------
    tensors : dict of str to numpy.ndarray
        What the container has to hold.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.tensors: dict[str, np.ndarray] = {}

    def encode(self, value: Any, path: tuple[str, ...] = ()) -> Any:
        """A value as JSON.

        Parameters
        ----------
        value : object
        path : tuple of str
            Where it stands; arrays are named after it.

        Raises
        ------
        DTypeError
            When a file cannot hold it.
        """
        if len(path) > MOST_NESTING:
            raise DTypeError(f"{self.what}: values must nest at most {MOST_NESTING} deep")
        kind = type(value)
        if value is None or kind is bool or (kind is str and is_text(value)):
            return value
        if kind is int and abs(value) < _EXACT:
            return value
        if kind is tuple:
            return self._items(value, path)
        name, content = self.tagged(value, path)
        return {name: content}

    def tagged(self, value: Any, path: tuple[str, ...]) -> tuple[str, Any]:
        """The kind of a value that is not JSON's own, and what the file says of it."""
        kind = type(value)
        if kind is int and abs(value) < 10**_MOST_DIGITS:
            return "int", str(value)
        if kind is float:
            return "float", _float(value)
        if kind is complex:
            return "complex", [_float(value.real), _float(value.imag)]
        if kind is list:
            return "list", self._items(value, path)
        if isinstance(value, Mapping):
            return "dict", self._members(value, path)
        if kind is slice:
            return "slice", self._items((value.start, value.stop, value.step), path)
        if value is Ellipsis:
            return "ellipsis", None
        if isinstance(value, np.dtype):
            return "dtype", as_dtype(value).name
        if isinstance(value, Device):
            return "device", str(value)
        if isinstance(value, Dim):
            return "dim", [[c, [list(factor) for factor in m]] for m, c in value.terms.items()]
        if isinstance(value, np.generic):
            return "scalar", [as_dtype(value.dtype).name, value.tobytes().hex()]
        array = getattr(value, "array", value) if isinstance(value, Operand) else value
        if isinstance(array, np.ndarray) or hasattr(array, "__cuda_array_interface__"):
            return "tensor", self._tensor(array, path)
        where = f" for {'.'.join(path)!r}" if path else ""
        raise DTypeError(
            f"{self.what}: values must be arrays, numbers, text, None, or lists, tuples and dicts "
            f"of them, got {kind.__name__} {brief(value)}{where}"
        )

    def _items(self, values: Iterable[Any], path: tuple[str, ...]) -> list[Any]:
        return [self.encode(value, (*path, str(i))) for i, value in enumerate(values)]

    def _members(self, value: Mapping[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
        for key in value:
            if not is_text(key):
                raise DTypeError(f"{self.what}: keys must be text, got {brief(key)}")
        return {key: self.encode(v, (*path, key)) for key, v in value.items()}

    def _tensor(self, given: Any, path: tuple[str, ...]) -> dict[str, Any]:
        array = put(given, CPU)
        dtype = as_dtype(array.dtype)
        name = self._free(".".join(path) or "tensor")
        self.tensors[name] = _parts(array) if dtype == COMPLEX128 else array
        return {"name": name, "dtype": dtype.name, "order": _order(array)}

    def _free(self, name: str) -> str:
        chosen, number = name, 0
        while chosen in self.tensors or chosen == "__metadata__":
            number += 1
            chosen = f"{name}.{number}"
        return chosen


class Decoder:
    """Turns JSON back into values.

    Parameters
    ----------
    tensors : mapping
        The container's arrays by name; each must be asked for once. An `Entry` in place of an
        array gives an array of that shape which takes no memory.

    Attributes
    ----------
    kinds : dict of str to callable
        What reads the content of an object, by the name of its member.
    """

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = dict(tensors)
        self.kinds: dict[str, Callable[[Any], Any]] = {
            "int": _read_int,
            "float": _read_float,
            "complex": lambda parts: complex(*map(_read_float, items(parts, 2))),
            "list": lambda values: [self.decode(v) for v in items(values)],
            "dict": lambda members: {k: self.decode(v) for k, v in as_object(members).items()},
            "slice": lambda values: slice(*(self.decode(v) for v in items(values, 3))),
            "ellipsis": _read_ellipsis,
            "dtype": read_dtype,
            "device": read_device,
            "dim": _read_dim,
            "scalar": _read_scalar,
            "tensor": self._tensor,
        }

    def decode(self, value: Any) -> Any:
        """A value from JSON.

        Raises
        ------
        FileError
            When the JSON is no value's.
        """
        if value is None or type(value) in (bool, int):
            return value
        if type(value) is str:
            if not is_text(value):
                raise FileError(f"strings must be Unicode text, got {brief(value)}")
            return value
        if type(value) is list:
            return tuple([self.decode(v) for v in value])
        if type(value) is not dict or len(value) != 1:
            raise FileError(f"a value must be an object of one member, got {brief(value)}")
        [(kind, content)] = value.items()
        if kind not in self.kinds:
            raise FileError(
                f"a value must be one of {', '.join(sorted(self.kinds))}, got {brief(kind)}"
            )
        return self.kinds[kind](content)

    def finish(self) -> None:
        """Raises unless every tensor was asked for."""
        if self._tensors:
            raise FileError(
                f"tensor {brief(next(iter(self._tensors)))}: must stand for a value, got none"
            )

    def _tensor(self, content: Any) -> np.ndarray:
        members = as_object(content)
        if members.keys() != {"name", "dtype", "order"}:
            raise FileError(f"a tensor must have name, dtype and order, got {brief(members)}")
        name, dtype, order = members["name"], read_dtype(members["dtype"]), members["order"]
        stored = self._tensors.pop(name, None) if type(name) is str else None
        if stored is None:
            raise FileError(f"tensor {brief(name)}: must be in the file, once, got none left")
        what = f"tensor {brief(name)}"
        shape = stored.shape
        if dtype == COMPLEX128 and stored.dtype == FLOAT64 and shape[-1:] == (2,):
            shape = shape[:-1]
        elif stored.dtype != dtype:
            raise FileError(f"{what}: must be of dtype {dtype}, got {stored.dtype}")
        axes = list(range(len(shape)))
        if not all(type(axis) is int for axis in items(order)) or sorted(order) != axes:
            raise FileError(f"{what}: order must name each axis once, got {brief(order)}")
        if isinstance(stored, Entry):
            return hollow(shape, dtype, CPU)
        array = stored.reshape(-1).view(dtype).reshape(shape)
        return array if order == axes else _in_order(array, order)


def hollow(shape: tuple[int, ...], dtype: np.dtype, device: Device) -> Any:
    """A writeable array of any size over the memory of one number."""
    xp = device.xp
    one = xp.zeros((), dtype)
    return xp.lib.stride_tricks.as_strided(one, shape, (0,) * len(shape))


def read_device(name: Any) -> Device:
    """A device from its name.

    Raises
    ------
    FileError
        When it is no name, or the device is not here.
    """
    try:
        device = Device.of(name)
        device.xp  # noqa: B018 - raises where the device is not here
    except DeviceError as error:
        raise FileError(str(error)) from error
    if str(device) != name:
        raise FileError(f"device: must have its full name, got {brief(name)}")
    return device


def _order(array: np.ndarray) -> list[int]:
    """The axes of a dense array as they lie in memory; in any other, as they are.

    The last bits of a kernel can hang on it, so it outlives the file.
    """
    axes = list(range(array.ndim))
    if array.flags.c_contiguous:
        return axes
    inward = sorted(axes, key=lambda axis: (array.shape[axis] != 1, -array.strides[axis]))
    return inward if array.transpose(inward).flags.c_contiguous else axes


def _in_order(array: np.ndarray, order: list[int]) -> np.ndarray:
    return array.transpose(order).copy().transpose(np.argsort(order))


def _parts(array: np.ndarray) -> np.ndarray:
    """Complex numbers as floats, the real and the imaginary part along a last axis."""
    dense = np.asarray(array, order="C")
    return dense.reshape(-1).view(FLOAT64).reshape(*dense.shape, 2)


def _float(number: float) -> float | str:
    """A finite number as it is; another as the 16 digits of its bits."""
    return number if math.isfinite(number) else struct.pack(">d", number).hex()


def _read_int(digits: Any) -> int:
    if type(digits) is str and len(digits) <= _MOST_DIGITS + 1:
        try:
            number = int(digits)
        except ValueError:
            number = 0
        if str(number) == digits and abs(number) >= _EXACT:
            return number
    raise FileError(f"int must be the digits of a number from 2**53, got {brief(digits)}")


def _read_float(content: Any) -> float:
    if type(content) in (int, float):
        return float(content)
    if type(content) is str and len(content) == 16:
        number = cast(float, struct.unpack(">d", _read_hex(content))[0])
        if not math.isfinite(number):
            return number
    raise FileError(f"float must be a number, or the bits of an infinite one, got {brief(content)}")


def _read_ellipsis(content: Any) -> Any:
    if content is not None:
        raise FileError(f"ellipsis must hold null, got {brief(content)}")
    return Ellipsis


def _read_scalar(content: Any) -> Any:
    name, digits = items(content, 2)
    dtype = read_dtype(name)
    if type(digits) is not str or len(digits) != 2 * dtype.itemsize:
        raise FileError(f"scalar must hold the digits of a {name}, got {brief(digits)}")
    data = _read_hex(digits)
    if dtype == BOOL and data[0] > 1:
        raise FileError(f"scalar must be 0 or 1 as a bool, got {brief(digits)}")
    return np.frombuffer(data, dtype)[0]


def _read_hex(digits: str) -> bytes:
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        data = b""
    if data.hex() != digits:
        raise FileError(f"bits must be lower-case hexadecimal digits, got {brief(digits)}")
    return data


def read_dtype(name: Any) -> np.dtype:
    if type(name) is not str or name not in DTYPES:
        raise FileError(f"dtype: must be one of {', '.join(DTYPES)}, got {brief(name)}")
    return DTYPES[name]


def _read_dim(content: Any) -> Dim:
    terms: dict[Monomial, int] = {}
    for term in items(content):
        coefficient, factors = items(term, 2)
        monomial = tuple(_factor(f) for f in items(factors))
        if type(coefficient) is not int or not 0 < abs(coefficient) < _EXACT:
            raise FileError(f"dim: coefficients must be whole numbers, got {brief(coefficient)}")
        terms[monomial] = coefficient
    dim = Dim(terms)
    sound = all(list(m) == sorted(dict(m).items()) for m in terms)
    if not sound or list(dim.terms.items()) != list(terms.items()) or terms.keys() <= {()}:
        raise FileError(f"dim: must be a polynomial in normal form, got {brief(content)}")
    return dim


def _factor(content: Any) -> tuple[str, int]:
    name, power = items(content, 2)
    if type(name) is not str or not name.removeprefix("@").isidentifier():
        raise FileError(f"dim: symbols must be identifiers, got {brief(name)}")
    if type(power) is not int or not 0 < power <= _MOST_POWER:
        raise FileError(f"dim: powers must be in 1..{_MOST_POWER}, got {brief(power)}")
    return name, power


# -- JSON of a known shape -------------------------------------------------------------------


def items(value: Any, count: int | None = None) -> list[Any]:
    if type(value) is not list or (count is not None and len(value) != count):
        wanted = "a JSON array" if count is None else f"a JSON array of {count}"
        raise FileError(f"must be {wanted}, got {brief(value)}")
    return value


def as_object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise FileError(f"must be a JSON object, got {brief(value)}")
    return value
