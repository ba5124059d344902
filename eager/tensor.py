"""Tensor: an array, its storage, and where it stands on the tape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.compiled import adopt_operators
from ..graphs.devices import CPU, Device, device_of, put
from ..graphs.dtypes import is_float, is_integer
from ..graphs.errors import ArgumentError, DTypeError, GraphError, ShapeError, TapeError
from ..graphs.kernels import recorder
from ..graphs.modes import mode, settle, styles
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.parameter import Parameter
from ..graphs.storage import Storage
from .dlpack import export
from .style import EAGER
from .tape import Recorded, hooked, source_of
from .views import base_after, retaken, steps
from .writing import update, write


def _in_place(operator: Any) -> Callable[[Any, Any], Any]:
    """The method behind an assignment such as ``x += y``."""
    name = operator.__name__
    op = getattr(operator, "op", None)  # a function of several operators has none

    def change(self: Any, other: Any) -> Any:
        self._before_change(name)
        if op is not None and self._is_unseen(other, ()) and update(self, op, other):
            self._changed()
            return self
        return become(self, operator(self, other), name)

    change.__doc__ = f"`{name}` in place: it keeps the shape and the kind of dtype."
    return change


class Tensor(Recorded, Operand):
    """An array that operators run on at once, and that records how it was made.

    Made by `tensor`, `asarray`, `from_numpy`, the creation functions and every operator.

    Attributes
    ----------
    array : numpy.ndarray or cupy.ndarray
        The numbers themselves.
    requires_grad : bool
        Whether a gradient is wanted for it.
    grad : Tensor or None
        Of a leaf, after `backward`.
    grad_fn : Node or None
        The call that made it, None for a leaf.

    Examples
    --------
    >>> x = dt.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ()

    style: Any = EAGER

    # -- what it is --------------------------------------------------------------------------

    @property
    def device(self) -> Device:
        return device_of(self.array)

    @property
    def next_functions(self) -> Any:
        return self.grad_fn.next_functions if self.grad_fn else ()

    # -- conversion --------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The numbers as a NumPy array: the very memory on the CPU, a copy from CUDA.

        Raises
        ------
        TapeError
            When it records a gradient: use ``x.detach().numpy()``.
        """
        if self.requires_grad:
            raise TapeError("numpy: the tensor must not record, got requires_grad=True; detach it")
        return put(self.array, CPU)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ArgumentError(
                    f"__array__: a copy must be allowed for another dtype, got {array.dtype} for "
                    f"{np.dtype(dtype)} with copy=False"
                )
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule of the tensor's memory, for another library to import.

        Parameters
        ----------
        stream : int, optional
            The stream on which a CUDA device must have finished.
        max_version : (int, int), optional
            The newest version of DLPack that the importer knows.
        dl_device : (int, int), optional
            The device on which it wants the data.
        copy : bool, optional
            Whether it wants a copy (True), or none (False).

        Raises
        ------
        TapeError
            When it records a gradient: export ``x.detach()``.
        BufferError
            When the memory cannot be handed over: it is read-only and `max_version` older than 1.0.
        """
        if self.requires_grad:
            raise TapeError("dlpack: the tensor must not record, got requires_grad=True; detach it")
        return export(
            self.array, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        """The device as DLPack numbers it: (1, 0) is the CPU, (2, i) the CUDA device i."""
        return self.array.__dlpack_device__()

    def item(self) -> Any:
        """The number of a tensor of one element, as a Python scalar.

        Raises
        ------
        ShapeError
            When it has another number of elements.
        """
        if self.array.size != 1:
            raise ShapeError(f"item: must have one element, got shape {show(self.shape)}")
        return self.array.item()

    def tolist(self) -> Any:
        """The numbers as nested Python lists."""
        return self.array.tolist()

    def detach(self) -> Tensor:
        """A tensor over the same memory that does not record."""
        if styles() and isinstance(self, Parameter) and dispatch.is_building():
            return ops.stop_gradient(self)
        alias = Tensor(self.array)
        alias._storage = self.storage
        return alias

    def clone(self) -> Tensor:
        """A copy in memory of its own, through which gradients flow."""
        return ops.accumulate([self])

    def to(self, device: Device | str) -> Tensor:
        """The tensor on a device; itself when it is there already.

        Raises
        ------
        DeviceError
            When the device is unknown or not here.
        """
        target = Device.of(device)
        array = put(self.array, target)
        if array is self.array:
            return self
        if self.requires_grad and mode().enabled:
            raise TapeError("to: a recorded tensor cannot move, got requires_grad=True; detach it")
        return Tensor(array)

    def to_device(self, device: Device | str, /, *, stream: Any = None) -> Tensor:
        """The Array API's name of `to`; `stream` is for CuPy's current one alone, so None."""
        if stream is not None:
            raise ArgumentError(f"to_device: stream must be None, got {stream!r}")
        return self.to(device)

    def cpu(self) -> Tensor:
        return self.to("cpu")

    def cuda(self) -> Tensor:
        return self.to("cuda")

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if not is_integer(self.dtype):
            raise DTypeError(f"index: must be an integer, got {self.dtype}")
        return self.item()

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len: a 0-d tensor has no length, got shape ()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: Any) -> bool:
        return bool((self == item).array.any())

    def __repr__(self) -> str:
        numbers = np.array2string(put(self.array, CPU), separator=", ", prefix="tensor(")
        extra = f", shape={show(self.shape)}" if not self.size and self.ndim > 1 else ""
        extra += "" if self.dtype in _PLAIN else f", dtype={self.dtype}"
        if self.device != CPU:
            extra += f", device='{self.device}'"
        if self.grad_fn is not None:
            extra += f", grad_fn={self.grad_fn!r}"
        elif self.requires_grad:
            extra += ", requires_grad=True"
        return f"tensor({numbers}{extra})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    # -- gradients ---------------------------------------------------------------------------

    def backward(
        self, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf it came from.

        Parameters
        ----------
        gradient : Tensor, optional
            The cotangent; 1 for a scalar.
        retain_graph : bool
            Keep the tape's buffers for another backward.
        create_graph : bool
            Record the backward pass itself, for gradients of gradients.

        Raises
        ------
        TapeError
            When it records nothing, is no scalar and has no cotangent, when the buffers were
            freed, or when a saved value has been changed in place.
        """
        from .grad import backward

        backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say in place whether a gradient is wanted for this leaf.

        Raises
        ------
        TapeError
            When it is no leaf.
        DTypeError
            When it holds no floats.
        """
        if not self.is_leaf:
            raise TapeError("requires_grad_: only a leaf can change, got a recorded result")
        self.requires_grad = recordable(self.array, requires_grad)
        return self

    def retain_grad(self) -> None:
        """Keep ``.grad`` of a tensor that is no leaf, too."""
        if self.grad_fn is not None:
            self.grad_fn.retain(self.index, self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook` with this tensor's gradient; what it returns replaces the gradient.

        A tensor that a hook keeps is its own: no ``.grad`` shares its memory.

        Returns
        -------
        HookHandle
            Its `remove` takes the hook away.

        Raises
        ------
        TapeError
            When the tensor records no gradient.
        """
        if not self.requires_grad:
            raise TapeError("register_hook: the tensor must record, got requires_grad=False")
        if self.grad_fn is not None:
            hooks = self.grad_fn.hooks(self.index)
        else:
            if self._hooks is None:
                self._hooks = []
            hooks = self._hooks
        hooks.append(hook)
        return HookHandle(hooks, hook)

    def apply_hooks(self, gradient: Tensor) -> Tensor:
        """The gradient after the hooks of a leaf."""
        return hooked(self._hooks, gradient)

    # -- in place ----------------------------------------------------------------------------

    def __setitem__(self, index: Any, value: Any) -> None:
        self._before_change("setitem")
        if self._is_unseen(value, index):
            write(self, index, value)
            self._changed()
        else:
            become(self, ops.setitem(self, value, index), "setitem")

    __iadd__, __isub__ = _in_place(ops.add), _in_place(ops.subtract)
    __imul__, __itruediv__ = _in_place(ops.multiply), _in_place(ops.divide)
    __ifloordiv__, __imod__ = _in_place(ops.floor_divide), _in_place(ops.remainder)
    __ipow__, __imatmul__ = _in_place(ops.pow), _in_place(ops.matmul)
    __iand__, __ior__ = _in_place(ops.bitwise_and), _in_place(ops.bitwise_or)
    __ixor__ = _in_place(ops.bitwise_xor)
    __ilshift__ = _in_place(ops.bitwise_left_shift)
    __irshift__ = _in_place(ops.bitwise_right_shift)

    def copy_(self, other: Any) -> Tensor:
        """Take the numbers of `other`, broadcast to this shape, in place."""
        self._before_change("copy_")
        return become(self, ops.setitem(self, other, (Ellipsis,)), "copy_")

    def _before_change(self, name: str) -> None:
        if styles() and not isinstance(self, Parameter) and _is_tracing():
            raise GraphError(
                f"{name}: a compiled function changes its arguments, parameters, and what it "
                f"computes of them, got another tensor of shape {show(self.shape)}; pass it as an "
                "argument"
            )
        check_change(self, name)

    def _is_unseen(self, value: Any, index: Any) -> bool:
        """Whether nothing would record an assignment or observe its kernels."""
        entries = index if isinstance(index, tuple) else (index,)
        return (
            recorder() is None
            and not (mode().enabled and (_is_recorded(self) or _is_recorded(value)))
            and dispatch.style_of(self, value, *entries) is EAGER
        )

    def _changed(self) -> None:
        storage = self.storage
        if self._view_version == storage.version:  # a view that has gone stale stays so
            self._view_version += 1
        storage.version += 1

    def _take_history(self, result: Tensor) -> None:
        self.grad_fn, self.index, self.requires_grad = result.grad_fn, result.index, True
        self._view_version = self._recorded_version = self.storage.version


def _is_tracing() -> bool:
    """Whether a function is traced, whose changes in place the graph notes."""
    return getattr(dispatch.current(), "moves", None) is not None


def check_change(tensor: Tensor, name: str) -> None:
    """Raises TapeError unless an operator of a name may change a tensor in place."""
    settle()
    flags = getattr(tensor.array, "flags", None)
    if not getattr(flags, "writeable", True):
        raise TapeError(
            f"{name}: only writeable memory can change in place, got a read-only or broadcast "
            "view; clone it"
        )
    owner = tensor if tensor._base is None else tensor._base
    if mode().enabled and owner.requires_grad and owner.is_leaf:
        raise TapeError(
            f"{name}: a leaf that records must not change in place, got requires_grad=True; "
            "use dt.no_grad()"
        )


def become(tensor: Tensor, result: Any, name: str) -> Tensor:
    """Let a tensor that may change take over a result's numbers in place, and its history.

    A parameter becomes what a function computes that is being traced, too.
    """
    if not isinstance(result, Tensor):
        moves = getattr(result.style, "moves", None)
        if moves is None or not isinstance(tensor, Parameter):
            raise GraphError(
                "in place: a tensor cannot change while a graph is built of it, got "
                f"{result!r}; use the graph's assign"
            )
        moves.change(result.style.read(tensor), lambda: result, name)
        return tensor
    tensor.storage.check(tensor.storage.shape, result.dtype)
    if result.shape != tensor.shape:
        ops.broadcast_to(result, tensor.shape)  # raises the error of the operator
    base, past = tensor, result
    if result.requires_grad and tensor._base is not None:
        base, past = tensor._base, base_after(tensor, result)
    # A result may be saved by its own node, so it keeps its memory and the tensor gets a copy.
    tensor.array[...] = result.array
    observer = recorder()
    if observer is not None:
        observer.note_copy(result.array, tensor.array)
    tensor._changed()
    if result.requires_grad:
        base._take_history(past)
        for view, source, bound in reversed(steps(tensor)):
            view._take_history(retaken(source, bound))
    return tensor


def _is_recorded(x: Any) -> bool:
    """Whether a gradient flows to an operand; an error for a view whose base has changed."""
    return isinstance(x, Recorded) and source_of(x) is not None


class HookHandle:
    """A registered hook, and the way to take it away."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


_PLAIN = {np.dtype("float32"), np.dtype("int64"), np.dtype("bool")}


class TensorParameter(Tensor, Parameter):
    """The parameter of eager code: a tensor over a storage that graphs can share."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True, name: str | None = None) -> None:
        storage = data if isinstance(data, Storage) else Storage(data, name)
        super().__init__(storage.array, recordable(storage.array, requires_grad))
        self._storage = storage

    @property
    def style(self) -> dispatch.Style:
        return dispatch.current()

    @property
    def name(self) -> str | None:
        return self.storage.name

    def __reduce__(self) -> Any:
        # A copy is a parameter over a copy of the storage; its gradient does not come along.
        return (type(self), (self.storage, self.requires_grad))

    def move(self, device: Device) -> None:
        """Put the parameter on another device, in place; its gradient is forgotten."""
        self.storage.move(device)
        self.array, self.grad = self.storage.array, None

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"<parameter{name}: {super().__repr__()}>"


EAGER.tensor_type, EAGER.parameter_type = Tensor, TensorParameter
for kind in (Tensor, TensorParameter):
    adopt_operators(kind, Recorded)


def recordable(array: Any, requires_grad: bool) -> bool:
    """`requires_grad`, after a check that the array can have a gradient."""
    if requires_grad and not is_float(array.dtype):
        raise DTypeError(f"requires_grad: only floats have gradients, got {array.dtype}")
    return bool(requires_grad)
