"""Recurrent cells: one step of a recurrent layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.errors import DTypeError, ShapeError, unknown
from ..graphs.generator import Generator
from . import functional, init
from .checks import check_sizes
from .module import Module

# The hidden state, and of an LSTM the cell state.
State = tuple[Any, ...]
# From a step's projected input, the state, the transposed recurrent weight and its bias.
Step = Callable[[Any, State, Any, Any], State]

NONLINEARITIES = {"tanh": ops.tanh, "relu": ops.relu}


def rnn_step(nonlinearity: str) -> Step:
    """The step of a plain recurrent network: ``h' = f(x + h @ w)``.

    Raises
    ------
    UnknownNameError
        When the nonlinearity is not known.
    """
    if nonlinearity not in NONLINEARITIES:
        raise unknown("nonlinearity", nonlinearity, NONLINEARITIES)
    activate = NONLINEARITIES[nonlinearity]
    return lambda x, state, weight, bias: (activate(_recur(x, state[0], weight, bias)),)


def lstm_step(x: Any, state: State, weight: Any, bias: Any) -> State:
    """The step of an LSTM, with gates in the order input, forget, candidate, output."""
    h, c = state
    n = h.shape[-1]
    gates = _recur(x, h, weight, bias)
    opened = ops.sigmoid(gates[..., : 2 * n])
    candidate = ops.tanh(gates[..., 2 * n : 3 * n])
    output = ops.sigmoid(gates[..., 3 * n :])
    c = opened[..., n:] * c + opened[..., :n] * candidate
    return output * ops.tanh(c), c


def gru_step(x: Any, state: State, weight: Any, bias: Any) -> State:
    """The step of a GRU, with gates in the order reset, update, candidate."""
    (h,) = state
    n = h.shape[-1]
    recurrent = _add(h @ weight, bias)
    opened = ops.sigmoid(x[..., : 2 * n] + recurrent[..., : 2 * n])
    candidate = ops.tanh(x[..., 2 * n :] + opened[..., :n] * recurrent[..., 2 * n :])
    return (candidate + opened[..., n:] * (h - candidate),)


def _recur(x: Any, h: Any, weight: Any, bias: Any) -> Any:
    return _add(x + h @ weight, bias)


def _add(x: Any, bias: Any) -> Any:
    return x if bias is None else x + bias


def project(x: Any, weight: Any, bias: Any, within: bool) -> tuple[Any, Any]:
    """What the input adds to the gates of every step, and the bias that is left for the step.

    Parameters
    ----------
    x : array, shape (..., input_size)
    weight : array, shape (gates, input_size)
    bias : pair of arrays, shape (gates,), or None
        Of the input and of the state.
    within : bool
        Whether a gate stands before the second bias, so that it cannot be added here.
    """
    if bias is None:
        return functional.linear(x, weight), None
    first, second = bias
    if within:
        return functional.linear(x, weight, first), second
    return functional.linear(x, weight, first + second), None


def check_state(where: str, state: State, shape: Any, dtype: Any) -> None:
    """Raises unless every part of a state has this shape and dtype."""
    for part in state:
        if part.shape != shape:
            raise ShapeError(f"{where}: hx must have shape {show(shape)}, got {show(part.shape)}")
        if part.dtype != dtype:
            raise DTypeError(f"{where}: hx must have dtype {dtype}, got {part.dtype}")


def zero_state(parts: int, shape: Any, like: Any) -> State:
    """Zeros of the dtype and on the device of `like`."""
    return (ops.zeros(shape, dtype=like.dtype, device=like.device),) * parts


class _Cell(Module):
    """The base of the cells: weights under torch's names, all uniform in ``1/sqrt(hidden)``."""

    gates = 1
    parts = 1
    bias_within = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        add_weights(self, "", self.gates, input_size, hidden_size, bias, generator)

    def step(self, x: Any, state: State, weight: Any, bias: Any) -> State:
        raise NotImplementedError

    def _next(self, x: Any, state: State | None) -> State:
        name = type(self).__name__
        if len(x.shape) not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: must have shape ({self.input_size},) or (batch, {self.input_size}), got "
                f"{show(x.shape)}"
            )
        bias = (self.bias_ih, self.bias_hh) if self.bias else None
        projected, within = project(x, self.weight_ih, bias, self.bias_within)
        shape = (*x.shape[:-1], self.hidden_size)
        if state is None:
            state = zero_state(self.parts, shape, projected)
        check_state(name, state, shape, projected.dtype)
        return self.step(projected, state, ops.permute_dims(self.weight_hh), within)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, bias={self.bias}"


