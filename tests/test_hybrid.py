"""The bridge: traces, guards, gradients through it, the off switch, and what it refuses."""

import copy
import os
import subprocess
import sys
import threading
from collections import namedtuple

import numpy as np
import pytest

import diptych as dt
from diptych.errors import DTypeError, StaticValueError, TapeError, UnknownNameError
from diptych.graphs.kernels import Recorder, recording
from diptych.graphs.storage import Storage


def leaf(*numbers):
    return dt.tensor(numbers, requires_grad=True)


def test_one_trace_a_signature():
    @dt.compile
    def f(x, scale):
        return x * scale

    for _ in range(3):
        assert f(dt.tensor([1.0, 2.0]), 2.0).tolist() == [2.0, 4.0]
    assert f.traces == 1
    f(dt.tensor([1.0]), 2.0)
    f(dt.tensor([1, 2]), 2.0)
    f(leaf(1.0, 2.0), 2.0)
    f(dt.tensor([1.0, 2.0]), 3.0)
    f(dt.tensor([1.0, 2.0]), scale=2.0)
    assert f.traces == 6
    with dt.no_grad():
        f(dt.tensor([1.0, 2.0]), 2.0)
    assert f.traces == 7
    assert "f(float32[2], 2.0)" in f.explain()


def test_it_is_one_node_on_the_tape():
    f = dt.compile(lambda x, y: dt.tanh(x * y) + x)
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = f(x, y)
    assert z.grad_fn.name == "lambda"
    assert [n.variable is t for (n, _), t in zip(z.grad_fn.next_functions, (x, y))] == [True, True]


def test_eager_before_and_after():
    f = dt.compile(lambda x: dt.exp(x) * x)
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    (f(x * 2) * 3).sum().backward()
    (dt.exp(y * 2) * (y * 2) * 3).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-6)


def test_containers_come_in_and_go_out():
    @dt.compile
    def f(pair, options):
        a, b = pair
        return {"sum": a + b * options["scale"], "rest": [a, 7, None]}

    out = f((dt.tensor([1.0]), dt.tensor([2.0])), {"scale": 10})
    assert out["sum"].tolist() == [21.0]
    assert out["rest"][0].tolist() == [1.0] and out["rest"][1:] == [7, None]


def test_only_the_outputs_that_are_used_have_cotangents():
    f = dt.compile(lambda x: (x * x, dt.exp(x)))
    for pick, slope in ((0, 6.0), (1, np.exp(3.0))):
        x = leaf(3.0)
        f(x)[pick].sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), [slope], rtol=1e-6)
    x = leaf(3.0)
    a, b = f(x)
    (a + b).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [6 + np.exp(3.0)], rtol=1e-6)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_gradients_of_gradients(order):
    def through(f):
        x = dt.tensor([0.3, -0.7], dtype="float64", requires_grad=True)
        g = f(x)
        for _ in range(order):
            (g,) = dt.grad(g.sum(), x, create_graph=True)
        return g.detach().numpy()

    def f(x):
        return dt.tanh(x) * dt.exp(x * 0.5)

    np.testing.assert_allclose(through(dt.compile(f)), through(f), rtol=1e-12)


def test_later_differentiation_may_need_more_than_the_first():
    f = dt.compile(lambda x, y: (x * x * y * y).sum())
    seen = []
    for second in (False, True):
        x, y = leaf(2.0), leaf(3.0)
        (g,) = dt.grad(f(x, y), x, create_graph=True)
        seen.append([h.item() for h in dt.grad(g.sum(), [x, y] if second else x)])
        # The seed records, too: an operand of the derivative that did not before.
        seed = leaf(1.0)
        (g,) = dt.grad(f(x, y).reshape(1), x, seed, create_graph=True)
        seen.append([h.item() for h in dt.grad(g.sum(), [x, seed])])
    assert seen == [[18.0], [18.0, 36.0], [18.0, 24.0], [18.0, 36.0]]


