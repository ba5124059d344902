"""Convolution layers."""

from __future__ import annotations

from math import prod
from typing import Any

from ..graphs.errors import ArgumentError
from ..graphs.generator import Generator
from ..graphs.ops.windows import per_axis
from . import functional, init
from .checks import check_sizes
from .module import Module


class _Convolution(Module):
    """The base of all: weights and biases uniform within ``1 / sqrt(fan_in)``."""

    rank: int

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, groups: int, bias: bool,
        transposed: bool, generator: Generator | None,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        check_sizes(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: groups must divide both channels, got {groups} for {in_channels} and "
                f"{out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = per_axis(kernel_size, self.rank, f"{name}: kernel_size")
        channels = (out_channels, in_channels)
        first, second = reversed(channels) if transposed else channels
        shape = (first, second // groups, *self.kernel_size)
        fan_in = prod(shape[1:])
        self.weight = init.fan_in_uniform_(init.new_parameter(*shape), fan_in, generator)
        self.bias = None
        if bias:
            self.bias = init.fan_in_uniform_(init.new_parameter(out_channels), fan_in, generator)

    def extra_repr(self) -> str:
        shown = [f"{self.in_channels}", f"{self.out_channels}", f"kernel_size={self.kernel_size}"]
        usual = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}
        given = {name: getattr(self, name) for name in usual if hasattr(self, name)}
        shown += [f"{name}={value}" for name, value in given.items() if value != usual[name]]
        return ", ".join(shown + ["bias=False"] * (self.bias is None))


class _Forward(_Convolution):
    """The base of convolutions."""

    convolve: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, groups, bias, False, generator)
        self.stride, self.padding, self.dilation = stride, padding, dilation

    def forward(self, x: Any) -> Any:
        options = (self.stride, self.padding, self.dilation, self.groups)
        return type(self).convolve(x, self.weight, self.bias, *options)


class _Transposed(_Convolution):
    """The base of transposed convolutions."""

    convolve: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, groups, bias, True, generator)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.output_padding = output_padding

    def forward(self, x: Any) -> Any:
        options = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return type(self).convolve(x, self.weight, self.bias, *options)


_DOC = """{says}; see `functional.{function}`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or tuple of int
    {options}
        Of the function.
    bias : bool
    generator : Generator, optional
        Where the starting values come from.

    Attributes
    ----------
    weight : Parameter, shape {shape}, float32
    bias : Parameter, shape (out_channels,), float32, or None

    Raises
    ------
    ArgumentError
        When a size is no whole number above 0, or `groups` does not divide both channels.

    Examples
    --------
    >>> dt.nn.{name}(2, 4, 3{more})(dt.ones({images})).shape
    {result}
    """


class Conv1d(_Forward):
    rank = 1
    convolve = functional.conv1d
    __doc__ = _DOC.format(
        says="Convolution of sequences with filters", function="conv1d", name="Conv1d",
        options="stride, padding, dilation, groups",
        shape="(out_channels, in_channels / groups, kernel_size)", more=", padding=1",
        images="(5, 2, 8)", result="(5, 4, 8)",
    )  # fmt: skip


class Conv2d(_Forward):
    rank = 2
    convolve = functional.conv2d
    __doc__ = _DOC.format(
        says="Convolution of images with filters", function="conv2d", name="Conv2d",
        options="stride, padding, dilation, groups",
        shape="(out_channels, in_channels / groups, height, width)", more=", padding=1",
        images="(5, 2, 8, 8)", result="(5, 4, 8, 8)",
    )  # fmt: skip


class ConvTranspose1d(_Transposed):
    rank = 1
    convolve = functional.conv_transpose1d
    __doc__ = _DOC.format(
        says="Transposed convolution of sequences", function="conv_transpose1d",
        name="ConvTranspose1d", options="stride, padding, output_padding, groups, dilation",
        shape="(in_channels, out_channels / groups, kernel_size)", more=", stride=2",
        images="(5, 2, 8)", result="(5, 4, 17)",
    )  # fmt: skip


class ConvTranspose2d(_Transposed):
    rank = 2
    convolve = functional.conv_transpose2d
    __doc__ = _DOC.format(
        says="Transposed convolution of images", function="conv_transpose2d",
        name="ConvTranspose2d", options="stride, padding, output_padding, groups, dilation",
        shape="(in_channels, out_channels / groups, height, width)", more=", stride=2",
        images="(5, 2, 8, 8)", result="(5, 4, 17, 17)",
    )  # fmt: skip
