"""Recurrent layers: cells carried along time, stacked, in one direction or both."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import Any

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.control import scan
from ..graphs.dims import Size
from ..graphs.errors import ArgumentError, ShapeError
from ..graphs.generator import Generator
from . import functional
from .cells import (
    State,
    Step,
    add_weights,
    check_state,
    gru_step,
    lstm_step,
    pair,
    project,
    rnn_step,
    zero_state,
)
from .checks import check_sizes
from .module import Module
from .packing import PackedSequence, check_packed

# Consecutive steps that have equally many sequences: how many steps, and how many sequences.
Run = tuple[Size, Size]


class _Recurrent(Module):
    """The base of the layers.

    Sequences are held as rows in order of time, padded ones as one run of steps, packed ones as a
    run for every length that occurs: a run is one scan.
    """

    gates = 1
    parts = 1
    bias_within = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_sizes(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not 0 <= dropout < 1:
            raise ArgumentError(f"{name}: dropout must be in 0 <= p < 1, got {dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.generator = bidirectional, generator
        self._directions = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            width = hidden_size * len(self._directions) if layer else input_size
            for direction in self._directions:
                suffix = f"_l{layer}{direction}"
                add_weights(self, suffix, self.gates, width, hidden_size, bias, generator)

    def step(self, x: Any, state: State, weight: Any, bias: Any) -> State:
        raise NotImplementedError

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, Any]:
        """Outputs of the last layer, and the last hidden state of every layer.

        Parameters
        ----------
        x : array, shape (time, batch, input_size) or (time, input_size), or PackedSequence
            (batch, time, input_size) if `batch_first`. The batch may be a symbolic dimension.
        hx : array, shape (directions * num_layers, batch, hidden_size), optional
            Zeros by default. Without batch if `x` is.

        Returns
        -------
        y : like `x`, with directions * hidden_size features
        h : like `hx`

        Raises
        ------
        ShapeError, DTypeError
            When `x` or `hx` does not fit, or is empty.
        """
        y, (h,) = self._run(x, None if hx is None else (hx,))
        return y, h

    def _run(self, x: Any, state: State | None) -> tuple[Any, State]:
        """Output in the form of the input, and the last state of every layer and direction."""
        if isinstance(x, PackedSequence):
            return self._run_packed(x, state)
        name = type(self).__name__
        single = len(x.shape) == 2
        if len(x.shape) not in (2, 3) or x.shape[-1] != self.input_size:
            order = "batch, time" if self.batch_first else "time, batch"
            raise ShapeError(
                f"{name}: must have shape ({order}, {self.input_size}) or "
                f"(time, {self.input_size}), got {show(x.shape)}"
            )
        if single:
            state = None if state is None else tuple(ops.expand_dims(s, -2) for s in state)
            time, batch = x.shape[0], 1
        else:
            x = ops.permute_dims(x, (1, 0, 2)) if self.batch_first else x
            time, batch, _ = x.shape
        if time == 0:
            raise ShapeError(f"{name}: must have at least one step, got none")
        rows = ops.reshape(x, (time * batch, self.input_size))
        rows, last = self._layers(rows, [(time, batch)], state)
        width = rows.shape[-1]
        if single:
            return rows, tuple(ops.squeeze(s, -2) for s in last)
        y = ops.reshape(rows, (time, batch, width))
        return (ops.permute_dims(y, (1, 0, 2)) if self.batch_first else y), last

    def _run_packed(self, x: PackedSequence, state: State | None) -> tuple[Any, State]:
        name = type(self).__name__
        check_packed(x, name)
        if len(x.data.shape) != 2 or x.data.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: packed rows must have {self.input_size} features, got "
                f"{show(x.data.shape)}"
            )
        if state is not None and x.sorted_indices is not None:
            state = tuple(ops.take(s, x.sorted_indices, -2) for s in state)
        runs: list[Run] = [(len(list(same)), n) for n, same in groupby(x.batch_sizes)]
        rows, last = self._layers(x.data, runs, state)
        if x.unsorted_indices is not None:
            last = tuple(ops.take(s, x.unsorted_indices, -2) for s in last)
        return x._replace(data=rows), last

    def _layers(self, rows: Any, runs: list[Run], state: State | None) -> tuple[Any, State]:
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                rows = functional.dropout(rows, self.dropout, self.training, self.generator)
            outputs = []
            for direction in self._directions:
                name = f"l{layer}{direction}"
                output, final = self._direction(rows, runs, state, name, len(last))
                outputs.append(output)
                last.append(final)
            rows = ops.concat(outputs, -1) if len(outputs) > 1 else outputs[0]
        return rows, tuple(ops.stack(list(part)) for part in zip(*last))

    def _direction(
        self, rows: Any, runs: list[Run], state: State | None, name: str, place: int
    ) -> tuple[Any, State]:
        """One layer in one direction, whose state stands at a place among all."""
        bias = None
        if self.bias:
            bias = (getattr(self, f"bias_ih_{name}"), getattr(self, f"bias_hh_{name}"))
        gates, within = project(rows, getattr(self, f"weight_ih_{name}"), bias, self.bias_within)
        shape = (runs[0][1], self.hidden_size)
        if state is None:
            start = zero_state(self.parts, shape, gates)
        else:
            count = self.num_layers * len(self._directions)
            check_state(type(self).__name__, state, (count, *shape), gates.dtype)
            start = tuple(s[place] for s in state)

        travel = _backwards if name.endswith("_reverse") else _forwards
        loop = partial(_loop, self.step, getattr(self, f"weight_hh_{name}"), within)
        outputs, final = travel(loop, start, _runs_of(gates, runs))
        flat = [
            ops.reshape(y, (steps * n, self.hidden_size)) for y, (steps, n) in zip(outputs, runs)
        ]
        return (ops.concat(flat, 0) if len(flat) > 1 else flat[0]), final

    def extra_repr(self) -> str:
        options = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False,
        }  # fmt: skip
        given = {k: getattr(self, k) for k in options}
        shown = [f"{k}={v}" for k, v in given.items() if v != options[k]]
        return ", ".join([str(self.input_size), str(self.hidden_size), *shown])


def _loop(
    step: Step, weight: Any, bias: Any, state: State, xs: Any, reverse: bool = False
) -> tuple[State, Any]:
    """Carry a state along the first axis: the last one, and the hidden state of every step."""
    weight = ops.permute_dims(weight)

    def along(carry: State, x: Any) -> tuple[State, Any]:
        carry = step(x, carry, weight, bias)
        return carry, carry[0]

    return scan(along, state, xs, reverse=reverse)


def _forwards(loop: Any, state: State, runs: list[Any]) -> tuple[list[Any], State]:
    """Carry a state along runs of ever fewer sequences; those that end keep their last state."""
    outputs, ended = [], []
    for position, x in enumerate(runs):
        if position:
            ended.append(tuple(s[x.shape[1] :] for s in state))
            state = tuple(s[: x.shape[1]] for s in state)
        state, y = loop(state, x)
        outputs.append(y)
    if not ended:
        return outputs, state
    return outputs, tuple(ops.concat(list(parts), 0) for parts in zip(state, *reversed(ended)))


def _backwards(loop: Any, start: State, runs: list[Any]) -> tuple[list[Any], State]:
    """Carry a state from the last run to the first; sequences join with their starting state."""
    outputs: list[Any] = []
    state = start if len(runs) == 1 else tuple(s[: runs[-1].shape[1]] for s in start)
    for x in reversed(runs):
        if outputs:
            known, wanted = state[0].shape[0], x.shape[1]
            state = tuple(ops.concat([s, t[known:wanted]], 0) for s, t in zip(state, start))
        state, y = loop(state, x, reverse=True)
        outputs.insert(0, y)
    return outputs, state


def _runs_of(rows: Any, runs: list[Run]) -> list[Any]:
    """Rows as arrays of shape (steps, sequences, width), one a run.

    Halving again and again costs the logarithm of the number of runs in the backward pass, where
    cutting each from the whole would cost the number itself.
    """
    if len(runs) == 1:
        return [ops.reshape(rows, (*runs[0], rows.shape[-1]))]
    half = len(runs) // 2
    first = sum(steps * n for steps, n in runs[:half])
    return [*_runs_of(rows[:first], runs[:half]), *_runs_of(rows[first:], runs[half:])]


class RNN(_Recurrent):
    """Plain recurrent layers: ``h' = f(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh)`` along time.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
        Layers above the first read the outputs of the one below.
    nonlinearity : {"tanh", "relu"}
    bias : bool
    batch_first : bool
        Whether padded input and output are of shape (batch, time, ...).
    dropout : float
        Probability of zeroing an output that another layer reads, in ``0 <= p < 1``.
    bidirectional : bool
        Run a second layer from the last step to the first, and join its outputs.
    generator : Generator, optional
        Where the starting values and dropout come from.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (hidden_size, input_size), float32
        Then ``l1`` and so on, and ``l0_reverse`` and so on if `bidirectional`.
    weight_hh_l0 : Parameter, shape (hidden_size, hidden_size), float32
    bias_ih_l0, bias_hh_l0 : Parameter, shape (hidden_size,), float32
        If `bias`.

    Raises
    ------
    ArgumentError
        When a size or `dropout` is out of range.
    UnknownNameError
        When the nonlinearity is not known.

    Examples
    --------
    >>> y, h = dt.nn.RNN(3, 4, num_layers=2)(dt.ones((5, 2, 3)))
    >>> y.shape, h.shape
    ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            generator,
        )
        self.nonlinearity, self._step = nonlinearity, rnn_step(nonlinearity)

    def step(self, x: Any, state: State, weight: Any, bias: Any) -> State:
        return self._step(x, state, weight, bias)