def test_second_order_through_dropout_draws_the_same_mask():
    def penalty(f):
        dt.manual_seed(11)
        x = dt.tensor(np.linspace(0.1, 1, 20), requires_grad=True)
        (g,) = dt.grad(f(x), x, create_graph=True)
        (h,) = dt.grad((g * g).sum(), x)
        return h.numpy()

    def f(x):
        return (dt.nn.functional.dropout(x, 0.5) ** 3).sum()

    eager = penalty(f)
    assert 0 < np.count_nonzero(eager) < 20
    np.testing.assert_allclose(penalty(dt.compile(f)), eager, rtol=1e-12)


def test_no_grad_inside_stops_gradients():
    def f(x):
        with dt.no_grad():
            target = x * 2
        return ((x - target) ** 2).sum() + (x.detach() * 100).sum()

    for function in (f, dt.compile(f)):
        x = leaf(3.0)
        function(x).backward()
        assert x.grad.tolist() == [-6.0]


def test_parameters_are_read_anew_and_checked():
    w = dt.nn.Parameter([2.0])
    f = dt.compile(lambda x: (w * w * x).sum())
    x = dt.tensor([3.0])
    y = f(x)
    with dt.no_grad():
        w += 1
    with pytest.raises(TapeError, match="a value saved for the gradient must not change in place"):
        y.backward()
    assert f(x).item() == 27.0
    f(x).backward()
    assert w.grad.tolist() == [18.0]


def test_freezing_a_parameter_traces_again():
    w = dt.nn.Parameter([2.0])
    f = dt.compile(lambda x: (w * x).sum())
    x = leaf(3.0)
    f(x).backward()
    assert w.grad is not None
    w.grad = None
    w.requires_grad_(False)
    f(x).backward()
    assert w.grad is None


def test_an_argument_changed_in_place_is_found():
    f = dt.compile(lambda x, y: (x * y).sum())
    x, y = leaf(1.0), dt.tensor([2.0])
    z = f(x, y)
    y += 1
    with pytest.raises(TapeError, match="argument 1"):
        z.backward()


def test_backward_twice():
    f = dt.compile(lambda x: (x * x).sum())
    x = leaf(1.0)
    y = f(x)
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(TapeError, match="buffers are freed"):
        y.backward()


def test_passes_and_executor_are_chosen_by_name():
    f = dt.compile(lambda x: dt.exp(x) + dt.exp(x), executor="reference", passes=["cse"])
    with recording(Recorder()) as seen:
        f(dt.tensor([1.0]))
    assert seen.launches == 2
    with pytest.raises(UnknownNameError, match="executor: must be one of"):
        dt.compile(lambda x: x, executor="magic")
    with pytest.raises(UnknownNameError, match="pass: must be one of"):
        dt.compile(lambda x: x, passes=["magic"])


# -- the switch ------------------------------------------------------------------------------


def test_the_switch_runs_python():
    calls = []
    note = calls.append

    @dt.compile
    def f(x):
        note(type(x))
        return x * 2

    x = dt.tensor([1.0])
    with dt.hybrid.disabled():
        assert f(x).tolist() == [2.0]
    f(x)
    assert calls[0] is dt.Tensor and calls[1] is not dt.Tensor


@pytest.mark.parametrize("value, runs_python", [("1", True), ("0", False)])
def test_the_environment_turns_it_off_from_the_start(value, runs_python):
    source = """
import diptych as dt
f = dt.compile(lambda x: x * 2)
f(dt.tensor([1.0]))
print(dt.hybrid.is_disabled(), f.traces)
"""
    environment = {**os.environ, "DIPTYCH_DISABLE_COMPILE": value}
    done = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(runs_python), str(1 - runs_python)]


