"""Dynamic batching: what one call after another gives, in fewer launches."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numbers_compared import RNG, close, normal

import diptych as dt
from diptych.eager.batching.deferred import Deferred
from diptych.graphs.kernels import Recorder, recording


def launches(function: Callable[[], Any]) -> int:
    with recording(Recorder()) as recorder:
        function()
    return recorder.launches


class Tree:
    """A cell over a binary tree, written in pairs: a leaf is a vector, a node two subtrees."""

    def __init__(self, size: int) -> None:
        self.w = normal(2 * size, size, requires_grad=True)
        self.b = normal(size, requires_grad=True)
        self.parameters = [self.w, self.b]

    def state(self, tree: Any) -> Any:
        if not isinstance(tree, tuple):
            return dt.tanh(tree)
        left, right = map(self.state, tree)
        return dt.tanh(dt.concat([left, right]) @ self.w + self.b)

    def loss(self, tree: Any) -> Any:
        return dt.sum(self.state(tree) ** 2)


def random_tree(leaves: int, size: int) -> Any:
    if leaves == 1:
        return normal(size)
    left = int(RNG.integers(1, leaves))
    return random_tree(left, size), random_tree(leaves - left, size)


def height(tree: Any) -> int:
    return 0 if not isinstance(tree, tuple) else 1 + max(map(height, tree))


# -- equal to one by one ---------------------------------------------------------------------------


def test_trees_give_the_losses_and_gradients_of_one_by_one() -> None:
    model = Tree(4)
    trees = [random_tree(int(n), 4) for n in RNG.integers(1, 9, 12)]
    expected = [model.loss(tree) for tree in trees]
    wanted = dt.grad(sum(expected), model.parameters)
    with dt.autobatch():
        found = [model.loss(tree) for tree in trees]
        total = sum(found)
    for a, b in zip(found, expected):
        close(a, b)
    for a, b in zip(dt.grad(total, model.parameters), wanted):
        close(a, b)


def test_launches_are_at_most_depth_times_signatures() -> None:
    model = Tree(4)
    trees = [random_tree(int(n), 4) for n in RNG.integers(6, 12, 30)]
    deepest = max(map(height, trees))

    def batched() -> None:
        with dt.autobatch(), dt.no_grad():
            for tree in trees:
                model.loss(tree)

    signatures = 6  # tanh, concat, matmul, add, pow, sum
    depth = 4 * deepest + 3
    assert launches(batched) <= depth * signatures
    assert launches(batched) < launches(lambda: [model.loss(tree) for tree in trees]) / 4


def test_what_ends_examples_at_many_depths_is_one_launch() -> None:
    def batched() -> None:
        with dt.autobatch():
            for depth in range(1, 7):
                x = normal(3)
                for _ in range(depth):
                    x = dt.tanh(x)
                dt.sum(x)

    assert launches(batched) == 6 + 1


def test_elementwise_operators_keep_every_bit() -> None:
    xs = [normal(5) for _ in range(7)]
    expected = [dt.exp(dt.tanh(x) * x - 0.5) for x in xs]
    with dt.autobatch():
        found = [dt.exp(dt.tanh(x) * x - 0.5) for x in xs]
    for a, b in zip(found, expected):
        assert a.numpy().tobytes() == b.numpy().tobytes()


def test_ragged_sequences_and_another_model_share_a_scope() -> None:
    wx, wh, b = (normal(3, 16, requires_grad=True), normal(4, 16, requires_grad=True),
                 normal(16, requires_grad=True))  # fmt: skip
    tree = Tree(4)
    sequences = [normal(int(n), 3) for n in RNG.integers(1, 9, 10)]
    trees = [random_tree(5, 4) for _ in range(4)]

    def lstm(xs: Any) -> Any:
        h, c = dt.zeros(4), dt.zeros(4)
        for x in xs:
            z = x @ wx + h @ wh + b
            i, f, g, o = (z[k * 4 : (k + 1) * 4] for k in range(4))
            c = dt.sigmoid(f) * c + dt.sigmoid(i) * dt.tanh(g)
            h = dt.sigmoid(o) * dt.tanh(c)
        return dt.mean(h * h)

    def losses() -> list[Any]:
        return [*map(lstm, sequences), *map(tree.loss, trees)]

    parameters = [wx, wh, b, *tree.parameters]
    expected = losses()
    wanted = dt.grad(sum(expected), parameters)
    with dt.autobatch():
        found = losses()
        gradients = dt.grad(sum(found), parameters)
    for a, e in zip([*found, *gradients], [*expected, *wanted]):
        close(a, e)


def test_large_weights_of_several_models_are_not_copied() -> None:
    weights = [normal(200, 200, requires_grad=True) for _ in range(2)]
    xs = [normal(200) for _ in range(12)]
    expected = [x @ weights[i % 2] for i, x in enumerate(xs)]
    with dt.autobatch():
        found = [x @ weights[i % 2] for i, x in enumerate(xs)]
        with recording(Recorder()) as recorder:
            total = sum(dt.sum(y) for y in found)
            gradients = dt.grad(total, weights)
    for a, b in zip(found, expected):
        close(a, b)
    for a, b in zip(gradients, dt.grad(sum(map(dt.sum, expected)), weights)):
        close(a, b)
    assert recorder.bytes_moved < 12 * 200 * 200 * 4 * 4


# -- waiting, and its end --------------------------------------------------------------------------


def test_a_deferred_tensor_is_a_tensor_of_known_shape() -> None:
    x = normal(2, 3)
    with dt.autobatch():
        y = dt.tanh(x)
        assert isinstance(y, dt.Tensor) and isinstance(y, Deferred)
        assert (y.shape, y.dtype, y.ndim, len(y), y.device) == ((2, 3), x.dtype, 2, 2, x.device)
        rows = list(y)
        assert isinstance(y, Deferred) and len(rows) == 2
        assert y.numpy().tolist() == np.tanh(x.numpy()).tolist()
        assert type(y) is dt.Tensor


@pytest.mark.parametrize(
    "read",
    [float, int, bool, repr, str, lambda y: y.item(), lambda y: y.numpy(), lambda y: y.tolist(),
     np.asarray, lambda y: f"{y:.3f}", copy.deepcopy, lambda y: y in [y], lambda y: y.grad_fn,
     lambda y: y.grad, lambda y: y.storage, lambda y: y.is_leaf, np.from_dlpack,
     lambda y: y.to("cpu")],
)  # fmt: skip
def test_reading_gives_what_it_gives_outside(read: Callable[[Any], Any]) -> None:
    x = dt.tensor(0.5)
    expected = read(dt.exp(x))
    with dt.autobatch():
        y = dt.exp(x)
        assert type(y) is Deferred
        found = read(y)
        assert isinstance(found, dt.Storage) or str(found) == str(expected)


def test_what_was_read_is_a_tensor_as_any_other() -> None:
    with dt.autobatch():
        views = [(normal(4) * 2.0)[1:3] for _ in range(2)]
    views[0].numpy()
    leaf = views[0].requires_grad_()
    assert leaf.is_leaf and leaf.grad is None
    seen: list[Any] = []
    leaf.register_hook(seen.append)
    dt.sum(leaf * 3.0).backward()
    assert leaf.grad.tolist() == [3.0, 3.0] and len(seen) == 1


def test_choices_by_numbers_batch_what_can_wait() -> None:
    def halved(x: Any) -> Any:
        while float(dt.sum(x)) > 1.0:
            x = x * 0.5
        return x

    xs = [dt.full(2, float(n)) for n in (0.1, 3.0, 40.0)]
    with dt.autobatch():
        found = [halved(x) for x in xs]
    for a, x in zip(found, xs):
        assert a.tolist() == halved(x).tolist()


def test_errors_of_shapes_are_raised_where_the_call_is() -> None:
    with dt.autobatch():
        y = dt.tanh(dt.ones((2, 3)))
        with pytest.raises(dt.errors.ShapeError, match="matmul: inner dimensions"):
            y @ y
        assert type(y) is Deferred


def test_errors_of_data_are_those_of_the_call_and_spare_others() -> None:
    table = normal(4, 2)
    with pytest.raises(dt.errors.RangeError) as alone:
        dt.take(table, dt.tensor(7), axis=0)
    with dt.autobatch():
        bad = [dt.take(table, dt.tensor(i), axis=0) for i in (1, 7)]
        good = dt.tanh(table)
        with pytest.raises(dt.errors.RangeError) as together:
            bad[1].numpy()
        assert str(together.value) == str(alone.value)
        close(good, dt.tanh(table))
        with pytest.raises(dt.errors.RangeError):
            (bad[1] * 2.0).numpy()
    with pytest.raises(dt.errors.RangeError), dt.autobatch():
        dt.take(table, dt.tensor(7), axis=0)


def test_an_exception_leaves_what_was_called_before() -> None:
    kept = []
    with pytest.raises(KeyError), dt.autobatch():
        kept.append(dt.tanh(normal(3)))
        raise KeyError
    assert kept[0].shape == (3,) and np.isfinite(kept[0].numpy()).all()
    assert type(dt.tanh(normal(3))) is dt.Tensor


def test_scopes_nest_and_decorate() -> None:
    x = normal(3)

    @dt.autobatch
    def inner(y: Any) -> Any:
        assert type(dt.exp(y)) is Deferred
        return dt.exp(y)

    with dt.autobatch():
        outer = dt.tanh(x)
        result = inner(outer)
        assert type(dt.tanh(x)) is Deferred
    close(result, dt.exp(dt.tanh(x)))
    close(inner(x), dt.exp(x))
    assert inner.__name__ == "inner"


def test_a_result_is_an_operand_after_its_scope() -> None:
    x = normal(3, requires_grad=True)
    with dt.autobatch():
        ys = [x * 2.0, x * 3.0]
    total = dt.sum(ys[0] * ys[1] + x)
    close(dt.grad(total, x)[0], 12.0 * x + 1.0)
    with dt.autobatch():
        ys = [dt.tanh(x), dt.tanh(x * 2.0)]
    with dt.autobatch():
        again = [y * y for y in ys]
    close(again[1], dt.tanh(x * 2.0) ** 2)


def test_every_thread_has_its_own_scope() -> None:
    found: list[Any] = []
    with dt.autobatch():
        mine = dt.tanh(dt.ones(3))

        def other() -> None:
            found.append(type(dt.tanh(dt.ones(3))))
            with pytest.raises(dt.errors.TapeError, match="thread"):
                mine.numpy()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert type(mine) is Deferred
    assert found == [dt.Tensor] and mine.numpy().shape == (3,)


# -- changes in place ------------------------------------------------------------------------------


def test_what_is_written_is_read_before() -> None:
    x, p = normal(3), dt.Parameter(np.ones(3, np.float32))
    state = dt.Storage(np.ones(3, np.float32))
    was = x.numpy().copy()
    with dt.autobatch():
        y, q, r = x * 2.0, p * 2.0, dt.multiply(state, 2.0)
        x[0] = 9.0
        p.storage.write(np.zeros(3, np.float32))
        state.write(np.zeros(3, np.float32))
        later = [x * 2.0, p * 2.0, dt.multiply(state, 2.0)]
    assert y.numpy().tolist() == (was * 2).tolist()
    assert q.detach().tolist() == r.tolist() == [2.0] * 3
    assert later[0].tolist()[0] == 18.0
    assert later[1].detach().tolist() == later[2].tolist() == [0.0] * 3


@pytest.mark.parametrize("read_first", [False, True])
def test_changes_of_deferred_tensors_and_their_views(read_first: bool) -> None:
    def run() -> list[Any]:
        found = []
        for start in (1.0, 2.0):
            base = dt.full(4, start) + 1.0
            view = base[1:3]
            turned = dt.reshape(view, (2, 1))
            other = view * 1.0
            if read_first:
                view.tolist()
            view += 10.0
            base[0] = -1.0
            turned[1, 0] = 50.0
            found += [base, view, turned, other, view * 2.0, dt.sum(turned)]
        return found

    expected = [x.tolist() for x in run()]
    with dt.autobatch():
        found = run()
    assert [x.tolist() for x in found] == expected


# -- what else code has ----------------------------------------------------------------------------


def test_random_numbers_come_in_the_order_of_calls() -> None:
    def run() -> list[Any]:
        dt.manual_seed(3)
        found = []
        for _ in range(3):
            x = dt.rand(4)
            found.append(dt.tanh(dt.nn.functional.dropout(x * 2.0, 0.5)))
        return [x.tolist() for x in found]

    expected = run()
    with dt.autobatch():
        assert run() == expected


def test_modules_and_optimizers_train_as_outside() -> None:
    def run(scope: Callable[[], Any]) -> list[list[float]]:
        dt.manual_seed(0)
        model = dt.nn.Sequential(dt.nn.Linear(3, 8), dt.nn.Tanh(), dt.nn.Linear(8, 1))
        optimizer = dt.optim.Adam(model.parameters(), lr=0.1)
        xs = [dt.tensor([float(i), 1.0, -1.0]) for i in range(5)]
        for _ in range(3):
            with scope():
                loss = sum(dt.sum(model(x) ** 2) for x in xs)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return [p.detach().numpy() for p in model.parameters()]

    class Nothing:
        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> None: ...

    for a, b in zip(run(dt.autobatch), run(Nothing)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_custom_operators_and_looped_ones_run_at_once() -> None:
    doubled = dt.custom_op(
        "autobatch_doubled", "x -> y", lambda x: x * 2, vjp=(lambda c, g: g * 2.0,)
    )
    w = normal(3, requires_grad=True)
    with dt.autobatch():
        ys = [doubled(dt.tanh(w * i)) for i in range(3)]
        total = sum(map(dt.sum, ys))
        counts = [dt.nonzero(dt.relu(w * i))[0].shape for i in (1, -1)]
    expected = sum(2.0 * i * (1 - dt.tanh(w * i) ** 2) for i in range(3))
    close(dt.grad(total, w)[0], expected)
    assert sum(n for (n,) in counts) == 3


def test_transforms_control_flow_and_compiled_functions_within() -> None:
    w = normal(3, requires_grad=True)
    compiled = dt.compile(lambda x: dt.tanh(x * 2.0))

    def run(x: Any) -> Any:
        a = dt.vmap(lambda row: dt.sum(row * w))(dt.stack([x, x * 2.0]))
        b = dt.cond(dt.sum(x) > 0, lambda: x * 2.0, lambda: x * 3.0)
        _, c = dt.scan(lambda h, v: (h + v, h * v), dt.zeros(()), x)
        d = dt.checkpoint(lambda y: dt.exp(y * w), x)
        return dt.sum(a) + dt.sum(b) + dt.sum(c) + dt.sum(d) + dt.sum(compiled(x))

    xs = [normal(3, requires_grad=True) for _ in range(3)]
    expected = [run(dt.tanh(x)) for x in xs]
    wanted = dt.grad(sum(expected), [w, *xs])
    with dt.autobatch():
        found = [run(dt.tanh(x)) for x in xs]
        total = sum(found)
    for a, b in zip([*found, *dt.grad(total, [w, *xs])], [*expected, *wanted]):
        close(a, b)


def test_no_effect_while_a_graph_is_built() -> None:
    with dt.static.Graph() as graph:
        x = graph.placeholder("x", (2,))
        with dt.autobatch():
            y = x * 2.0 + dt.ones(2)
    assert graph.compile(fetches=y).run({"x": [1.0, 2.0]}).tolist() == [3.0, 5.0]

    @dt.compile
    def traced(x: Any) -> Any:
        with dt.autobatch():
            return x * 2.0

    assert traced(dt.tensor([1.0])).tolist() == [2.0]


def test_a_program_writes_after_what_reads_its_variables() -> None:
    state = dt.Storage(np.ones(2, np.float32))
    with dt.static.Graph() as graph:
        program = graph.compile(fetches=graph.assign(state, state * 3.0))
    with dt.autobatch():
        y = dt.multiply(state, 2.0)
        program.run()
    assert y.tolist() == [2.0, 2.0]


def test_a_program_is_fed_what_waits() -> None:
    with dt.static.Graph() as graph:
        x = graph.placeholder("x", (2,))
        program = graph.compile(fetches=x * 2.0)
    with dt.autobatch():
        assert program.run({"x": dt.ones(2) + 1.0}).tolist() == [4.0, 4.0]


def test_anomalies_name_the_line_of_the_call() -> None:
    with dt.autobatch(), dt.detect_anomaly(), pytest.raises(dt.errors.AnomalyError) as error:
        dt.log(dt.tensor([-1.0]) * 1.0)
    assert "test_autobatch.py" in "".join(error.value.__notes__)


def test_numbers_and_plain_arrays_keep_their_kinds() -> None:
    x = normal(3)
    cases: list[Callable[[], Any]] = [
        lambda: x * 0.0, lambda: x * -0.0, lambda: 1 / (x * 0.0), lambda: x + 1, lambda: x + 1.0,
        lambda: dt.tensor([1, 2]) + 1, lambda: dt.tensor([1, 2]) + 1.0, lambda: x > True,
        lambda: x + np.float64(1.0), lambda: x + np.ones(3), lambda: dt.add(x, [1.0, 2.0, 3.0]),
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        expected = [case() for case in cases]
        with dt.autobatch():
            found = [case() for case in cases]
    for a, b in zip(found, expected):
        assert a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
