"""Changes in place within compiled functions: what eager code gives, in every executor."""

import operator
from functools import partial

import numpy as np
import pytest

import diptych as dt
from diptych.errors import DTypeError, GraphError, ShapeError, TapeError

EXECUTORS = ["reference", "planned", "native"]


@pytest.fixture(params=EXECUTORS)
def compiled(request):
    return lambda f: dt.compile(f, executor=request.param)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def add_all(x):
    x += 1.0
    return x * 2.0


def every_operator(x):
    x += 3.0
    x -= 0.5
    x *= 2.0
    x /= 4.0
    x **= 2.0
    return x


def rows(x):
    x[0] = 5.0
    x[1:3] += x[0:2]
    x[-1] *= x[0]
    return x.sum()


def a_view_before(x):
    row = x[1]
    x *= 3.0
    return row + 1.0


def through_a_view(x):
    row = x[1]
    row += 10.0
    return x * 1.0


def through_views_of_views(x):
    part = dt.expand_dims(x.T[1:3], 0)[:, :, ::2]
    part *= -1.0
    corner = part[0, 0, 0]
    corner += 100.0
    return part * 1.0


def through_a_reshape(x):
    flat = x.reshape(-1)
    flat[3] = 7.0
    square = flat.reshape(3, 4).T
    square += flat[0]
    return flat[::2] * 1.0


def through_a_copying_reshape(x):
    flat = x.T.reshape(-1)
    flat += 1.0
    return flat


def of_what_it_computes(x):
    h = x * 2.0
    h += x
    view = h[:, 1]
    view *= 3.0
    other = h
    other -= 1.0
    return dt.tanh(h) + h[:, 1].sum()


def by_index_arrays(x):
    x[[0, 2], [1, 1]] = dt.zeros((2,))
    x[x > 0.5] = -1.0
    x[[1, 1]] += 1.0
    return x


def copied(x):
    h = dt.zeros((3, 4))
    h.copy_(x)
    h[0].copy_(h[1])
    return h


def of_integers(x):
    counts = dt.zeros((4,), dtype="int64")
    counts[1:] += 2
    counts <<= 1
    counts |= 1
    return x[:, :1] * counts


def a_loop(x):
    for i in range(x.shape[0]):
        x[i] += x[i - 1]
    return


def detached(x):
    x.detach()[0] = 4.0
    return x * 1.0


PROGRAMS = [
    add_all, every_operator, rows, a_view_before, through_a_view, through_views_of_views,
    through_a_reshape, through_a_copying_reshape, of_what_it_computes, by_index_arrays, copied,
    of_integers, a_loop, detached,
]  # fmt: skip