class LSTM(_Recurrent):
    """Long short-term memory along time; gates in the order input, forget, candidate, output.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
        Layers above the first read the outputs of the one below.
    bias, batch_first, dropout, bidirectional, generator
        As for `RNN`.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (4 * hidden_size, input_size), float32
        Then ``l1`` and so on, and ``l0_reverse`` and so on if `bidirectional`.
    weight_hh_l0 : Parameter, shape (4 * hidden_size, hidden_size), float32
    bias_ih_l0, bias_hh_l0 : Parameter, shape (4 * hidden_size,), float32
        If `bias`.

    Raises
    ------
    ArgumentError
        When a size or `dropout` is out of range.

    Notes
    -----
    S. Hochreiter, J. Schmidhuber: Long short-term memory (1997), with the forget gate of F. Gers.

    Examples
    --------
    >>> y, (h, c) = dt.nn.LSTM(3, 4, bidirectional=True)(dt.ones((5, 2, 3)))
    >>> y.shape, h.shape, c.shape
    ((5, 2, 8), (2, 2, 4), (2, 2, 4))
    """

    gates = 4
    parts = 2
    step = staticmethod(lstm_step)

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, tuple[Any, Any]]:
        """Outputs of the last layer, and the last state of every layer.

        Parameters
        ----------
        x : array, shape (time, batch, input_size) or (time, input_size), or PackedSequence
            (batch, time, input_size) if `batch_first`. The batch may be a symbolic dimension.
        hx : tuple of two arrays, shape (directions * num_layers, batch, hidden_size), optional
            Hidden state and cell state; zeros by default. Without batch if `x` is.

        Returns
        -------
        y : like `x`, with directions * hidden_size features
        h, c : a tuple like `hx`

        Raises
        ------
        ShapeError, DTypeError
            When `x` or `hx` does not fit, or is empty.
        """
        y, (h, c) = self._run(x, None if hx is None else pair("LSTM", hx))
        return y, (h, c)


class GRU(_Recurrent):
    """Gated recurrent units along time; gates in the order reset, update, candidate.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
        Layers above the first read the outputs of the one below.
    bias, batch_first, dropout, bidirectional, generator
        As for `RNN`.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (3 * hidden_size, input_size), float32
        Then ``l1`` and so on, and ``l0_reverse`` and so on if `bidirectional`.
    weight_hh_l0 : Parameter, shape (3 * hidden_size, hidden_size), float32
    bias_ih_l0, bias_hh_l0 : Parameter, shape (3 * hidden_size,), float32
        If `bias`.

    Raises
    ------
    ArgumentError
        When a size or `dropout` is out of range.

    Notes
    -----
    K. Cho et al.: Learning phrase representations using RNN encoder-decoder (2014). As in cuDNN
    the reset gate stands after the recurrent product.

    Examples
    --------
    >>> y, h = dt.nn.GRU(3, 4, batch_first=True)(dt.ones((2, 5, 3)))
    >>> y.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    """

    gates = 3
    bias_within = True
    step = staticmethod(gru_step)
