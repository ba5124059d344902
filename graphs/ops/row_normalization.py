"""Normalisation over the last axes: each row by the numbers that it has.

Gradients are operators of their own with several results, so that the sums which they share are
taken once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ml_dtypes import finfo

from ..avals import Aval, as_shape, show
from ..dims import product
from ..errors import ShapeError
from ..kernels import normalization as kernels
from . import promotion
from .batching import Results, aligned, apply, spread
from .core import REQUIRED, Bound, Operator, defop, functions_of
from .functions import sqrt
from .gradients import each
from .normalization import check_like, eps_of, flop, like
from .reductions import mean as mean_
from .reductions import sum as sum_
from .rules import unbroadcast
from .windows import check_floats


def _row(*avals: Aval, shape: Any, eps: Any) -> dict[str, Any]:
    if eps is None:
        eps = float(finfo(avals[0].dtype).eps)
    return {"shape": as_shape(shape), **eps_of(eps=eps)}


def _check_rows(x: Aval, shape: Any, **weights: Aval) -> None:
    check_floats(x)
    if product(shape) == 0 or not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(
            "the operand's last axes must have the shape and hold numbers, got "
            f"{show(x.shape)} and {show(shape)}"
        )
    for name, weight in weights.items():
        if weight.shape not in ((), shape):
            raise ShapeError(
                f"{name} must have the shape or be one number, got {show(weight.shape)} for "
                f"{show(shape)}"
            )


def _axes_of(shape: Any) -> tuple[int, ...]:
    return tuple(range(-len(shape), 0))


def _layer_norm(x: Aval, weight: Aval, bias: Aval, shape: Any, eps: float) -> Aval:
    _check_rows(x, shape, weight=weight, bias=bias)
    return x


def _rms_norm(x: Aval, weight: Aval, shape: Any, eps: float) -> Aval:
    _check_rows(x, shape, weight=weight)
    return x


def _layer_norm_grads(c: Any, g: Any) -> tuple[Any, ...]:
    found = layer_norm_grad(c.x, c.weight, g, c.shape, c.eps)
    return found[0], like(found[1], c.ins[1]), like(found[2], c.ins[2])


def _rms_norm_grads(c: Any, g: Any) -> tuple[Any, ...]:
    gx, gweight = rms_norm_grad(c.x, c.weight, g, c.shape, c.eps)
    return gx, like(gweight, c.ins[1])


def _normalised_rows(call: Bound, operands: Any, batched: Any) -> Results:
    """Examples are rows; weights of their own are applied afterwards."""
    if not any(batched[1:]):
        return apply(call, *operands)
    x, weight, *bias = aligned(call, operands, batched)
    y = apply(call, x, 1.0, *[0.0] * len(bias)) * weight
    return y + bias[0] if bias else y


def _normalised_row_grads(call: Bound, operands: Any, batched: Any) -> Results:
    x, weight, g = aligned(call, spread(call, operands, batched), (True,) * 3)
    shape, eps = call.attrs["shape"], call.attrs["eps"]
    gx = apply(call, x, 1.0, g * weight)[0]
    rows = tuple(range(1, 1 + call.ins[0].ndim - len(shape)))
    if call.op is layer_norm_grad.op:
        return gx, sum_(g * layer_norm(x, 1.0, 0.0, shape, eps), rows), sum_(g, rows)
    return gx, sum_(g * rms_norm(x, 1.0, shape, eps), rows)


_DOC = """

    Parameters
    ----------
    x : array, shape (..., *shape), floats; integers become float32
    {operands}
    shape : int or tuple of int
        Of the last axes, which are normalised together.
    eps : float{optional}
        Added to the {what}.

    Returns
    -------
    {results}

    Raises
    ------
    ShapeError
        When the shapes do not fit, or `shape` is empty.
    ArgumentError
        When `eps` is negative.

    Examples
    --------
    >>> {code}
    {value}
    """


def _over_rows(name: str, signature: str, eps: float | None, *, says: str, operands: str,
               results: str, example: str, flops: int, **rest: Any) -> Operator:  # fmt: skip
    """An operator that normalises rows, or the gradient of one; an `eps` of None is
    the dtype's rounding unit."""
    code, _, value = example.partition(" -> ")
    optional, what = "", "variance"
    if eps is None:
        optional, what = ", optional", "mean square; by default the dtype's rounding unit"
    doc = _DOC.format(
        operands=operands, optional=optional, what=what, results=results, code=code, value=value
    )
    return defop(
        name,
        signature,
        attrs={"shape": REQUIRED, "eps": eps},
        normalise=_row,
        promote=promotion.common_float,
        cost=flop(flops),
        doc=says + doc,
        **rest,
    )