def results(function, x):
    found = function(x)
    return [] if found is None else [found.detach().numpy()]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_arguments_and_results_are_eagers(program, compiled):
    fast = compiled(program)
    for seed in range(2):
        ours, theirs = dt.tensor(numbers(3, 4, seed=seed)), dt.tensor(numbers(3, 4, seed=seed))
        for a, b in zip(results(fast, ours), results(program, theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    assert "1 traces" in repr(fast)


# The tape refuses the others: what it saved, or a view that it recorded, has changed.
RECORDED = [p for p in PROGRAMS if p not in (every_operator, rows, a_view_before)]


@pytest.mark.parametrize("program", RECORDED, ids=lambda p: p.__name__)
def test_gradients_are_eagers(program, compiled):
    def run(function):
        x = dt.tensor(np.abs(numbers(3, 4)) + 1, requires_grad=True)
        h = x * 1.5
        y = function(h)
        total = (h * h).sum() if y is None else (h * h).sum() + (y * 2.0).sum()
        total.backward()
        return x.grad.numpy(), h.detach().numpy()

    for a, b in zip(run(compiled(program)), run(program)):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_changed_argument_that_is_returned_is_itself(compiled):
    def f(x, y):
        x += y
        return x, y, x * 1.0

    x, y = dt.tensor([1.0, 2.0]), dt.tensor([3.0, 4.0], requires_grad=True)
    fast = compiled(f)
    for expected in ([4.0, 6.0], [7.0, 10.0]):
        with dt.no_grad():
            a, b, c = fast(x, y)
        assert a is x and b is not y and c is not x
        assert x.tolist() == c.tolist() == expected


def test_the_version_counts_and_a_saved_value_is_found(compiled):
    @compiled
    def f(x):
        x *= 2.0

    x = dt.tensor([1.0, 2.0])
    w = dt.tensor([3.0, 4.0], requires_grad=True)
    y = w * x
    before = x.storage.version
    f(x)
    assert x.storage.version == before + 1
    with pytest.raises(TapeError, match="must not change in place"):
        y.sum().backward()


def test_a_gradient_reads_an_argument_as_it_was(compiled):
    def f(x, y):
        z = x * y
        x += 1.0
        return z, dt.tanh(x)

    x, y = dt.tensor([1.0, 2.0]), dt.tensor([3.0, 4.0], requires_grad=True)
    z, _ = compiled(f)(x, y)
    x += 1.0
    z.sum().backward()
    assert y.grad.tolist() == [1.0, 2.0] and x.tolist() == [3.0, 4.0]


def test_an_array_is_written_to(compiled):
    @compiled
    def f(x):
        x[1:] = 0.0
        return x.sum()

    x = np.ones(3, np.float32)
    assert f(x).item() == 1.0 and x.tolist() == [1.0, 0.0, 0.0]


def test_an_argument_that_is_a_view_changes_its_base(compiled):
    def f(row, x):
        row += x
        return row * x

    def run(f):
        x = dt.tensor(numbers(4), requires_grad=True)
        base = dt.tensor(numbers(3, 4)) * x
        row = base[1]
        y = f(row, x)
        ((base * base).sum() + y.sum() + row.sum()).backward()
        return base.detach().numpy(), x.grad.numpy()

    for a, b in zip(run(compiled(f)), run(f)):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_other_strides_are_another_trace(compiled):
    def f(x):
        flat = x.reshape(-1)
        flat += 1.0
        return flat

    fast = compiled(f)
    for make in (lambda: dt.tensor(numbers(3, 4)), lambda: dt.tensor(numbers(4, 3)).T) * 2:
        ours, theirs = make(), make()
        assert fast(ours).tolist() == f(theirs).tolist()
        assert ours.tolist() == theirs.tolist()
    assert "2 traces" in repr(fast)


def test_leaves_that_record(compiled):
    def f(x):
        x += 1.0
        return x

    fast = compiled(f)
    x = dt.tensor([1.0], requires_grad=True)
    for function in (f, fast, fast):
        with pytest.raises(TapeError, match="add: a leaf that records must not change in place"):
            function(x)
    assert fast(x * 2.0).tolist() == [3.0]
    with pytest.raises(TapeError, match="add: a leaf that records must not change in place"):
        fast(x)
    assert x.tolist() == [1.0]
    with dt.no_grad():
        fast(x)
    assert x.tolist() == [2.0] and x.is_leaf and x.requires_grad


def test_a_leaf_that_changes_within_no_grad_is_the_same_leaf(compiled):
    def f(x, y):
        before = (x * x).sum()
        with dt.no_grad():
            x += y
        return (x * 3.0 * y).sum() + 0.0 * before.detach()

    grads = []
    for function in (f, compiled(f)):
        x, y = dt.tensor([1.0, 2.0], requires_grad=True), dt.tensor([5.0, 6.0])
        function(x, y).backward()
        grads.append((x.grad.tolist(), x.tolist()))
    assert grads[0] == grads[1] == ([15.0, 18.0], [6.0, 8.0])


def test_hand_written_descent(compiled):
    def step(w, x, y):
        loss = ((x @ w - y) ** 2.0).mean()
        (g,) = dt.grad(loss, w)
        with dt.no_grad():
            g *= 0.1
            w -= g
        return loss

    found = []
    for function in (step, compiled(step)):
        w = dt.tensor(numbers(4, 1), requires_grad=True)
        x, y = dt.tensor(numbers(8, 4, seed=1)), dt.tensor(numbers(8, 1, seed=2))
        losses = [function(w, x, y).item() for _ in range(5)]
        found.append((losses, w.detach().numpy(), w.is_leaf))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5)
    assert found[0][2] and found[1][2]


# -- state -----------------------------------------------------------------------------------


def test_parameters_and_storages_are_written(compiled):
    class Net(dt.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = dt.nn.Parameter([1.0, 2.0])
            self.register_buffer("seen", np.zeros(()))
            self.register_buffer("last", np.zeros(2, np.float32))

        def forward(self, x):
            self.seen.write(self.seen + 1)
            self.last.write(x)
            with dt.no_grad():
                view = self.weight[0]
                self.weight *= 2.0
                self.weight[1] = 7.0
                view += 0.5
            return self.weight * x

    found = []
    for wrap in (lambda f: f, compiled):
        net = Net()
        run = wrap(net)
        outs = [run(dt.tensor([1.0, float(i)])).tolist() for i in range(3)]
        found.append((outs, net.weight.tolist(), net.seen.item(), net.last.numpy().tolist()))
    assert found[0] == found[1]
    assert found[1][2] == 3


def test_a_view_of_a_parameter_sees_an_update(compiled):
    def run(wrap):
        w = dt.nn.Parameter([[1.0, 2.0], [3.0, 4.0]])
        optimizer = dt.optim.SGD([w], lr=0.5)

        @wrap
        def step(x):
            view = w.detach().T
            optimizer.minimize((w * x).sum())
            return view * 1.0

        return [step(dt.tensor([1.0, 2.0])).tolist() for _ in range(2)]

    assert run(compiled) == run(lambda f: f)


# -- what is refused ---------------------------------------------------------------------------


def test_arguments_that_share_memory_are_refused(compiled):
    @compiled
    def f(x, y):
        x += y
        return x

    base = dt.tensor([1.0, 2.0, 3.0])
    for x, y in ((base, base), (base[:2], base[1:]), (base[1:], base[:2])):
        with pytest.raises(TapeError, match="add: what a compiled function changes in place must"):
            f(x, y)
    assert base.tolist() == [1.0, 2.0, 3.0]
    assert f(base[:1], base[2:]).tolist() == [4.0]
    w = dt.nn.Parameter([1.0])

    @compiled
    def g(x):
        x += w
        return x

    with pytest.raises(TapeError, match="must share no memory"):
        g(w.detach())
    assert w.tolist() == [1.0]


def test_read_only_memory_is_refused(compiled):
    def f(x):
        x += 1.0

    fast = compiled(f)
    frozen = np.ones(3, np.float32)
    fast(dt.tensor(frozen))
    frozen.flags.writeable = False
    for function in (f, fast):
        with pytest.raises(TapeError, match="add: only writeable memory can change in place"):
            function(dt.from_numpy(frozen))

    def spread(x):
        y = dt.broadcast_to(x, (2, 3))
        y += 1.0

    for function in (spread, compiled(spread)):
        with pytest.raises(TapeError, match="add: only writeable memory can change in place"):
            function(dt.ones((3,)))


def test_what_does_not_fit_is_refused(compiled):
    def grows(x):
        x += dt.ones((2, 3))

    def changes_kind(x):
        n = dt.zeros((3,), dtype="int64")
        n += x

    for function in (grows, compiled(grows)):
        with pytest.raises(ShapeError, match="broadcast_to"):
            function(dt.ones((3,)))
    for function in (changes_kind, compiled(changes_kind)):
        with pytest.raises(DTypeError, match="must keep the kind of dtype, got float32 for int64"):
            function(dt.ones((3,)))


def test_histories_that_cannot_be_kept_are_refused(compiled):
    def within_no_grad(x):
        h = x * 2.0
        with dt.no_grad():
            h += 1.0
        return h

    def of_a_detached_one(x):
        y = dt.zeros((2,))
        y.detach()[0] = x[0]
        return y

    frozen = [dt.nn.Parameter([1.0, 2.0], requires_grad=False)]

    def of_state(x):
        frozen[0] += x

    for function in (within_no_grad, of_a_detached_one, of_state):
        with pytest.raises(GraphError, match="gradient"):
            compiled(function)(dt.tensor([1.0, 2.0], requires_grad=True))
        compiled(function)(dt.tensor([1.0, 2.0]))


def test_a_tensor_found_outside_changes_as_an_argument_does(compiled):
    class Holder:
        def __init__(self):
            self.total = dt.zeros((2,))

    def run(wrap):
        holder, seen = Holder(), [dt.zeros((2,))]

        @wrap
        def f(x):
            holder.total += x
            seen[0] += 1.0
            seen[0][0] = holder.total[1]
            return holder.total * 1.0

        before = holder.total
        outs = [f(dt.tensor([1.0, float(i)])).tolist() for i in range(3)]
        assert holder.total is before
        return outs, holder.total.tolist(), seen[0].tolist()

    assert run(compiled) == run(lambda f: f)


def test_a_tensor_that_a_trace_does_not_see_is_refused(compiled):
    outside = dt.tensor([1.0])
    grow = partial(operator.iadd, outside, 1.0)

    @compiled
    def f(x):
        grow()
        return x

    with pytest.raises(GraphError, match="add: a compiled function changes its arguments"):
        f(dt.tensor([1.0]))
    assert outside.tolist() == [1.0]


def test_bodies_change_what_they_compute(compiled):
    def f(x):
        def body(carry, row):
            h = carry * 2.0
            h[0] += row[1]
            return h, h.sum()

        return dt.scan(body, x[0], x)[1]

    x = dt.tensor(numbers(3, 4))
    np.testing.assert_allclose(compiled(f)(x).numpy(), f(x).numpy(), rtol=1e-6)

    def g(x):
        def body(carry, row):
            carry += row
            return carry, None

        return dt.scan(body, x[0] * 1.0, x)[0]

    def outer(x):
        h = x * 1.0

        def body(carry, row):
            nonlocal h
            h += 1.0
            return carry + row, None

        return dt.scan(body, x[0], x)[0]

    for function in (g, outer):
        with pytest.raises(GraphError, match="add: a body changes in place what it computed"):
            compiled(function)(x)


def test_a_static_graph_has_no_changes_in_place():
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        with pytest.raises(GraphError, match="add: a static value cannot change in place"):
            x += 1
        with pytest.raises(GraphError, match="copy_: a static value cannot change in place"):
            x.copy_(x)


def test_a_trace_that_fails_changes_nothing(compiled):
    fail = [True]

    @compiled
    def f(x):
        x += 1.0
        if fail:
            raise KeyError("once")
        return x

    x = dt.tensor([1.0])
    with pytest.raises(KeyError):
        f(x)
    assert x.tolist() == [1.0]
    fail.clear()
    assert f(x).tolist() == [2.0]