def test_inside_a_graph_it_is_part_of_the_graph():
    f = dt.compile(lambda x: dt.exp(x))
    with dt.static.Graph() as g:
        y = f(g.placeholder("x", (2,)))
    assert [n.op.name for n in g.nodes] == ["placeholder", "exp"]
    assert g.compile(y).run({"x": [0.0, 0.0]}).tolist() == [1.0, 1.0]


def test_compiled_functions_nest():
    inner = dt.compile(lambda x: x * x)
    outer = dt.compile(lambda x: inner(x) + 1)
    x = leaf(3.0)
    outer(x).sum().backward()
    assert x.grad.tolist() == [6.0]


# -- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask", [lambda v: v if v.sum() > 0 else -v, print, lambda v: v.item(), lambda v: f"{v}",
            lambda v: np.asarray(v)],
)  # fmt: skip
def test_python_control_flow_on_a_traced_value_names_the_line(ask):
    with pytest.raises(StaticValueError, match="has no number until its graph runs") as caught:
        dt.compile(lambda x: ask(x))(dt.tensor([1.0, 2.0]))
    assert any(n.startswith("asked at") and "test_hybrid.py" in n for n in caught.value.__notes__)
    assert isinstance(dt.zeros((1,)), dt.Tensor)


def test_a_tensor_found_outside_is_read_at_each_call():
    outside = dt.tensor([1.0], requires_grad=True)
    f = dt.compile(lambda x: x * outside)
    f(dt.tensor([3.0])).sum().backward()
    assert outside.grad.tolist() == [3.0]
    outside = dt.tensor([5.0])
    assert f(dt.tensor([3.0])).tolist() == [15.0]
    assert dt.compile(lambda x: outside)(dt.tensor([1.0])).tolist() == [5.0]


def test_only_what_can_be_called_is_compiled():
    with pytest.raises(DTypeError, match="compile: must be callable"):
        dt.compile(3)


def test_a_failed_trace_leaves_nothing_behind():
    fail = [True]

    @dt.compile
    def f(x):
        if fail:
            raise KeyError("once")
        return x * 2

    with pytest.raises(KeyError):
        f(dt.tensor([1.0]))
    fail.clear()
    assert f(dt.tensor([1.0])).tolist() == [2.0]


# -- state, copies and threads ---------------------------------------------------------------


def test_two_updates_in_one_trace_equal_two_eager_ones():
    def train(compiled):
        w = dt.nn.Parameter([1.0])
        optimizer = dt.optim.SGD([w], lr=0.1)

        def two(x):
            for _ in range(2):
                loss = ((w * x) * (w * x)).sum()
                optimizer.minimize(loss)
            return loss

        loss = (dt.compile(two) if compiled else two)(dt.tensor([1.0]))
        return loss.item(), w.item()

    assert train(True) == train(False)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_higher_orders_with_respect_to_a_parameter(order):
    w = dt.nn.Parameter(np.array(2.0))
    found = []
    for f in (lambda x: w**5 * x, dt.compile(lambda x: w**5 * x)):
        y = f(dt.tensor(1.0))
        for k in range(order):
            (y,) = dt.grad(y, w, create_graph=k < order - 1)
        found.append(y.item())
    assert found[0] == pytest.approx(found[1], rel=1e-12)


def test_a_storage_that_changes_before_the_backward_is_found():
    scale = Storage(np.array(2.0, np.float32), "scale")
    bias = dt.nn.Parameter([1.0], name="bias")
    f = dt.compile(lambda x: (x * scale + bias).sum())
    x = leaf(1.0)
    y = f(x)
    bias.storage.write(np.zeros(1, np.float32))  # which the backward pass does not read
    y.backward()
    y = f(x)
    scale.write(5.0)
    with pytest.raises(TapeError, match="'scale' at version 1"):
        y.backward()


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_an_argument_over_a_variable_keeps_its_numbers(executor):
    w = dt.nn.Parameter([1.0, 2.0])
    optimizer = dt.optim.SGD([w], lr=0.5)

    @dt.compile(executor=executor)
    def step(old):
        optimizer.minimize((w * w).sum())
        return w - old

    assert step(w.detach()).tolist() == [-1.0, -2.0]


