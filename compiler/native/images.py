"""Convolutions of images, their transposes and the gradients of their weights, as calls."""

from __future__ import annotations

from collections.abc import Mapping

from ...graphs.ir import Node, Value
from ...graphs.kernels.shapes.convolution import (
    Convolution,
    Kind,
    Rows,
    panel_elements,
    scratch_bytes,
    shared_rows,
)
from ...graphs.kernels.shapes.structs import image_strides, pair
from .calling import Layouts, LibraryCall, are_floats, call, kind
from .kernel import Access, Kernel, Packing, Span, everywhere, parameters, times
from .layout import Layout, sizes


def _takes(node: Node) -> bool:
    value = node.outputs[0]
    sizes = [n for v in (*node.inputs, value) for n in v.aval.shape]
    return are_floats(*node.inputs, value) and value.aval.ndim in (3, 4) and all(sizes)


def _channels_last(value: Value, first: Layout | None) -> tuple[int, ...]:
    axes = range(value.aval.ndim)
    return (0, *axes[2:], 1)


def _geometry(
    node: Node, x: Value, w: Value, y: Value, where: Mapping[Value, Layout]
) -> Convolution:
    """The convolution from x to y by w; `where` says of whom it matters where they lie."""
    attrs = node.attrs
    (top, _), (left, _) = pair(attrs["padding"], (0, 0))
    x_size, w_size, y_size = (sizes(v.aval) for v in (x, w, y))
    x_strides, w_strides, y_strides = (
        image_strides(where[v]) if v in where else (0, 0, 0, 0) for v in (x, w, y)
    )
    return Convolution(
        images=x_size[0],
        groups=attrs["groups"],
        channels=x_size[1],
        filters=y_size[1],
        size=pair(x_size[2:], 1),
        windows=pair(y_size[2:], 1),
        kernel=pair(w_size[2:], 1),
        stride=pair(attrs["stride"], 1),
        before=(top, left),
        dilation=pair(attrs["dilation"], 1),
        x=x_strides,
        w=w_strides,
        y=y_strides,
    )


def _through(node: Node, where: Mapping[Value, Layout]) -> tuple[Kind, Convolution]:
    """Which way a node goes through a convolution, and which one that is."""
    first, w = node.inputs
    [last] = node.outputs
    if node.op.name.startswith("conv_transpose"):
        return "transpose", _geometry(node, last, w, first, where)
    return "forward", _geometry(node, first, w, last, where)


_FUNCTIONS = {"forward": "dt_conv2d", "transpose": "dt_conv2d_transpose"}


def _convolution(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    first = operands[0]
    way, shape = _through(node, {node.inputs[0]: first, node.outputs[0]: results[0]})
    scratch = scratch_bytes(way, shape, threads, first.dtype.itemsize)
    kernel = call(
        node, f"{_FUNCTIONS[way]}_{kind(first)}", "dt_conv", shape, operands, results,
        ("p0", "p1", "q0"), scratch, threads=threads, apart=True,
    )  # fmt: skip
    if kernel is not None and shape.groups == 1:
        shares = shared_rows(way, shape, threads)
        source, _, result = kernel.accesses
        source.spans = [(0, 0) if each is None else _span(first, each[0]) for each in shares]
        result.spans = [(0, 0) if each is None else _span(results[0], each[1]) for each in shares]
    return kernel


def _span(layout: Layout, rows: Rows) -> Span:
    """The bytes from the first to the last of some rows of images."""
    first, begin, last, end = rows
    image, channel, row, column = image_strides(layout)
    height, width = pair(layout.shape[2:], 1)
    if min(image, channel, row, column) < 0 or (first != last and image < height * row):
        return everywhere(layout, 1)[0]
    begin, end = max(0, min(begin, height - 1)), max(1, min(end, height))
    high = last * image + (end - 1) * row + (layout.shape[1] - 1) * channel + (width - 1) * column
    size = layout.dtype.itemsize
    return (first * image + begin * row) * size, (high + 1) * size


def _packing(node: Node, w: Layout, threads: int) -> Packing:
    """How the weights become the panels that `_convolution` reads."""
    way, shape = _through(node, {node.inputs[1]: w})
    function = f"{_FUNCTIONS[way]}_pack_{kind(w)}"

    def pack(w: Layout, panels: Layout) -> Kernel:
        body = [
            f"static const dt_conv shape = {shape.text()};",
            f"{function}(team, thread, &shape, p0, q0);",
        ]
        accesses = [
            Access(w, False, everywhere(w, threads)),
            Access(panels, True, everywhere(panels, threads)),
        ]
        note = f"pack: {times(w.shape)}"
        return Kernel("pack", note, parameters([w], [panels]), body, accesses)

    elements = panel_elements(way, shape, w.dtype.itemsize)
    return Packing(f"{function} {shape.text()}", elements, pack)


def _weight_gradient(
    node: Node, operands: Layouts, results: Layouts, threads: int
) -> Kernel | None:
    (x, y), (w,) = node.inputs, node.outputs
    shape = _geometry(node, x, w, y, dict(zip((x, y, w), (*operands, *results))))
    scratch = scratch_bytes("weight", shape, threads, w.dtype.itemsize)
    return call(
        node, f"dt_conv2d_weight_{kind(results[0])}", "dt_conv", shape, operands, results,
        ("p0", "p1", "q0"), scratch, True, threads=threads,
    )  # fmt: skip


_CONVOLUTION = LibraryCall(_takes, _convolution, _channels_last, packing=_packing)

CONVOLUTIONS: dict[str, LibraryCall] = {
    "conv1d": _CONVOLUTION,
    "conv2d": _CONVOLUTION,
    "conv_transpose1d": _CONVOLUTION,
    "conv_transpose2d": _CONVOLUTION,
    "conv_weight_grad": LibraryCall(_takes, _weight_gradient),
}
