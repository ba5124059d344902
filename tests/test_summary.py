"""The summary of a model: what it counts, against what a run counts."""

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.errors import ArgumentError, DTypeError, ShapeError, StaticValueError
from diptych.graphs.generator import default_generator
from diptych.graphs.kernels import Recorder, recording


class Net(nn.Module):
    """A module that is called twice, one below it that is shared, and one that is not called."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.rest = nn.Sequential(nn.Tanh(), self.first)
        self.spare = nn.Linear(7, 7)

    def forward(self, x, *, twice=True):
        x = self.first(x)
        return {"y": self.rest(x), "x": [x]} if twice else x


def test_every_module_has_a_row_in_order_of_the_tree():
    found = nn.summary(Net(), (5, 3))
    assert [row.path for row in found.rows] == ["", "first", "rest", "rest.0", "spare"]
    assert [row.type for row in found.rows] == ["Net", "Linear", "Sequential", "Tanh", "Linear"]
    assert found.rows[0].outputs == ((5, 3), (5, 3)) and found.rows[4].outputs == ()
    assert [row.parameters for row in found.rows] == [68, 12, 12, 0, 56]
    linear = 2 * 5 * 3 * 3 + 15
    assert [row.flop for row in found.rows] == [2 * linear + 15, 2 * linear, linear + 15, 15, 0]
    assert found.flop == 2 * linear + 15 and found.parameters == 68 == found.trained
    assert found.parameter_bytes == 4 * 68


def test_the_text_is_a_table():
    model = nn.Sequential(nn.Linear(512, 512), Net().rest)
    model[0].weight.requires_grad_(False)
    assert str(nn.summary(model[:1], ("n", 512))).splitlines() == [
        "module   type        output    parameters      FLOP",
        "---------------------------------------------------",
        "(model)  Sequential  (n, 512)     262,656  524800*n",
        "  0      Linear      (n, 512)     262,656  524800*n",
        "parameters: 262,656, 1.0 MiB, 512 trained",
        "FLOP of a forward pass: 524800*n",
    ]
    assert "\n  spare  Linear      not called" in str(nn.summary(Net(), (5, 3)))
    assert "\n    0    Tanh " in str(nn.summary(Net(), (5, 3)))


@pytest.mark.parametrize(
    "model, shape",
    [
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), (5, 3)),
        (nn.LSTM(3, 4, num_layers=2, bidirectional=True), (6, 2, 3)),
        (nn.GRU(3, 4), (6, 3)),
    ],
)
def test_flop_are_those_of_a_run(model, shape):
    with recording(Recorder()) as seen, dt.no_grad():
        model(dt.ones(shape))
    found = nn.summary(model, shape)
    assert found.flop == seen.flop
    names = [f"n{i}" for i in range(len(shape) - 1)]
    symbolic = nn.summary(model, (*names, shape[-1])).flop
    assert symbolic.evaluate(dict(zip(names, shape))) == seen.flop


def test_a_module_within_a_loop_counts_every_step():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.Linear(3, 3, bias=False)

        def forward(self, xs):
            def step(h, x):
                h = dt.tanh(self.cell(h)) + x
                return h, h

            return dt.scan(step, dt.zeros((2, 3)), xs)[1]

    found = nn.summary(Loop(), (7, 2, 3))
    assert found.rows[1].flop == 7 * 2 * 2 * 3 * 3
    assert found.flop == found.rows[1].flop + 7 * 12


def test_inputs_may_be_arrays_of_any_dtype_and_in_containers():
    class Pick(nn.Module):
        def forward(self, pair, index):
            return dt.take(pair[0], index) + pair[1]

    pair = (dt.ones((5,)), np.ones((2,)))
    found = nn.summary(Pick(), pair, np.array([1, 0]))
    assert found.rows[0].outputs == ((2,),) and found.rows[0].parameters == 0
    again = nn.summary(Pick(), pair, (2,), dtypes=["float32", "int64"])
    assert again == found
    assert nn.summary(Net(), (5, 3), twice=False).rows[2].outputs == ()


def test_nothing_changes_in_the_model():
    net, seen = Net(), []
    note = seen.append
    net.first.register_forward_hook(lambda m, args, y: note(type(y).__name__))
    net.rest.append(nn.Dropout(0.5))
    compiled = dt.compile(net)
    x = dt.ones((5, 3))
    compiled(x)
    offset = default_generator.offset.item()
    nn.summary(net, (5, 3))
    with pytest.raises(ShapeError):
        nn.summary(net, (5, 4))
    assert default_generator.offset.item() == offset
    compiled(x)
    assert "1 traces" in repr(compiled) and len(seen) == 4
    assert type(dt.zeros(1)) is dt.Tensor


def test_what_a_summary_refuses():
    with pytest.raises(DTypeError, match="summary: must be a Module, got function"):
        nn.summary(lambda x: x, (3,))
    with pytest.raises(ArgumentError, match="one dtype per input is needed, got 2 for 1"):
        nn.summary(Net(), (5, 3), dtypes=["float32", "int64"])

    class Asks(nn.Module):
        def forward(self, x):
            return x if x.sum().item() > 0 else -x

    with pytest.raises(StaticValueError):
        nn.summary(Asks(), (3,))
