"""Branches and loops on data, scripted, compute what Python does."""

import linecache

import numpy as np
import pytest
from scripted_functions import CASES, branch, newton, recurrent

import diptych as dt


def tensors(values):
    return [dt.tensor(v, requires_grad=True) if isinstance(v, list | float) else v for v in values]


def outcome(f, values):
    """The results of a call, and the gradient of the sum of their squares; zeros where none is."""
    args = tensors(values)
    found = f(*args)
    results = found if isinstance(found, tuple) else (found,)
    leaves = [a for a in args if isinstance(a, dt.Tensor) and a.requires_grad]
    recorded = [r for r in results if isinstance(r, dt.Tensor) and r.requires_grad]
    arrays = [np.asarray(r.detach().numpy() if isinstance(r, dt.Tensor) else r) for r in results]
    if not recorded or not leaves:
        return arrays, [np.zeros(a.shape) for a in leaves]
    loss = sum(((r * r).sum() for r in recorded[1:]), (recorded[0] * recorded[0]).sum())
    gradients = dt.grad(loss, leaves, allow_unused=True)
    zeros = [np.zeros(a.shape) for a in leaves]
    return arrays, [z if g is None else g.numpy() for g, z in zip(gradients, zeros)]


def check(f, *calls, executor="reference"):
    """Results of calls are those of Python; with `reference` to the last bit."""
    scripted = dt.hybrid.script(f, executor=executor)
    for values in calls:
        wanted, found = outcome(f, values), outcome(scripted, values)
        for a, b in zip([*wanted[0], *wanted[1]], [*found[0], *found[1]], strict=True):
            if executor == "reference":
                assert np.array_equal(a, b), (values, wanted, found)
            else:
                np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    return scripted


def name_of(case):
    return getattr(case[0], "__name__", type(case[0]).__name__)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_function_by_the_kernels_of_eager_code(case):
    check(*case)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_function_planned(case):
    check(*case, executor="planned")


@pytest.mark.parametrize("case", [CASES[i] for i in (1, 7, 13, 18, 24)], ids=name_of)
def test_a_function_natively(case):
    check(*case, executor="native")


def test_one_trace_serves_both_branches():
    scripted = check(branch, ([1.0, 2.0],), ([-1.0, -9.0],), ([-1.0, -2.0],))
    assert scripted.traces == 1


def test_plain_conditions_are_guarded_and_stay_in_python():
    scale = 1.0

    def f(x, training):
        if training and scale > 0 and x.sum() > 0:
            return x * scale
        return x

    scripted = dt.hybrid.script(f, executor="reference", passes=[])
    x = dt.tensor([1.0, 2.0])
    assert scripted(x, False).tolist() == [1.0, 2.0]
    assert not any(n.op.region for e in scripted._all() for n in e.function.graph.nodes)
    assert scripted(x, True).tolist() == [1.0, 2.0]
    scale = 3.0
    assert scripted(x, True).tolist() == [3.0, 6.0]
    scale = -1.0
    assert scripted(x, True).tolist() == [1.0, 2.0]


def test_a_long_loop_is_one_node():
    def f(x):
        for _ in range(1000):
            x = x * 0.99
            if x.sum() < 1.0:
                break
        return x

    scripted = dt.hybrid.script(f, executor="reference")
    x = dt.tensor([100.0, 100.0])
    assert scripted(x).tolist() == f(x).tolist()
    [entry] = scripted._all()
    assert len(entry.function.graph.nodes) < 50


def test_lengths_of_a_loop_that_breaks_are_one_trace():
    scripted = dt.hybrid.script(recurrent, executor="reference")
    rng = np.random.default_rng(0)
    for length in (3, 5, 9):
        xs = dt.tensor(rng.uniform(-0.2, 0.2, (length, 2)))
        for a, b in zip(recurrent(xs), scripted(xs)):
            assert np.array_equal(np.asarray(a), np.asarray(b))
    assert scripted.traces == 2  # the sizes of the first call, until the loop was seen


def test_parameters_and_a_training_step():
    def run(wrap):
        dt.manual_seed(0)
        w = dt.nn.Parameter(dt.ones((2,)))
        optimizer = dt.optim.SGD([w], lr=0.1)

        def step(x):
            y = x * w
            if y.sum() > 2:
                y = y * 0.5
            while y.sum() < 1:
                y = y + w
            loss = (y * y).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        step = wrap(step)
        losses = [float(step(dt.tensor(v))) for v in ([1.0, 2.0], [0.1, 0.2], [0.3, 0.1])]
        return losses, w.tolist()

    assert run(lambda f: f) == run(lambda f: dt.hybrid.script(f, executor="reference"))


