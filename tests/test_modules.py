"""nn, optim and data: trees of parameters, saved state, optimisers against closed forms."""

import copy

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.data import DataLoader
from diptych.errors import ArgumentError, DTypeError, ShapeError, TapeError, UnknownNameError
from diptych.graphs.storage import Storage


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.Tanh(), nn.Linear(4, 2, bias=False))
        self.seen = Storage(np.zeros((), np.int64))

    def forward(self, x):
        return self.rest(self.first(x))


NAMES = ["first.weight", "first.bias", "rest.1.weight"]


def test_names_and_repr():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == NAMES
    assert list(net.state_dict()) == [*NAMES, "seen"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert "(first): Linear(3, 4, bias=True)" in repr(net)
    assert isinstance(net.first.weight, nn.Parameter)
    assert isinstance(net.first.weight, dt.Tensor)


def test_shared_parameters_count_once():
    net = Net()
    net.again = net.first
    assert [n for n, _ in net.named_parameters()] == NAMES


def test_state_dict_round_trip_is_in_place():
    a, b = Net(), Net()
    held = b.first.weight.array
    b.load_state_dict(a.state_dict())
    assert b.first.weight.array is held
    x = dt.ones((2, 3))
    assert (a(x).detach().numpy() == b(x).detach().numpy()).all()
    copy = a.state_dict()
    copy["first.weight"][:] = 0
    assert a.first.weight.array.any()


@pytest.mark.parametrize(
    "change, error, text",
    [
        (lambda s: s.pop("first.bias"), UnknownNameError, r"missing \['first.bias'\]"),
        (lambda s: s.update(x=np.zeros(1)), UnknownNameError, r"unexpected \['x'\]"),
        (lambda s: s.update({"first.bias": np.zeros(5, "f")}), ShapeError, "'first.bias'"),
        (lambda s: s.update({"seen": np.zeros((), "f")}), DTypeError, "'seen'"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, text):
    net, state = Net(), Net().state_dict()
    before = net.state_dict()
    change(state)
    with pytest.raises(error, match=text):
        net.load_state_dict(state)
    assert all((before[k] == v).all() for k, v in net.state_dict().items())


def test_attributes_before_init_are_refused():
    class Wrong(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter([1.0])

    with pytest.raises(DTypeError, match="Wrong: super"):
        Wrong()
    with pytest.raises(AttributeError, match="Net: has no attribute 'nothing'"):
        Net().nothing()


def test_linear_starts_within_its_bound_and_from_its_generator():
    a = nn.Linear(100, 50, generator=dt.Generator(5))
    b = nn.Linear(100, 50, generator=dt.Generator(5))
    assert (a.weight.array == b.weight.array).all()
    assert 0.09 < np.abs(a.weight.array).max() <= 0.1
    assert abs(a.weight.array.mean()) < 0.01


def test_random_numbers_are_uniform_and_normal():
    dt.manual_seed(0)
    u, n = dt.rand(100, 1000).numpy(), dt.randn(100, 1000).numpy()
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 5e-3
    assert abs(n.mean()) < 1e-2 and abs(n.std() - 1) < 1e-2
    assert np.unique(u).size > 90000


def test_dropout_scales_what_it_keeps():
    dt.manual_seed(0)
    kept = nn.Dropout(0.25)(dt.ones((1000, 100))).numpy()
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((kept == 0).mean() - 0.25) < 5e-3
    for p in (-0.1, 1.0):
        with pytest.raises(ArgumentError, match="dropout: p must be in"):
            nn.Dropout(p)


# -- optimisers ------------------------------------------------------------------------------


def test_sgd_with_momentum_by_hand():
    w = nn.Parameter(np.array([1.0, -2.0]))
    optimizer = dt.optim.SGD([w], lr=0.1, momentum=0.9)
    p, v = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(5):
        optimizer.minimize((w * w).sum())
        v = 0.9 * v + 2 * p
        p = p - np.float32(0.1) * v
    np.testing.assert_allclose(w.detach().numpy(), p, rtol=1e-6)


def test_adam_by_hand():
    w = nn.Parameter(np.array([1.0, -2.0]))
    optimizer = dt.optim.Adam([w], lr=0.1)
    p, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for t in range(1, 6):
        optimizer.minimize((w * w).sum())
        g = 2 * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(w.detach().numpy(), p, rtol=1e-4)


def test_step_reads_grad_and_skips_parameters_without_one():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = dt.optim.SGD([a, b], lr=0.5)
    (a * 2).sum().backward()
    optimizer.step()
    assert a.tolist() == [0.0] and b.tolist() == [1.0]
    optimizer.zero_grad()
    assert a.grad is None


def test_optimizer_state_round_trip():
    a = nn.Parameter([1.0])
    first = dt.optim.Adam([a], lr=0.1)
    first.minimize((a * a).sum())
    second = dt.optim.Adam([a], lr=0.5)
    second.load_state_dict(first.state_dict())
    assert second.lr == pytest.approx(0.1)
    assert list(second.state_dict()) == ["lr", "steps", "first.0", "second.0"]


def test_what_optimizers_refuse():
    w = nn.Parameter([1.0])
    with pytest.raises(DTypeError, match="optimizer: needs a list of parameters"):
        dt.optim.SGD([dt.tensor([1.0])], lr=0.1)
    with pytest.raises(DTypeError, match="optimizer: needs a list of parameters"):
        dt.optim.SGD([], lr=0.1)
    with pytest.raises(ArgumentError, match="lr must be at least 0, got -1"):
        dt.optim.SGD([w], lr=-1)
    with pytest.raises(ArgumentError, match="momentum must be in"):
        dt.optim.SGD([w], lr=1, momentum=1.5)
    with pytest.raises(TapeError, match="minimize: a parameter must reach the loss"):
        other = nn.Parameter([1.0])
        dt.optim.SGD([w], lr=1).minimize(other.sum())
    with pytest.raises(ShapeError, match="apply: one gradient per parameter"):
        dt.optim.SGD([w], lr=1).apply([])
    with dt.static.Graph(), pytest.raises(TapeError, match=r"step: a graph has no \.grad"):
        dt.optim.SGD([w], lr=1).step()


# -- data ------------------------------------------------------------------------------------


def test_a_loader_gives_every_row_once_in_an_order_of_its_epoch():
    rows = np.arange(10)
    loader = DataLoader(rows, rows * 2, batch_size=4, shuffle=True, seed=1)
    epochs = [[(a.tolist(), b.tolist()) for a, b in loader] for _ in range(2)]
    for epoch in epochs:
        assert [len(a) for a, _ in epoch] == [4, 4, 2]
        assert sorted(x for a, _ in epoch for x in a) == rows.tolist()
        assert all(y == 2 * x for a, b in epoch for x, y in zip(a, b))
    assert epochs[0] != epochs[1]
    loader.epoch = 0
    assert [(a.tolist(), b.tolist()) for a, b in loader] == epochs[0]
    assert len(DataLoader(rows, batch_size=4, drop_last=True)) == 2


def test_what_a_loader_refuses():
    with pytest.raises(ShapeError, match="equal first axes"):
        DataLoader(np.zeros(3), np.zeros(4))
    with pytest.raises(ArgumentError, match="batch_size must be at least 1"):
        DataLoader(np.zeros(3), batch_size=0)


# -- what would otherwise be lost without a word ---------------------------------------------


def test_sequential_takes_modules_alone():
    for wrong in (dt.tanh, [nn.Linear(2, 3)]):
        with pytest.raises(DTypeError, match="Sequential: takes modules"):
            nn.Sequential(nn.Linear(2, 2), wrong)


def test_a_parameter_stays_a_parameter():
    layer = nn.Linear(2, 2)
    with pytest.raises(DTypeError, match="Linear: parameter 'weight' must stay a Parameter"):
        layer.weight = np.zeros((2, 2), np.float32)
    layer.weight.storage.write(np.zeros((2, 2), np.float32))
    layer.bias = None
    assert [n for n, _ in layer.named_parameters()] == ["weight"]


def test_a_parameter_twice_is_refused():
    w = nn.Parameter([1.0])
    with pytest.raises(ArgumentError, match="parameters must differ"):
        dt.optim.SGD([w, w], lr=0.1)
    with pytest.raises(DTypeError, match="a module gives its own by parameters"):
        dt.optim.SGD(Net(), lr=0.1)


def test_models_and_optimizers_can_be_copied():
    net = Net()
    optimizer = dt.optim.Adam(net.parameters(), lr=0.1)
    twin, twin_optimizer = copy.deepcopy((net, optimizer))
    x = dt.ones((2, 3))
    assert (twin(x).detach().numpy() == net(x).detach().numpy()).all()
    twin_optimizer.minimize(twin(x).sum())
    assert (twin(x).detach().numpy() != net(x).detach().numpy()).any()
    assert optimizer.state_dict()["steps"] == 0 and twin_optimizer.state_dict()["steps"] == 1


def test_buffers_are_state_in_every_style():
    class Shift(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", [1.0, 2.0])

        def forward(self, x):
            return x - self.mean

    module = Shift()
    assert list(module.state_dict()) == ["mean"]
    x = dt.tensor([1.0, 1.0])
    assert module(x).tolist() == dt.compile(module)(x).tolist() == [0.0, -1.0]
    module.mean.write(np.zeros(2, np.float32))
    assert dt.compile(module)(x).tolist() == [1.0, 1.0]


def test_names_of_parameters_are_paths():
    assert [p.name for p in Net().parameters()] == NAMES
