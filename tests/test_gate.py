"""The gate: calls run compiled where that pays, by the stored costs of this machine."""

import json
import logging
from dataclasses import asdict

import numpy as np
import pytest

import diptych as dt
from diptych.compiler.native import cache
from diptych.graphs.kernels import Recorder, recording
from diptych.hybrid import compiled, costs, trial
from diptych.hybrid.costs import Costs, Line

X = np.linspace(-1, 1, 6, dtype=np.float32)


def costing(call, byte=0.0):
    """Costs of a machine where an operator takes a microsecond, and a compiled call so many."""
    eager, dear = Line(0.0, 1e-6), Line(call * 1e-6, 0.0)
    return Costs(eager, dear, eager, dear, byte)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Makes costs the stored ones of a machine."""
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(costs, "_known", {})

    def put(found, executor="planned"):
        costs._known.clear()
        cache.store(costs.entry_name("costs", executor), json.dumps(asdict(found)).encode())

    return put


def is_compiled(result):
    """Whether the tape has one node for a whole function, which has a name of its own."""
    return result.grad_fn.name == "f"


def f(x):
    return dt.tanh(x) * 2


def leaf():
    return dt.tensor(X, requires_grad=True)


@pytest.mark.parametrize("call, pays", [(1.9, True), (2.1, False)])
def test_it_goes_by_the_stored_costs(store, caplog, call, pays):
    store(costing(call))
    g = dt.compile(f)
    with caplog.at_level(logging.INFO, "diptych.hybrid.compiled"):
        results = [g(leaf()) for _ in range(3)]
    assert [is_compiled(result) for result in results] == [pays] * 3
    assert [result.tolist() for result in results] == [f(leaf()).tolist()] * 3
    how = "compiled" if pays else "as eager code"
    text = (
        f"runs {how}: 2 operators, beside their kernels, take about 2.0 us forward and back as "
        f"eager code and {call} us compiled"
    )
    assert text in g.explain()
    assert any(text in record.getMessage() for record in caplog.records) is not pays


def test_costs_are_measured_once_and_stored(store, monkeypatch, tmp_path):
    g = dt.compile(f)
    g(leaf())
    measured = costs._known["planned"]
    lines = [line for line in vars(measured).values() if isinstance(line, Line)]
    assert len(lines) == 4 and all(line.at(2) > 0 for line in lines) and measured.byte > 0
    costs._known.clear()
    monkeypatch.setattr(costs, "_measured_apart", lambda *args: pytest.fail("measured again"))
    dt.compile(f)(leaf())
    assert costs._known["planned"] == measured
    assert len(list(tmp_path.glob("*.costs"))) == 1


def test_nothing_is_measured_while_kernels_are_observed(store, monkeypatch):
    monkeypatch.setattr(costs, "_measured_apart", lambda *args: pytest.fail("measured"))
    with recording(Recorder()) as seen:
        assert is_compiled(dt.compile(f)(leaf()))
    assert seen.launches == 2


def test_each_signature_has_a_choice_of_its_own(store):
    store(costing(10, byte=1e-9), "native")
    g = dt.compile(f, executor="native")
    assert not is_compiled(g(leaf()))
    large = dt.tensor(np.ones(100_000, np.float32), requires_grad=True)
    assert is_compiled(g(large))  # for it passes through memory once
    assert not is_compiled(g(leaf()))
    assert is_compiled(g(large))
    assert "runs as eager code" in g.explain() and "runs compiled" in g.explain()


def given(seconds):
    """Tried code takes so many seconds, and kernels one."""
    return lambda call: seconds if "call_kernels" not in call.__code__.co_names else 1.0


@pytest.mark.parametrize("seconds, pays", [(1.1, True), (1.3, False)])
def test_generated_code_is_tried_once_and_stored(store, monkeypatch, tmp_path, seconds, pays):
    store(costing(0), "native")
    monkeypatch.setattr(compiled, "trial_of", trial.trial_of)
    monkeypatch.setattr(trial, "_seconds", given(seconds))
    ran = []
    note = ran.append

    def h(x):
        note(type(x))
        return dt.tanh(x) * 2

    for _ in range(2):
        g = dt.compile(h, executor="native")
        assert g(dt.tensor(X)).tolist() == pytest.approx(f(dt.tensor(X)).tolist())
        g(dt.tensor(X))
        how = "compiled" if pays else "as eager code"
        assert f"runs {how}: its operators were tried, and take 1000000.0 us one by one" in (
            g.explain()
        )
        assert (dt.Tensor not in ran) is pays
        ran.clear()
        monkeypatch.setattr(trial, "_seconds", lambda call: pytest.fail("tried again"))
    assert len(list(tmp_path.glob("*.trial"))) == 1
    monkeypatch.setattr(trial, "trial_of", lambda *args: pytest.fail("tried"))
    monkeypatch.setattr(compiled, "trial_of", trial.trial_of)
    dt.compile(f, executor="native")(leaf()).sum().backward()  # with gradients there is none


def test_what_does_more_than_compute_is_not_tried(store, monkeypatch):
    store(costing(0), "native")
    monkeypatch.setattr(compiled, "trial_of", trial.trial_of)
    monkeypatch.setattr(trial, "_seconds", lambda call: pytest.fail("tried"))
    count = dt.Storage(0.0)
    seen = []

    def updates(x):
        count.write(count + 1)
        return x * 2

    def calls(x):
        return dt.hybrid.call_python(lambda x: seen.append(1) or x * 2, x, like=x) + 1

    for function in (updates, calls):
        g = dt.compile(function, executor="native")
        assert [g(dt.tensor([1.0])).item() for _ in range(2)] in ([2.0, 2.0], [3.0, 3.0])
    assert count.item() == 2.0 and len(seen) == 2


def test_rounds_of_loops_count(store):
    def f(xs):
        h = dt.zeros((3,))
        for x in xs:
            h = dt.tanh(h + x)
        return h * xs.sum()

    store(costing(10))
    g = dt.compile(f)
    for length, pays in ((2, False), (30, True), (3, False), (31, True)):
        xs = dt.tensor(np.ones((length, 3), np.float32), requires_grad=True)
        assert is_compiled(g(xs)) is pays
    assert g.traces == 1


def test_loops_that_data_end_pay(store):
    def f(x):
        return dt.while_loop(lambda x: x.sum() < 10, lambda x: x * 2, x)

    store(costing(1000))
    g = dt.compile(f)
    assert g(dt.tensor([1.0])).item() == 16.0
    assert "runs compiled: data tell how many rounds its loops have" in g.explain()


def test_results_share_no_memory_with_arguments(store):
    store(costing(1000))
    for function in (lambda x: x, lambda x: x.reshape(2, 3), lambda x: (x * 2, x[1:])):
        x = dt.tensor(X)
        for result in _results(dt.compile(function)(x)):
            assert not np.shares_memory(result.array, x.array)


def _results(found):
    return found if isinstance(found, tuple) else (found,)


def test_state_moves_alike_either_way(store):
    class Net(dt.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = dt.nn.BatchNorm1d(3)

        def forward(self, x):
            x += 1
            return dt.nn.functional.dropout(self.norm(x), 0.5)

    found = []
    for call in (0.0, 1000.0):
        store(costing(call))
        dt.manual_seed(3)
        net = Net()
        run = dt.compile(net)
        x = dt.tensor(np.arange(12, dtype=np.float32).reshape(4, 3))
        results = [run(x).detach().numpy() for _ in range(3)]
        assert ("runs compiled" in run.explain()) is (call == 0.0)
        found.append([*results, x.numpy(), net.norm.running_mean.numpy(), dt.rand(3).numpy()])
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


def test_what_is_asked_for_is_compiled(store):
    store(costing(1000))
    assert not is_compiled(dt.compile(f)(leaf()))
    assert is_compiled(dt.compile(f, gate=False)(leaf()))
    assert is_compiled(dt.compile(f, executor="reference")(leaf()))
    assert is_compiled(dt.hybrid.trace(f, leaf())(leaf()))


def test_another_trace_is_judged_anew_in_time(store, monkeypatch):
    store(costing(10))
    monkeypatch.setattr(compiled, "_UNASKED", 3)
    depth = [1]

    def f(x):
        for _ in range(depth[0]):
            x = dt.tanh(x)
        return x

    g = dt.compile(f)
    assert not any(is_compiled(g(leaf())) for _ in range(8))
    depth[0] = 20
    kinds = [is_compiled(g(leaf())) for _ in range(8)]
    assert kinds == sorted(kinds) and kinds[-1]
    assert f(leaf()).tolist() == g(leaf()).tolist()


def test_arguments_are_told_apart_to_the_last_bit():
    g = dt.compile(lambda x, n: x * n if n != 1 else (x, type(n).__name__))
    x = dt.tensor([1.0])
    for _ in range(2):
        assert [bool(np.signbit(g(x, n).item())) for n in (0.0, -0.0)] == [False, True]
        assert [g(x, n)[1] for n in (1, True, 1.0)] == ["int", "bool", "float"]
        assert np.isnan(g(x, float("nan")).numpy()).all()


def test_calls_that_are_alike_take_the_short_way(store, monkeypatch):
    store(costing(1000))

    class Scaled(dt.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = 2.0

        @dt.compile
        def forward(self, x, *, bias=None):
            return x * self.scale if bias is None else x * self.scale + bias[0]["b"]

    module, x = Scaled(), dt.tensor([1.0])
    g = dt.compile(lambda x, *others: x * 2)
    run = dt.compile(lambda x, how: how(x), gate=False)
    calls = [
        lambda: module(x),
        lambda: module(x, bias=[{"b": x}]),
        lambda: g(x, 0.0, -0.0, float("nan"), None, True, "text", (1, [2.5])),
        lambda: g(x.numpy(), module, dt.tanh),
        lambda: run(x, dt.exp),
    ]
    wanted = [call().tolist() for call in calls]
    monkeypatch.setattr(compiled.CompiledFunction, "_call", lambda *args: pytest.fail("long way"))
    assert [call().tolist() for call in calls] == wanted


def test_objects_in_the_place_of_others_are_told_apart():
    class Scale:
        def __init__(self, by):
            self.by = by

    g = dt.compile(lambda x, scale: x * scale.by, limit=100)
    x = dt.tensor([1.0])
    assert [g(x, Scale(float(i))).item() for i in range(50)] == list(range(50))


def test_containers_may_be_deep():
    deep = current = []
    for _ in range(40):
        current.append([])
        current = current[0]
    x = dt.tensor([1.0])
    current.append(x)
    g = dt.compile(lambda held, x: x * 2)
    assert [g(deep, x).item() for _ in range(2)] == [2.0, 2.0] and g.traces == 1
