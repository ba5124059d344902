"""Parameter: what a module registers and an optimiser updates, in whatever style it runs."""

from __future__ import annotations

from typing import Any

from .devices import Device
from .operand import Operand
from .ops import dispatch
from .storage import Storage


class Parameter(Operand):
    """A trainable leaf over a `Storage`.

    In eager code it is a tensor that records its gradient; in a graph it becomes a variable over
    the same storage, so a program trains the very array that eager code reads. Calling the class
    gives the tensor type of the default style, as `pathlib.Path` gives the system's.

    Parameters
    ----------
    data : array or nested lists of numbers
        Floats. An array is taken without a copy.
    requires_grad : bool
    name : str, optional

    Raises
    ------
    DTypeError
        When a gradient is asked for and the numbers are no floats.

    Examples
    --------
    >>> w = Parameter([[1.0, 2.0]])
    >>> w.requires_grad, w.shape
    (True, (1, 2))
    """

    __slots__ = ()

    requires_grad: bool
    grad: Any

    @property
    def storage(self) -> Storage:
        """The numbers, which every style shares."""
        raise NotImplementedError

    def move(self, device: Device) -> None:
        """Put the parameter on another device, in place."""
        raise NotImplementedError

    def __new__(cls, data: Any, requires_grad: bool = True, name: str | None = None) -> Any:
        made: Any = dispatch.default().parameter_type if cls is Parameter else cls
        # A compiled base makes its own instances; the one after this class may be `object`.
        bases = (b for b in made.__mro__ if b is not Parameter and "__new__" in b.__dict__)
        return next(bases).__new__(made)

    @property
    def style(self) -> dispatch.Style:
        return dispatch.current()