def test_what_is_no_gradient_does_not_record():
    f = dt.compile(lambda x: (x * 2, dt.stop_gradient(x), dt.ones((2,)), np.zeros(1)))
    a, b, c, d = f(leaf(1.0, 2.0))
    assert [t.requires_grad for t in (a, b, c)] == [True, False, False]
    d += 7
    assert f(leaf(1.0, 2.0))[3].tolist() == [0.0]


def test_a_method_and_a_module_can_be_compiled():
    class Net(dt.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = dt.nn.Parameter([2.0])

        @dt.compile
        def forward(self, x):
            return x * self.weight

    net, other = Net(), Net()
    other.weight.storage.write([5.0])
    assert net(dt.tensor([3.0])).item() == 6.0 and other(dt.tensor([3.0])).item() == 15.0
    net.weight = dt.nn.Parameter([10.0])
    assert net(dt.tensor([3.0])).item() == 30.0
    model = dt.compile(dt.nn.Linear(2, 2))
    assert [name for name, _ in model.named_parameters()] == ["weight", "bias"]
    model(dt.ones((1, 2)))
    assert "matmul" in model.source
    assert dt.compile(model).function is model.function


def test_signed_zeros_are_different_arguments():
    f = dt.compile(lambda x, a: x * a)
    one = dt.tensor([1.0])
    assert not np.signbit(f(one, 0.0).numpy()) and np.signbit(f(one, -0.0).numpy())


def test_the_first_calls_may_come_from_several_threads():
    for _ in range(10):
        f = dt.compile(lambda x: (dt.tanh(x) * x).sum())
        found, errors = [], []

        def work(f=f, found=found, errors=errors):
            try:
                x = leaf(1.0, 2.0)
                f(x).backward()
                found.append(x.grad.tolist())
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors and all(g == found[0] for g in found)
        assert "1 traces" in repr(f)


def test_a_compiled_child_belongs_to_the_tree():
    class Net(dt.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = dt.compile(dt.nn.Linear(2, 1))

        def forward(self, x):
            return self.inner(x)

    net = Net()
    assert list(net.state_dict()) == ["inner.weight", "inner.bias"]
    assert "traces" in repr(net.inner)
    net.eval()
    assert net.inner.training is False
    twin = copy.deepcopy(net)
    assert (twin(dt.ones((1, 2))).detach().numpy() == net(dt.ones((1, 2))).detach().numpy()).all()
    net.inner.weight = dt.nn.Parameter([[0.0, 0.0]])
    net.inner.bias.storage.write([7.0])
    assert net(dt.ones((1, 2))).tolist() == [[7.0]]


def test_named_tuples_are_containers_and_other_objects_are_refused():
    Pair = namedtuple("Pair", "first second")
    f = dt.compile(lambda x: Pair(x * 2, Pair(x, 3)))
    for number in (1.0, 5.0):
        found = f(dt.tensor([number]))
        assert isinstance(found, Pair) and found.first.tolist() == [2 * number]
        assert found.second.second == 3

    class Box:
        def __init__(self, content):
            self.content = content

    with pytest.raises(DTypeError, match="compile: results must be tensors, plain data"):
        dt.compile(lambda x: Box(x * 2))(dt.tensor([1.0]))


def test_numpy_scalars_are_told_apart_by_their_bits():
    f = dt.compile(lambda x, s: x / s)
    x = dt.tensor([1.0])
    with np.errstate(divide="ignore"):
        found = [f(x, np.float32(s)).item() for s in (0.0, -0.0)]
    assert found == [np.inf, -np.inf]
    for _ in range(3):
        f(x, np.float32("nan"))
    assert "3 traces" in repr(f)
