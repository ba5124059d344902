"""Containers of modules and parameters, and the traces that notice what changes in a tree."""

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.errors import ArgumentError, DTypeError, RangeError, UnknownNameError


def test_lists_of_modules_number_their_items():
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Tanh()])
    first, second = layers
    layers.insert(0, nn.ReLU())
    layers += [nn.Sigmoid()]
    assert [type(m).__name__ for m in layers] == ["ReLU", "Linear", "Tanh", "Sigmoid"]
    assert layers[-3] is first and second in layers and layers.index(second) == 2
    assert [n for n, _ in layers.named_parameters()] == ["1.weight", "1.bias"]
    part = layers[1:3]
    assert isinstance(part, nn.ModuleList) and list(part) == [first, second]
    layers[1:3] = [nn.Linear(2, 2, bias=False)]
    del layers[0]
    assert [n for n, _ in layers.named_parameters()] == ["0.weight"] and len(layers) == 2
    layers.clear()
    assert not len(layers) and repr(layers) == "ModuleList()"


def test_dicts_of_modules_keep_their_order():
    heads = nn.ModuleDict({"b": nn.Linear(1, 1)})
    heads["keys"] = nn.Tanh()
    assert list(heads) == ["b", "keys"] and "keys" in heads and callable(heads.keys)
    assert [n for n, _ in heads.items()] == list(heads.keys())
    assert list(heads.values()) == [heads["b"], heads["keys"]]
    assert heads.get("c", 7) == 7 and heads.pop("keys") and list(heads) == ["b"]
    assert [n for n, _ in heads.named_parameters()] == ["b.weight", "b.bias"]
    heads.clear()
    assert heads == heads and heads != nn.ModuleDict() and len({heads, heads}) == 1


def test_parameters_are_held_in_lists_and_dicts():
    a, b = nn.Parameter([1.0]), nn.Parameter([2.0, 3.0])
    many = nn.ParameterList([a])
    many.append(b)
    named = nn.ParameterDict({"a": a})
    named.update([("b", b)])
    assert repr(many) == "ParameterList(0: (1,), 1: (2,))"
    assert list(many) == list(named.values()) == [a, b]
    outer = nn.ModuleList([many, named])
    assert [n for n, _ in outer.named_parameters()] == ["0.0", "0.1"]
    assert isinstance(many[:1], nn.ParameterList)


def test_a_sequence_runs_in_order_and_may_have_names():
    model = nn.Sequential({"in": nn.Linear(2, 3), "out": nn.Linear(3, 1)})
    assert [n for n, _ in model.named_parameters()][::2] == ["in.weight", "out.weight"]
    model.insert(1, nn.Tanh())
    assert [n for n, _ in model.named_children()] == ["in", "1", "out"]
    x = dt.ones((4, 2))
    expected = model[2](dt.tanh(model[0](x)))
    assert model(x).tolist() == expected.tolist()
    assert model[1:](model[:1](x)).tolist() == expected.tolist()
    assert [n for n, _ in model[1:].named_children()] == ["0", "out"]
    model.append(nn.ReLU())
    assert len(model) == 4 and isinstance(model[-1], nn.ReLU)


def test_compiled_modules_stand_in_containers():
    inner = dt.compile(nn.Linear(2, 2))
    model = nn.Sequential(inner, nn.Tanh())
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    model(dt.ones((1, 2)))
    assert model[0] is inner and "1 traces" in repr(inner)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: nn.ModuleList([dt.tanh]), DTypeError, "ModuleList: takes modules, got"),
        (lambda: nn.ModuleList(nn.Tanh()), DTypeError, "ModuleList: takes a list, got Tanh"),
        (lambda: nn.ModuleDict({"a": 3}), DTypeError, "ModuleDict: takes modules, got int"),
        (lambda: nn.ModuleDict({"a.b": nn.Tanh()}), ArgumentError, "ModuleDict: a name must be"),
        (lambda: nn.Sequential({"": nn.Tanh()}), ArgumentError, "Sequential: a name must be"),
        (lambda: nn.ParameterList([dt.ones(1)]), DTypeError, "ParameterList: takes parameters"),
        (lambda: nn.ParameterDict({"a": nn.Tanh()}), DTypeError, "takes parameters, got Tanh"),
        (lambda: nn.ModuleDict()["a"], UnknownNameError, "ModuleDict: must be one of , got 'a'"),
        (lambda: nn.Sequential(nn.Tanh())[1], RangeError, "within a list of 1, got 1"),
        (lambda: nn.ModuleList()[-1], RangeError, "ModuleList: position .* a list of 0, got -1"),
    ],
)  # fmt: skip
def test_what_containers_refuse(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_refused_item_leaves_a_container_as_it_was():
    layers = nn.ModuleList([nn.Tanh()])
    with pytest.raises(DTypeError):
        layers.append(3)
    assert len(layers) == 1


# -- traces notice ---------------------------------------------------------------------------


class Branching(nn.Module):
    """Reads its tree in every way there is."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2)])
        self.heads = nn.ModuleDict({"a": nn.Linear(2, 2)})
        self.scales = nn.ParameterList([nn.Parameter([2.0])])
        self.shift = None

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        for head in self.heads.values():
            x = head(x)
        for scale in self.scales:
            x = x * scale
        if self.shift is not None:
            x = x + self.shift
        return x + 0 * sum((p * p).sum() for p in self.parameters())


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.layers.append(nn.Tanh()),
        lambda net: net.layers.insert(0, nn.Tanh()),
        lambda net: net.layers.pop(),
        lambda net: net.layers.__setitem__(0, nn.Linear(2, 2)),
        lambda net: net.heads.update({"b": nn.Linear(2, 2)}),
        lambda net: net.heads.pop("a"),
        lambda net: net.scales.append(nn.Parameter([3.0])),
        lambda net: setattr(net, "shift", nn.Parameter([1.0, 1.0])),
        lambda net: setattr(net.layers[0], "bias", None),
        lambda net: net.layers[0].register_forward_hook(lambda m, args, y: -y),
        lambda net: net.register_forward_pre_hook(lambda m, args: args[0] * 3),
        lambda net: net.double(),
        lambda net: setattr(net, "unread", nn.Parameter([float("nan")])),
    ],
)
def test_a_change_of_the_tree_makes_another_trace(change):
    net = Branching()
    compiled = dt.compile(net)
    x = dt.tensor([[0.5, -1.0]])
    compiled(x)
    change(net)
    assert np.array_equal(compiled(x).detach().numpy(), net(x).detach().numpy(), equal_nan=True)
    assert compiled(x).dtype == net(x).dtype
    assert "2 traces" in repr(compiled)


def test_a_trace_holds_again_when_a_hook_is_gone():
    net = nn.Linear(2, 2)
    compiled = dt.compile(net)
    x = dt.ones((1, 2))
    plain = compiled(x).detach().numpy()
    handle = net.register_forward_hook(lambda m, args, y: y * 0)
    assert not compiled(x).detach().numpy().any()
    handle.remove()
    assert np.array_equal(compiled(x).detach().numpy(), plain)
    assert "2 traces" in repr(compiled)
