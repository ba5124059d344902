"""nn, optim and data: trees of parameters, saved state, optimisers against closed forms."""

import copy
import pickle

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.data import DataLoader
from diptych.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    ShapeError,
    TapeError,
    UnknownNameError,
)
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
    assert (optimizer.state_dict()["steps"] == 0).all()
    assert (twin_optimizer.state_dict()["steps"] == 1).all()


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


# -- attributes ------------------------------------------------------------------------------


def test_what_is_held_under_a_name_is_not_lost_by_a_slip():
    net = Net()
    for name, kind in (("first", "Module"), ("seen", "Storage")):
        with pytest.raises(DTypeError, match=f"Net: {kind.lower()} '{name}' must stay a {kind}"):
            setattr(net, name, np.zeros(()))
    net.first = nn.Linear(3, 4, bias=False)
    net.seen = None
    assert [n for n, _ in net.named_parameters()] == ["first.weight", "rest.1.weight"]
    assert net.seen is None and "seen" not in net.state_dict()
    assert "first" in dir(net) and "seen" in dir(net)
    del net.rest
    assert not hasattr(net, "rest")


def test_names_are_registered_by_hand():
    net = nn.Module()
    net.add_module("layer", nn.Linear(2, 1))
    net.register_parameter("scale", nn.Parameter([1.0]))
    net.register_parameter("bias", None)
    assert [n for n, _ in net.named_parameters()] == ["scale", "layer.weight", "layer.bias"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert net.bias is None and [n for n, _ in net.named_children()] == ["layer"]


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda n: n.add_module("a.b", nn.Tanh()), ArgumentError, "string without dots, got 'a.b'"),
        (lambda n: n.add_module("", nn.Tanh()), ArgumentError, "add_module: a name must be"),
        (lambda n: n.add_module("x", dt.tanh), DTypeError, "add_module: must be a Module or None"),
        (lambda n: n.register_parameter("x", dt.ones(1)), DTypeError, "be a Parameter or None"),
        (lambda n: n.register_parameter(3, None), ArgumentError, "register_parameter: a name"),
        (lambda n: n.register_buffer("a.b", [1.0]), ArgumentError, "register_buffer: a name"),
        (lambda n: setattr(n, "forward", nn.Tanh()), ArgumentError, "no attribute of the class"),
        (lambda n: setattr(n, "_hooks", []), ArgumentError, "none that every module uses"),
        (lambda n: n.get_submodule("rest.7"), UnknownNameError,
         r"get_submodule of 'rest.7': must be one of 0, 1, got '7'"),
        (lambda n: n.get_parameter("rest.0.weight"), UnknownNameError, "get_parameter of"),
        (lambda n: n.to("float99"), DeviceError, "float99"),
        (lambda n: n.to(dtype="int64"), DTypeError, "to: dtype must be a float, got int64"),
        (lambda n: n.register_forward_hook(3), DTypeError, "hook: must be callable, got int"),
    ],
)  # fmt: skip
def test_what_modules_refuse(call, error, text):
    net = Net()
    before = net.state_dict()
    with pytest.raises(error, match=text):
        call(net)
    assert list(net.state_dict()) == list(before)


def test_modules_and_parameters_are_found_by_their_paths():
    net = Net()
    assert net.get_submodule("") is net and net.get_submodule("rest.1") is net.rest[1]
    assert net.get_parameter("rest.1.weight") is net.rest[1].weight


def test_apply_reaches_every_module_once_children_first():
    net = Net()
    net.again = net.first
    seen = []
    assert net.apply(seen.append) is net
    assert seen == [net.first, net.rest[0], net.rest[1], net.rest, net]


def test_buffers_may_be_left_out_of_the_state():
    net = nn.Module()
    net.register_buffer("mask", [1.0, 0.0], persistent=False)
    net.register_buffer("mean", [0.5])
    outer = nn.Sequential(net)
    assert list(outer.state_dict()) == ["0.mean"]
    assert [n for n, _ in outer.named_storages()] == ["0.mask", "0.mean"]
    twin = copy.deepcopy(outer)
    twin.load_state_dict({"0.mean": [0.25]})
    assert twin[0].mask.array.tolist() == [1.0, 0.0] and net.mean.item() == 0.5
    net.register_buffer("mask", [1.0])
    assert list(outer.state_dict()) == ["0.mask", "0.mean"]


def test_gradients_are_forgotten_or_set_to_zero():
    layer = nn.Linear(2, 1)
    layer.bias.requires_grad_(False)
    layer(dt.ones((1, 2))).sum().backward()
    held = layer.weight.grad
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0.0, 0.0]] and layer.bias.grad is None
    assert held.tolist() == [[1.0, 1.0]]
    layer.zero_grad()
    assert layer.weight.grad is None


