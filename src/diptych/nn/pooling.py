"""Pooling and resampling layers."""

from __future__ import annotations

from typing import Any

from . import functional
from .module import Module


class _Pooling(Module):
    """The base of pooling: a function of windows, and its options."""

    pool: Any

    def __init__(self, kernel_size: Any, stride: Any, padding: Any, **options: Any) -> None:
        super().__init__()
        self.kernel_size, self.options = kernel_size, options
        self.stride, self.padding = stride, padding

    def forward(self, x: Any) -> Any:
        return type(self).pool(x, self.kernel_size, self.stride, self.padding, **self.options)

    def extra_repr(self) -> str:
        shown = {"stride": self.stride, "padding": self.padding, **self.options}
        usual = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False,
                 "count_include_pad": True}  # fmt: skip
        given = [f"{name}={value}" for name, value in shown.items() if value != usual[name]]
        return ", ".join([f"kernel_size={self.kernel_size}", *given])


class _MaxPool(_Pooling):
    """The base of max pooling."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation=dilation, ceil_mode=ceil_mode)


class MaxPool1d(_MaxPool):
    """The largest number of each window; see `max_pool1d`, of which it takes the options.

    Examples
    --------
    >>> dt.nn.MaxPool1d(2)(dt.tensor([[[1.0, 2.0, 5.0, 3.0]]]))
    tensor([[[2., 5.]]])
    """

    pool = functional.max_pool1d


class MaxPool2d(_MaxPool):
    """The largest number of each window; see `max_pool2d`, of which it takes the options.

    Examples
    --------
    >>> dt.nn.MaxPool2d(2)(dt.ones((5, 3, 8, 6))).shape
    (5, 3, 4, 3)
    """

    pool = functional.max_pool2d


class _AvgPool(_Pooling):
    """The base of average pooling."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        options = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        super().__init__(kernel_size, stride, padding, **options)


class AvgPool1d(_AvgPool):
    """The mean of each window; see `avg_pool1d`, of which it takes the options.

    Examples
    --------
    >>> dt.nn.AvgPool1d(2)(dt.tensor([[[1.0, 2.0, 5.0, 3.0]]]))
    tensor([[[1.5, 4. ]]])
    """

    pool = functional.avg_pool1d


class AvgPool2d(_AvgPool):
    """The mean of each window; see `avg_pool2d`, of which it takes the options.

    Examples
    --------
    >>> dt.nn.AvgPool2d(2)(dt.ones((5, 3, 8, 6))).shape
    (5, 3, 4, 3)
    """

    pool = functional.avg_pool2d


class _AdaptiveAvgPool(Module):
    """The base of pooling to a size."""

    pool: Any

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        return type(self).pool(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means over as many windows as are asked for; see `functional.adaptive_avg_pool1d`.

    Parameters
    ----------
    output_size : int

    Examples
    --------
    >>> dt.nn.AdaptiveAvgPool1d(2)(dt.tensor([[[1.0, 2.0, 6.0]]]))
    tensor([[[1.5, 4. ]]])
    """

    pool = functional.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means over as many windows as are asked for; see `functional.adaptive_avg_pool2d`.

    Parameters
    ----------
    output_size : int or tuple of int or None

    Examples
    --------
    >>> dt.nn.AdaptiveAvgPool2d((1, None))(dt.ones((5, 3, 8, 6))).shape
    (5, 3, 1, 6)
    """

    pool = functional.adaptive_avg_pool2d


class Upsample(Module):
    """Images resampled to another size; see `interpolate`.

    Parameters
    ----------
    size : int or tuple of int, optional
    scale_factor : number or tuple of numbers, optional
    mode : {"nearest", "linear", "bilinear"}
    align_corners : bool

    Examples
    --------
    >>> dt.nn.Upsample(scale_factor=2)(dt.ones((5, 3, 4, 4))).shape
    (5, 3, 8, 8)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Any) -> Any:
        options = (self.size, self.scale_factor, self.mode, self.align_corners)
        return functional.interpolate(x, *options)

    def extra_repr(self) -> str:
        size = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{size}, mode={self.mode!r}"