layer_norm: Operator = _over_rows(
    "layer_norm",
    "x, weight, bias -> y",
    1e-5,
    infer=_layer_norm,
    kernel=kernels.layer_norm,
    vjp=each(_layer_norm_grads, 3),
    saves=("x weight",) * 3,
    batch=_normalised_rows,
    flops=7,
    says="Rows of the last axes scaled to mean 0 and variance 1, then scaled and shifted.",
    operands="weight, bias : array of `shape`, or number",
    results="array of the shape of `x`",
    example="dt.layer_norm(dt.tensor([[1.0, 3.0]]), 1.0, 0.0, 2, eps=0.0) -> tensor([[-1.,  1.]])",
)
rms_norm: Operator = _over_rows(
    "rms_norm",
    "x, weight -> y",
    None,
    infer=_rms_norm,
    kernel=kernels.rms_norm,
    vjp=each(_rms_norm_grads, 2),
    saves=("x weight",) * 2,
    batch=_normalised_rows,
    flops=4,
    says="Rows of the last axes scaled to a mean square of 1, then by weights.",
    operands="weight : array of `shape`, or number",
    results="array of the shape of `x`",
    example="dt.rms_norm(dt.tensor([[3.0, 4.0]]), 5.0, 2, eps=12.5) -> tensor([[3., 4.]])",
)


def _layer_norm_grad(
    x: Aval, weight: Aval, g: Aval, shape: Any, eps: float
) -> tuple[Aval, Aval, Aval]:
    _check_rows(x, shape, weight=weight)
    check_like(g, x)
    row = replace(x, shape=shape)
    return x, row, row


def _rms_norm_grad(x: Aval, weight: Aval, g: Aval, shape: Any, eps: float) -> tuple[Aval, Aval]:
    return _layer_norm_grad(x, weight, g, shape, eps)[:2]


def _row_second(c: Any, h: Any, h_weight: Any, centred: bool, pull: Any) -> tuple[Any, ...]:
    """Gradients of x, weight and g, from the projection, summed over rows,

        r (sum(h q) - sum(h) sum(q) / n) - r sum(h y) sum(q y) / n + sum(h_weight g y)

    with y = r (x - mean), q = weight g and n numbers in a row; no means without centring. `pull`
    takes a cotangent of y to one of x.
    """
    axes, n = _axes_of(c.shape), product(c.shape)

    def total(v: Any) -> Any:
        return sum_(v, axis=axes, keepdims=True)

    def centre(v: Any) -> Any:
        return v - mean_(v, axis=axes, keepdims=True) if centred else v

    d, q = centre(c.x), c.weight * c.g
    r = 1 / sqrt(mean_(d * d, axis=axes, keepdims=True) + c.eps)
    y = d * r
    sum_hy, sum_qy = total(h * y), total(q * y)
    covariance = total(h * q)
    if centred:
        covariance = covariance - total(h) * total(q) / n
    along = centre(h * sum_qy + q * sum_hy) + y * (covariance - 3 * sum_hy * sum_qy / n)
    pulled = pull(h)
    by_x = pull(h_weight * c.g) - r * r / n * along
    return by_x, unbroadcast(c.g * pulled, c.ins[1]), c.weight * pulled + h_weight * y


def _layer_norm_second(c: Any, h: Any, h_weight: Any, h_bias: Any) -> tuple[Any, ...]:
    def pull(v: Any) -> Any:
        return layer_norm_grad(c.x, 1.0, v, c.shape, c.eps)[0]

    by_x, by_weight, by_g = _row_second(c, h, h_weight, True, pull)
    return by_x, by_weight, by_g + h_bias


def _rms_norm_second(c: Any, h: Any, h_weight: Any) -> tuple[Any, ...]:
    def pull(v: Any) -> Any:
        return rms_norm_grad(c.x, 1.0, v, c.shape, c.eps)[0]

    return _row_second(c, h, h_weight, False, pull)


_GRADS_OPERANDS = "weight : array of `shape`, or number\n    g : array of the shape of `x`"

layer_norm_grad: Operator = _over_rows(
    "layer_norm_grad",
    "x, weight, g -> gx, gweight, gbias",
    1e-5,
    infer=_layer_norm_grad,
    kernel=kernels.layer_norm_grad,
    vjp=each(_layer_norm_second, 3),
    saves=("x weight g",) * 3,
    batch=_normalised_row_grads,
    flops=14,
    says="The gradients of `layer_norm`, for the cotangent `g` of its result.",
    operands=_GRADS_OPERANDS,
    results="gx : array of the shape of `x`\n    gweight, gbias : array of `shape`",
    example="dt.layer_norm_grad(dt.tensor([[1.0, 3.0]]), 1.0, dt.ones((1, 2)), 2, eps=0.0)[1]"
    " -> tensor([-1.,  1.])",
)
rms_norm_grad: Operator = _over_rows(
    "rms_norm_grad",
    "x, weight, g -> gx, gweight",
    None,
    infer=_rms_norm_grad,
    kernel=kernels.rms_norm_grad,
    vjp=each(_rms_norm_second, 3),
    saves=("x weight g",) * 3,
    batch=_normalised_row_grads,
    flops=10,
    says="The gradients of `rms_norm`, for the cotangent `g` of its result.",
    operands=_GRADS_OPERANDS,
    results="gx : array of the shape of `x`\n    gweight : array of `shape`",
    example="dt.rms_norm_grad(dt.tensor([[3.0, 4.0]]), 1.0, dt.ones((1, 2)), 2, eps=12.5)[1]"
    " -> tensor([0.6, 0.8])",
)

__all__ = functions_of(__name__)