def add_weights(
    module: Module,
    suffix: str,
    gates: int,
    input_size: int,
    hidden_size: int,
    bias: bool,
    generator: Generator | None,
) -> None:
    """Register the weights of one cell, each name with a suffix."""
    rows = gates * hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size),
    }  # fmt: skip
    if bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    for name, shape in shapes.items():
        start = init.fan_in_uniform_(init.new_parameter(*shape), hidden_size, generator)
        module.register_parameter(name + suffix, start)


class RNNCell(_Cell):
    """One step of a plain recurrent network: ``h' = f(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh)``.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    nonlinearity : {"tanh", "relu"}
    generator : Generator, optional
        Where the starting values come from.

    Attributes
    ----------
    weight_ih : Parameter, shape (hidden_size, input_size), float32
    weight_hh : Parameter, shape (hidden_size, hidden_size), float32
    bias_ih, bias_hh : Parameter, shape (hidden_size,), float32
        If `bias`.

    Raises
    ------
    ArgumentError
        When a size is no whole number above 0.
    UnknownNameError
        When the nonlinearity is not known.

    Examples
    --------
    >>> cell = dt.nn.RNNCell(3, 4)
    >>> h = cell(dt.ones((2, 3)))
    >>> cell(dt.ones((2, 3)), h).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        generator: Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, generator)
        self.nonlinearity, self._step = nonlinearity, rnn_step(nonlinearity)

    def step(self, x: Any, state: State, weight: Any, bias: Any) -> State:
        return self._step(x, state, weight, bias)

    def forward(self, x: Any, hx: Any = None) -> Any:
        """The next hidden state, shape (batch, hidden_size) or (hidden_size,).

        Parameters
        ----------
        x : array, shape (batch, input_size) or (input_size,)
        hx : array of the result's shape, optional
            Zeros by default.

        Raises
        ------
        ShapeError, DTypeError
            When `x` or `hx` does not fit.
        """
        return self._next(x, None if hx is None else (hx,))[0]


class LSTMCell(_Cell):
    """One step of a long short-term memory; gates in the order input, forget, candidate, output.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    generator : Generator, optional
        Where the starting values come from.

    Attributes
    ----------
    weight_ih : Parameter, shape (4 * hidden_size, input_size), float32
    weight_hh : Parameter, shape (4 * hidden_size, hidden_size), float32
    bias_ih, bias_hh : Parameter, shape (4 * hidden_size,), float32
        If `bias`.

    Raises
    ------
    ArgumentError
        When a size is no whole number above 0.

    Notes
    -----
    S. Hochreiter, J. Schmidhuber: Long short-term memory (1997), with the forget gate of F. Gers.

    Examples
    --------
    >>> h, c = dt.nn.LSTMCell(3, 4)(dt.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    gates = 4
    parts = 2
    step = staticmethod(lstm_step)

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, Any]:
        """The next hidden state and cell state, each of shape (batch, hidden_size).

        Parameters
        ----------
        x : array, shape (batch, input_size) or (input_size,)
        hx : tuple of two arrays of the results' shape, optional
            Zeros by default.

        Raises
        ------
        ShapeError, DTypeError
            When `x` or `hx` does not fit.
        """
        h, c = self._next(x, None if hx is None else pair("LSTMCell", hx))
        return h, c


class GRUCell(_Cell):
    """One step of a gated recurrent unit; gates in the order reset, update, candidate.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    generator : Generator, optional
        Where the starting values come from.

    Attributes
    ----------
    weight_ih : Parameter, shape (3 * hidden_size, input_size), float32
    weight_hh : Parameter, shape (3 * hidden_size, hidden_size), float32
    bias_ih, bias_hh : Parameter, shape (3 * hidden_size,), float32
        If `bias`.

    Raises
    ------
    ArgumentError
        When a size is no whole number above 0.

    Notes
    -----
    K. Cho et al.: Learning phrase representations using RNN encoder-decoder (2014). As in cuDNN
    the reset gate stands after the recurrent product.

    Examples
    --------
    >>> dt.nn.GRUCell(3, 4)(dt.ones((2, 3))).shape
    (2, 4)
    """

    gates = 3
    bias_within = True
    step = staticmethod(gru_step)

    def forward(self, x: Any, hx: Any = None) -> Any:
        """The next hidden state, shape (batch, hidden_size) or (hidden_size,).

        Parameters
        ----------
        x : array, shape (batch, input_size) or (input_size,)
        hx : array of the result's shape, optional
            Zeros by default.

        Raises
        ------
        ShapeError, DTypeError
            When `x` or `hx` does not fit.
        """
        return self._next(x, None if hx is None else (hx,))[0]


def pair(where: str, hx: Any) -> State:
    """The two parts of an LSTM's state.

    Raises
    ------
    DTypeError
        When it has not two.
    """
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise DTypeError(f"{where}: hx must be a pair of arrays, got {type(hx).__name__}")
    return tuple(hx)