def test_random_numbers_are_drawn_in_the_branch_that_runs():
    def f(x):
        if x.sum() > 0:
            x = x + dt.rand((2,))
        for _ in range(4):
            if x.sum() > 3:
                break
            x = x + dt.rand((2,))
        return x + dt.rand((2,))

    scripted = dt.hybrid.script(f, executor="reference")
    for values in ([1.0, 1.0], [-1.0, -1.0], [5.0, 5.0]):
        dt.manual_seed(1)
        wanted = f(dt.tensor(values)).tolist()
        dt.manual_seed(1)
        assert scripted(dt.tensor(values)).tolist() == wanted


def test_arguments_change_in_place():
    def f(x):
        if x.sum() > 0:
            x += 1
        while x.sum() < 20:
            x *= 2
        return x.sum()

    scripted = dt.hybrid.script(f)
    for values in ([1.0, 2.0], [30.0, 2.0], [-1.0, 22.0]):
        mine, his = dt.tensor(values), dt.tensor(values)
        assert float(f(mine)) == float(scripted(his))
        assert mine.tolist() == his.tolist()


def test_views_see_what_a_branch_changes():
    def f(x):
        y = x * 1
        row = y[1:]
        if x.sum() > 0:
            y += 1
        return y, row

    for values in ([1.0, 2.0], [-1.0, -2.0]):
        wanted, found = f(dt.tensor(values)), dt.hybrid.script(f)(dt.tensor(values))
        assert [v.tolist() for v in found] == [v.tolist() for v in wanted]


def test_second_order_flows_through_branches_and_loops():
    def f(x):
        y = x * x
        while y.sum() < 50:
            y = y * x
        return y * 2 if y.max() > 40 else y

    def second(f):
        x = dt.tensor([2.0, 1.5], requires_grad=True, dtype="float64")
        [g] = dt.grad(f(x).sum(), [x], create_graph=True)
        return dt.grad((g * g).sum(), [x])[0].tolist()

    assert second(dt.hybrid.script(f)) == pytest.approx(second(f), rel=1e-12)


def test_assert_asks_in_every_run():
    text = "def f(x):\n    assert x.sum() > 0, 'must be positive'\n    return x * 2\n"
    linecache.cache["<asserts>"] = (len(text), None, text.splitlines(keepends=True), "<asserts>")
    scope = {}
    exec(compile(text, "<asserts>", "exec"), scope)  # those in a test's file are pytest's own
    f = dt.hybrid.script(scope["f"])
    assert f(dt.tensor([1.0])).tolist() == [2.0]
    with pytest.raises(AssertionError, match="must be positive"):
        f(dt.tensor([-1.0]))


def test_off_switch():
    seen = []

    def f(x):
        if x.sum() > 0:
            seen.append(x.item())
            return x * 2
        return x

    scripted = dt.hybrid.script(f)
    with dt.hybrid.disabled():
        assert scripted(dt.tensor([1.0])).tolist() == [2.0]
    assert seen == [1.0] and scripted.traces == 0


def test_lambdas_methods_and_options():
    absolute = dt.hybrid.script(lambda x: x if x.sum() > 0 else -x)
    assert absolute(dt.tensor([-3.0])).tolist() == [3.0]

    class Held:
        limit = 3.0

        @dt.hybrid.script(executor="reference", limit=4)
        def step(self, x):
            return x if x.sum() < self.limit else x * 0

    held = Held()
    assert held.step(dt.tensor([2.0])).tolist() == [2.0]
    held.limit = 1.0
    assert held.step(dt.tensor([2.0])).tolist() == [0.0]
    assert "traced for" in Held.step.explain()


def test_lists_that_go_by_two_names():
    def f(xs):
        first = second = []
        for x in xs:
            first.append(x * 2)
        return dt.stack(first) + len(second)

    xs = dt.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert dt.hybrid.script(f)(xs).tolist() == f(xs).tolist()


def test_containers_that_loops_bind_anew():
    def f(x):
        held, seen = (), []
        kept = seen
        while x.sum() < 10:
            x = x * 2
            held = (x,)
        seen.append(x)
        return (held[0] if held else x), len(kept)

    with pytest.raises(dt.errors.GraphError, match="while: 'held' must stay of one kind"):
        dt.hybrid.script(f)(dt.tensor([1.0, 2.0]))

    def g(x):
        seen, settings = [], {"scale": 2.0}
        kept = seen
        while x.sum() < 10:
            x = x * settings["scale"]
        seen.append(x)
        return x, len(kept)

    x = dt.tensor([1.0, 2.0])
    assert [np.asarray(v).tolist() for v in dt.hybrid.script(g)(x)] == [[4.0, 8.0], 1]


def test_explain_tells_what_became_of_branches_and_loops():
    scripted = dt.hybrid.script(newton)
    scripted(dt.tensor([1.0, 3.0]))
    told = scripted.explain()
    assert "is a while_loop" in told and "is a cond" in told
    assert told.count("is a while_loop") == 1