def test_the_dtype_changes_in_place():
    net = Net()
    weight = net.first.weight
    net(dt.ones((1, 3))).sum().backward()
    for call, dtype in (
        (net.double, "float64"), (net.half, "float16"), (net.bfloat16, "bfloat16"),
        (net.float, "float32"), (lambda: net.to(dt.float64), "float64"),
        (lambda: net.to("cpu", "float32"), "float32"),
    ):  # fmt: skip
        assert call() is net and net.first.weight is weight
        assert {p.dtype.name for p in net.parameters()} == {dtype} and weight.grad is None
        assert weight.array is weight.storage.array and net.seen.dtype == np.int64
        assert net(dt.ones((1, 3), dtype=dtype)).dtype.name == dtype


def test_a_tape_recorded_before_the_dtype_changed_is_stale():
    layer = nn.Linear(2, 1)
    y = layer(dt.tensor([[1.0, 2.0]], requires_grad=True)).sum()
    layer.double()
    with pytest.raises(TapeError, match="must not change in place"):
        y.backward()


# -- loading ---------------------------------------------------------------------------------


def test_everything_that_does_not_fit_is_said_at_once():
    net, state = Net(), Net().state_dict()
    before = net.state_dict()
    del state["first.bias"]
    state |= {"x": np.zeros(1), "first.weight": np.zeros((4, 2), "f"), "seen": np.zeros((), "f")}
    with pytest.raises(UnknownNameError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert text.startswith("load_state_dict: names must match, got missing ['first.bias'], ")
    for part in ("unexpected ['x']", "'first.weight': ", "got (4, 2) for (4, 3)", "'seen': "):
        assert part in text
    with pytest.raises(ShapeError, match=r"'first.weight': .*; 'seen': "):
        net.load_state_dict(state, strict=False)
    assert all((before[k] == v).all() for k, v in net.state_dict().items())


def test_a_lenient_load_says_what_it_left():
    net, given = Net(), Net()
    state = {k: v for k, v in given.state_dict().items() if k != "first.bias"}
    kept = net.first.bias.tolist()
    found = net.load_state_dict({**state, "x": np.zeros(1)}, strict=False)
    assert found == (["first.bias"], ["x"])
    assert found.missing_keys == ["first.bias"] and found.unexpected_keys == ["x"]
    assert net.first.bias.tolist() == kept
    assert net.first.weight.tolist() == given.first.weight.tolist()
    assert net.load_state_dict(given.state_dict()) == ([], [])


# -- copies ----------------------------------------------------------------------------------


def test_a_copy_shares_within_itself_what_the_original_shares():
    net = Net()
    net.rest[1].weight = net.first.weight
    net.tied = net.first
    net.mean = net.seen
    twin = copy.deepcopy(net)
    assert twin.rest[1].weight is twin.first.weight is twin.tied.weight
    assert twin.mean is twin.seen and twin.seen is not net.seen
    assert twin.first.weight.storage is not net.first.weight.storage
    assert list(twin.state_dict()) == list(net.state_dict())
    twin.first.weight.storage.write(np.zeros((4, 3), np.float32))
    assert net.first.weight.array.any()


def test_a_shallow_copy_has_attributes_of_its_own():
    net = Net()
    twin = copy.copy(net)
    twin.first = nn.Linear(3, 4)
    twin.eval()
    assert net.first is not twin.first and net.rest is twin.rest
    assert net.training and not twin.training


def test_modules_are_not_pickled():
    for way in (pickle.dumps, lambda m: pickle.dumps(m, 0)):
        with pytest.raises(DTypeError, match="pickle: a module is saved by its state_dict"):
            way(Net())


# -- hooks -----------------------------------------------------------------------------------


def test_hooks_see_and_replace_what_goes_in_and_out():
    layer, seen = nn.Tanh(), []
    x = dt.tensor([1.0])
    handles = [
        layer.register_forward_pre_hook(lambda m, args: seen.append(("in", m, args))),
        layer.register_forward_pre_hook(lambda m, args: args[0] * 0),
        layer.register_forward_pre_hook(lambda m, args: (args[0] + 2,)),
        layer.register_forward_hook(lambda m, args, y: seen.append(("out", args[0].tolist(), y))),
        layer.register_forward_hook(lambda m, args, y: y * 10),
    ]
    assert layer(x).tolist() == pytest.approx([10 * np.tanh(2)])
    assert seen[0] == ("in", layer, (x,)) and seen[1][:2] == ("out", [2.0])
    for handle in handles:
        handle.remove()
        handle.remove()
    assert layer(x).tolist() == pytest.approx([np.tanh(1)]) and len(seen) == 2


def test_hooks_take_keywords_when_they_ask_for_them():
    class Scale(nn.Module):
        def forward(self, x, *, by):
            return x * by

    scale, seen = Scale(), []
    scale.register_forward_pre_hook(lambda m, a, k: (a, {"by": k["by"] + 1}), with_kwargs=True)
    scale.register_forward_pre_hook(lambda m, a, k: None, with_kwargs=True)
    scale.register_forward_hook(lambda m, a, k, y: seen.append(k), with_kwargs=True)
    assert scale(dt.tensor([3.0]), by=1).tolist() == [6.0]
    assert seen == [{"by": 2}]


def test_hooks_belong_to_a_copy_too():
    net = Net()
    net.register_forward_hook(lambda m, args, y: y * 0)
    assert not copy.deepcopy(net)(dt.ones((1, 3))).detach().numpy().any()
