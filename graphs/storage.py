"""Storage: the named, versioned array that an eager leaf and a static variable both wrap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .avals import Aval, aval_of, show
from .devices import Device, device_of, put
from .dtypes import as_dtype, is_float, is_integer, rank
from .errors import DTypeError, ShapeError, UnknownNameError
from .held import Held, note_move, overwrite
from .kernels import recorder
from .modes import settle, styles
from .operand import Operand
from .ops import dispatch
from .ops.plain import array_of


class Storage(Held, Operand):
    """State that outlives a step: a parameter's numbers, a learning rate, a random offset.

    Programs hold storages and not arrays, so what eager code writes a program reads. As an
    operand it takes the style of the operands beside it, else the style in force: eager code
    reads its numbers, a graph reads it as a variable.

    Parameters
    ----------
    data : array or nested lists of numbers
        A writeable array is taken without a copy; floats in lists become float32.
    name : str, optional

    Attributes
    ----------
    array : array
        Written in place only, so a view of it never goes stale.
    version : int
        Number of writes so far.

    Examples
    --------
    >>> lr = Storage(0.1, name="lr")
    >>> lr.write(0.01)
    >>> lr.version
    1
    """

    __slots__ = ("__weakref__",)

    def __init__(self, data: Any, name: str | None = None) -> None:
        self.array = _array(data)
        if isinstance(self.array, np.ndarray) and not self.array.flags.writeable:
            self.array = self.array.copy()
        as_dtype(self.array.dtype)
        self.version = 0
        self.name = name

    @property
    def style(self) -> dispatch.Style:
        return dispatch.current()

    @property
    def storage(self) -> Storage:
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def device(self) -> Device:
        return device_of(self.array)

    @property
    def aval(self) -> Aval:
        return aval_of(self.array)

    def write(self, data: Any) -> None:
        """Replace the numbers, in place; in a function that is traced, in every run of it.

        Parameters
        ----------
        data : array, tensor or number, of the storage's shape

        Raises
        ------
        ShapeError, DTypeError
            When the shape differs, or the dtype would lose its kind. Nothing is written then.
        """
        style: Any = dispatch.current() if styles() else None
        if getattr(style, "moves", None) is not None:
            operand = isinstance(data, Operand)
            style.assign(self, style.lift(data, "storage") if operand else _array(data))
            return
        new = _array(data)
        settle()
        if not overwrite(self, new):
            self.check(new.shape, new.dtype)
            self.array[...] = put(new, self.device)
            self.version += 1
        observer = recorder()
        if observer is not None:
            observer.note_write(new, self.array)

    def check(self, shape: Any, dtype: Any) -> None:
        """Raises unless an array of this shape and dtype can be written here."""
        named = f"storage {self.name!r}" if self.name else "storage"
        if shape != self.shape:
            raise ShapeError(
                f"{named}: what is written must keep the shape, got {show(shape)} for "
                f"{show(self.shape)}"
            )
        check_kind(named, dtype, self.dtype)

    def move(self, device: Device) -> None:
        """Put the numbers on another device; programs that hold the storage plan anew."""
        settle()
        self.array = put(self.array, device)
        note_move()

    def numpy(self) -> Any:
        """The numbers as a NumPy array; the very memory on the CPU."""
        return put(self.array, Device("cpu"))

    def item(self) -> Any:
        """The single number as a Python scalar."""
        return self.array.item()

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<storage{name} {self.aval}, version {self.version}>"


def load_storages(where: str, own: Mapping[str, Storage], state: Mapping[str, Any]) -> None:
    """Write arrays into storages by name: all of them, or none and an error.

    Raises
    ------
    UnknownNameError
        When names are missing or unexpected.
    ShapeError, DTypeError
        When an array does not fit its storage.
    """
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    if missing or unexpected:
        raise UnknownNameError(
            f"{where}: names must match, got missing {missing}, unexpected {unexpected}"
        )
    arrays = {name: _array(data) for name, data in state.items()}
    for name, storage in own.items():
        try:
            storage.check(arrays[name].shape, arrays[name].dtype)
        except (ShapeError, DTypeError) as error:
            raise type(error)(f"{where}: {name!r}: {error}") from None
    for name, storage in own.items():
        storage.write(arrays[name])


def check_kind(named: str, given: np.dtype, held: np.dtype) -> None:
    """Raises DTypeError unless numbers of one dtype can be held as another of the same kind."""
    if rank(given) != rank(held) and not (is_integer(given) and is_float(held)):
        raise DTypeError(
            f"{named}: what is written must keep the kind of dtype, got {given} for {held}"
        )


def _array(data: Any) -> Any:
    data = getattr(data, "array", data)
    if isinstance(data, np.ndarray):
        return np.asarray(data)
    if hasattr(data, "__cuda_array_interface__"):
        return data
    return array_of(data, "storage")
