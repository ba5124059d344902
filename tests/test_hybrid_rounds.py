"""Loops of a known number of rounds, which become loops of the graph where there are many."""

import numpy as np
import pytest

import diptych as dt

RNG = np.random.default_rng(0)


def array(*shape):
    return dt.tensor(RNG.standard_normal(shape).astype(np.float32))


def gradients(f, xs, h):
    xs, h = (dt.tensor(v.numpy(), requires_grad=True) for v in (xs, h))
    y = f(xs, h)
    found = dt.grad((y * y).sum(), [xs, h, W], allow_unused=True)
    return [y.detach().numpy(), *(g.numpy() for g in found if g is not None)]


W = dt.nn.Parameter(RNG.standard_normal((3, 3)).astype(np.float32) * 0.5)


def goes_through_layers(xs, h):
    for _ in range(12):
        h = dt.tanh(h @ W) + h
    return h


def adds_its_number(xs, h):
    for t in range(12):
        h = dt.tanh(h @ W) * t + h
    return h


def takes_some_rows(xs, h):
    for t in range(1, 25, 3):
        h = dt.tanh(h @ W + xs[t])
    return h


def takes_rows_from_behind(xs, h):
    ys = []
    for t in reversed(range(2, 20)):
        h = dt.tanh(h @ W + xs[t])
        ys.append(h)
    return dt.stack(ys)


def counts_rows(xs, h):
    for t, row in zip(range(5, 45), range(40)):
        h = dt.tanh(h @ W) * 0.1 * t + xs[row]
    return h


def draws_at_random(xs, h):
    for _ in range(10):
        h = dt.nn.functional.dropout(h @ W, 0.3)
    return h


@pytest.mark.parametrize("executor", ["planned", "native"])
@pytest.mark.parametrize(
    "f",
    [goes_through_layers, adds_its_number, takes_some_rows, takes_rows_from_behind, counts_rows,
     draws_at_random],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_rounds_of_a_known_number_are_one_in_the_graph(f, executor):
    xs, h = array(40, 3), array(3)
    compiled = dt.compile(f, executor=executor)
    dt.manual_seed(3)
    wanted = gradients(f, xs, h)
    dt.manual_seed(3)
    found = gradients(compiled, xs, h)
    for a, b in zip(wanted, found, strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5)
    assert "unrolls" not in compiled.explain()
    assert sum(node.op.name == "scan" for node in traced_nodes(compiled)) == 1
    assert not any(node.op.name == "matmul" for node in traced_nodes(compiled))


def traced_nodes(compiled):
    [function] = compiled._functions()
    return function.graph.nodes[: function._forward_nodes]


def test_few_rounds_and_those_of_element_wise_work_stay_apart_to_be_fused():
    def few(h):
        for _ in range(3):
            h = dt.tanh(h @ W)
        return h

    def simple(h):
        for _ in range(12):
            h = dt.tanh(h) * 0.9
        return h

    def many(h):
        for _ in range(300):
            h = dt.tanh(h) * 0.9
        return h

    h = array(3)
    counts = {}
    for f in (few, simple, many):
        compiled = dt.compile(f)
        assert np.allclose(compiled(h).detach().numpy(), f(h).detach().numpy(), rtol=1e-5)
        counts[f.__name__] = [node.op.name for node in traced_nodes(compiled)].count("tanh")
    assert counts == {"few": 3, "simple": 12, "many": 0}


def test_an_index_beyond_the_end_is_the_users_error():
    def f(xs):
        total = 0.0
        for t in range(12):
            total = total + (xs[t] @ W).sum()
        return total

    with pytest.raises(dt.errors.ShapeError, match=r"an index must be in -8..7 on axis 0, got 8"):
        dt.compile(f)(array(8, 3))


@pytest.mark.parametrize("executor", ["planned", "native"])
def test_the_code_does_not_grow_with_the_number_of_rounds(executor):
    sizes, nodes = set(), set()
    for rounds in (10, 1000):

        def f(h, rounds=rounds):
            for _ in range(rounds):
                h = dt.tanh(h @ W)
            return h

        compiled = dt.compile(f, executor=executor)
        compiled(array(3))
        nodes.add(len(traced_nodes(compiled)))
        sizes.add(len(compiled.source.replace(str(rounds), "n")) // 16)
    assert len(nodes) == 1 and max(sizes) - min(sizes) <= 4
