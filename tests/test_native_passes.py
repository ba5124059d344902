"""The passes that change the order of sums: by what they print, and by what they give."""

from __future__ import annotations

from collections import Counter

import pytest
from native_passes import TOGETHER, assert_agrees, built, changed, lines, ops_of
from registry import KERNELS, SAMPLES, assert_close, call, cases, fill, is_array, results_of

import diptych as dt
from diptych.compiler.decompositions import OF_FLOATS, OF_REALS, rule_of
from diptych.compiler.executors.reference import Reference
from diptych.compiler.passes.assemble import assemble
from diptych.compiler.passes.combine import combine
from diptych.compiler.passes.contract import contract
from diptych.compiler.passes.cse import cse
from diptych.compiler.passes.decompose import decompose

# -- decompose -------------------------------------------------------------------------------

# Their rules hold for some calls, and for others the kernel stays or loops know them as they are.
PARTIAL = {
    "bincount", "bitwise_invert", "cumulative_prod", "cumulative_sum", "isin", "max", "min",
    "nan_to_num", "prod", "searchsorted", "sum", "sum_to",
}  # fmt: skip


@pytest.mark.usefixtures("special_values")
@cases(lambda op, sample: op.name in {*OF_FLOATS, *OF_REALS})
def test_decomposed_operators_give_what_their_kernels_do(op, sample):
    arrays = list(filter(is_array, sample.args))
    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        g.outputs = tuple(results_of(call(op, fill(sample.args, fed), sample.attrs)))
    after = decompose(g).verify()
    kept = [node for node in after.nodes if node.op is op]
    assert not any(map(rule_of, (node.bound for node in kept))) or op.name in PARTIAL
    for f, e in zip(Reference(after).run(arrays, {}), Reference(g).run(arrays, {})):
        assert (f.dtype, f.shape) == (e.dtype, e.shape)
        assert_close(f, e, e.dtype, 4)


@pytest.mark.parametrize("name", [*OF_FLOATS, *OF_REALS])
def test_every_decomposition_is_of_an_operator_without_an_expression(name):
    assert KERNELS[name].expr is None
    changes = 0
    for sample in SAMPLES[name].samples:
        arrays = list(filter(is_array, sample.args))
        with dt.static.Graph() as g:
            fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            g.outputs = tuple(results_of(call(KERNELS[name], fill(sample.args, fed), sample.attrs)))
        changes += str(decompose(g)) != str(g)
    assert changes


def test_decompose_softmax():
    assert lines(built(lambda x: dt.softmax(x), (2, 3)), decompose) == [
        "%1: float32[2, 1] = max(%0, axis=(1,), keepdims=True)",
        "%2: float32[2, 3] = subtract(%0, %1)",
        "%3: float32[2, 3] = exp(%2)",
        "%4: float32[2, 1] = sum(%3, axis=(1,), keepdims=True, dtype=float32)",
        "%5: float32[2, 1] = reciprocal(%4)",
        "%6: float32[2, 3] = multiply(%3, %5)",
        "return %6",
    ]


def test_decompose_leaves_complex_numbers():
    def build(x):
        return dt.mean(dt.astype(x, "complex64"))

    assert "mean" in ops_of(changed(built(build, (2, 3)), decompose))


def test_decompose_computes_with_floats_of_16_bits_in_float32():
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2, 3), "bfloat16")
        g.outputs = (dt.sum(dt.tanh(x), axis=0), dt.concat([x, x]))
    assert lines(g, decompose) == [
        "%1: float32[2, 3] = astype(%0, dtype=float32)",
        "%2: float32[2, 3] = tanh(%1)",
        "%3: bfloat16[2, 3] = astype(%2, dtype=bfloat16)",
        "%4: float32[2, 3] = astype(%3, dtype=float32)",
        "%5: float32[3] = sum(%4, axis=(0,), keepdims=False, dtype=float32)",
        "%6: bfloat16[3] = astype(%5, dtype=bfloat16)",
        "%7: bfloat16[4, 3] = concat(%0, %0, axis=0)",
        "return %6, %7",
    ]


def test_decompose_where_no_count_is_known():
    def build(x):
        return dt.var(x), dt.logsumexp(x, axis=0), dt.std(x[:0]), dt.var(x, axis=1), dt.mean(x)

    after = changed(built(build, ("n", 3)), decompose)
    kept = {"var": 1, "logsumexp": 1}
    assert {name: n for name, n in ops_of(after).items() if name in OF_FLOATS} == kept


def normalised(x, w, b):
    """A layer, its gradients, and what they share."""
    y = dt.layer_norm(x, w, b, w.shape)
    return y, *dt.layer_norm_grad(x, w, dt.tanh(y), w.shape)


def test_a_function_and_its_gradient_share_their_sums():
    after = changed(built(normalised, (4, 5), (5,), (5,)), decompose, cse)
    assert ops_of(after)["sum"] == 2 + 2 + 2  # mean, variance; of the gradient; of the weights


@pytest.mark.parametrize("shape", [("n", 3, 4), (2, "n", 4)])
def test_decompose_symbolic_sizes(shape):
    def channels(x):
        c = dt.sum(x, axis=(0, 2))
        y, mean, variance = dt.batch_norm(x, c, c)
        return y, mean, variance, *dt.batch_norm_grad(x, c, mean, variance, y, mean, c)

    assert_agrees(built(normalised, shape, (4,), (4,)), decompose, tolerance=1e-4, n=3)
    after = assert_agrees(built(channels, shape), decompose, tolerance=1e-4, n=3)
    assert not set(OF_FLOATS) & set(ops_of(after))


def test_an_effect_that_hangs_on_one_of_several_results_takes_place_for_any():
    def graph(fetch):
        with dt.static.Graph() as g:
            v = g.variable([0.0, 0.0], "v")
            results = dt.batch_norm(g.placeholder("x", (4, 2)), 1.0, 0.0)
            g.assign(v, results[1], when=results[0])
            g.outputs = () if fetch is None else (results[fetch],)
        return changed(decompose(g))

    assert [len(graph(fetch).effects) for fetch in (0, 1, 2, None)] == [1, 1, 1, 0]


def test_decompose_goes_into_bodies():
    def build(x):
        return dt.scan(lambda c, row: (c + dt.softmax(row), None), x[0], x)[0]

    graph = built(build, (3, 4))
    assert "softmax" not in str(assert_agrees(graph, *TOGETHER))


# -- assemble --------------------------------------------------------------------------------


def test_assemble_slices_and_what_is_added_to_them():
    def build(x, y, z):
        parts = [dt.scatter_slice(x, (slice(None), slice(2, 5)), (2, 5))]
        parts += [z, dt.scatter_slice(y, (slice(None), slice(0, 2)), (2, 5))]
        return dt.accumulate([dt.accumulate(parts[:2]), parts[2]])

    assert lines(built(build, (2, 3), (2, 2), (2, 5)), assemble) == [
        "%3: float32[2, 5] = concat(%1, %0, axis=1)",
        "%4: float32[2, 5] = accumulate(%3, %2)",
        "return %4",
    ]


def test_assemble_indices():
    def build(x, y):
        gather = [dt.scatter_slice(v, (slice(None), i), (2, 3)) for i, v in enumerate((x, y, x))]
        return dt.accumulate(gather[::-1])

    assert lines(built(build, (2,), (2,)), assemble) == [
        "%2: float32[2, 3] = stack(%0, %1, %0, axis=1)",
        "return %2",
    ]


def test_assemble_adds_up_what_lies_in_one_place():
    def build(x, y, z):
        places = (slice(0, 2), 2, slice(0, 2))
        return dt.accumulate([dt.scatter_slice(v, p, (3,)) for v, p in zip((x, y, z), places)])

    assert lines(built(build, (2,), (), (2,)), assemble) == [
        "%3: float32[2] = accumulate(%0, %2)",
        "%4: float32[1] = expand_dims(%1, axis=(0,))",
        "%5: float32[3] = concat(%3, %4, axis=0)",
        "return %5",
    ]


def test_assemble_counts_a_piece_as_often_as_it_is_added():
    """`cse` makes one of pieces that are computed alike."""

    def build(x, y):
        pieces = [dt.scatter_slice(v, i, (2, 3)) for i, v in enumerate((x, y))]
        return dt.accumulate([pieces[0], pieces[1], pieces[0]])

    assert lines(built(build, (3,), (3,)), assemble) == [
        "%2: float32[3] = accumulate(%0, %0)",
        "%3: float32[2, 3] = stack(%2, %1, axis=0)",
        "return %3",
    ]


def test_assemble_symbolic_sizes():
    def build(x):
        last = x.shape[0] - 1
        ends = [(slice(last, last + 1), x[last:]), (slice(0, last), dt.tanh(x[:last]))]
        return dt.accumulate([dt.scatter_slice(v, i, x.shape) for i, v in ends])

    after = assert_agrees(built(build, ("n", 2)), assemble, n=4)
    assert ops_of(after)["concat"] == 1 and not ops_of(after)["scatter_slice"]


def scattered(*places):
    def build(x):
        return dt.accumulate([dt.scatter_slice(x[p], p, x.shape) for p in places])

    return built(build, (4, 3))


@pytest.mark.parametrize(
    "graph",
    [
        scattered(slice(0, 2), slice(3, 4)),  # a gap
        scattered(slice(0, 3), slice(2, 4)),  # one place twice
        scattered(slice(0, 2), slice(0, 3), slice(2, 4)),
        scattered(slice(1, 4), 1),
        scattered(slice(0, 4, 2), slice(1, 4, 2)),
        scattered((slice(0, 2), slice(0, 1)), (slice(2, 4), slice(0, 1))),
        built(lambda x: dt.scatter_slice(x, slice(None, None, -1), (4,)), (4,)),
    ],
)
def test_assemble_leaves_what_does_not_cover_an_axis_once(graph):
    before = ops_of(graph)["scatter_slice"]
    assert ops_of(assert_agrees(graph, assemble))["scatter_slice"] == before


def test_assemble_a_scatter_that_something_else_reads():
    def build(x):
        first = dt.scatter_slice(x[:2], slice(0, 2), (4,))
        return first + dt.scatter_slice(x[2:], slice(2, 4), (4,)), first

    # The sum is x itself, and the piece stays for who else reads it.
    assert ops_of(assert_agrees(built(build, (4,)), assemble))["scatter_slice"] == 1


def test_assemble_finds_the_whole_again():
    def build(x, y):
        apart = dt.unstack(x, 1)
        return (
            dt.scatter_slice(x, slice(None), x.shape),
            dt.concat(dt.split(x, [1, 3]), 0),
            dt.stack(apart, 1),
            dt.stack([y, y + 1.0])[0],
            dt.concat([y, x], 1)[:, 2:],
        )

    graph = built(build, (4, 3), (4, 2))
    assert lines(graph, assemble)[-1] == "return %0, %0, %0, %1, %0"


def test_assemble_runs_of_slices():
    def build(x):
        return dt.concat([x[1:2], x[2:4]], 0), dt.concat(dt.unstack(x)[:3], 0)

    assert lines(built(build, (4, 3)), assemble) == [
        "%1: float32[3, 3] = getitem(%0, index=((1, 4, 1), (None, None, None)))",
        "%2: float32[3, 3] = getitem(%0, index=((0, 3, 1), (None, None, None)))",
        "%3: float32[9] = reshape(%2, shape=(9,))",
        "return %1, %3",
    ]


@pytest.mark.parametrize(
    "join",
    [
        lambda x: dt.concat([x[2:], x[:2]], 0),
        lambda x: dt.concat([x[:2], x[2:]], 1),
        lambda x: dt.stack(dt.unstack(x, 0), 1),
        lambda x: dt.concat([x[:2], dt.tanh(x[2:])], 0),
        lambda x: dt.concat([x[:1], x[3:]], 0),
        lambda x: dt.concat([x[:2], x], 0)[1:4],
        lambda x: dt.stack([x, x], 1)[0],
    ],
)
def test_assemble_leaves_joins_in_another_order(join):
    graph = built(join, (4, 4))
    after = assert_agrees(graph, assemble)
    assert ops_of(after)["concat"] + ops_of(after)["stack"] == 1


# -- contract --------------------------------------------------------------------------------


def test_contract_a_batch_of_rows():
    assert lines(built(lambda x, w: x @ w, (2, 3, 4, 5), (5, 6)), contract) == [
        "%2: float32[24, 5] = reshape(%0, shape=(24, 5))",
        "%3: float32[24, 6] = matmul(%2, %1)",
        "%4: float32[2, 3, 4, 6] = reshape(%3, shape=(2, 3, 4, 6))",
        "return %4",
    ]


def test_contract_the_gradient_of_a_weight():
    def build(x, g):
        return dt.sum_to(dt.matrix_transpose(x) @ g, (4, 5)).T

    assert lines(built(build, (2, 3, 4), (2, 3, 5)), contract) == [
        "%2: float32[6, 4] = reshape(%0, shape=(6, 4))",
        "%3: float32[6, 5] = reshape(%1, shape=(6, 5))",
        "%4: float32[5, 6] = permute_dims(%3, axes=(1, 0))",
        "%5: float32[5, 4] = matmul(%4, %2)",
        "return %5",
    ]


@pytest.mark.parametrize(
    "total", [lambda z: dt.sum(z, axis=(0, 1)), lambda z: dt.sum_to(z, (4, 6))]
)
def test_contract_sums_over_a_batch(total):
    graph = built(
        lambda x, y: total(dt.permute_dims(x, (0, 1, 3, 2)) @ y), (2, 3, 5, 4), (2, 3, 5, 6)
    )
    after = assert_agrees(graph, contract)
    assert not {"sum", "sum_to"} & set(ops_of(after))


def test_contract_vectors():
    def build(x, y, m):
        return x @ m, m @ y, x @ dt.matrix_transpose(m.T), x @ dt.tanh(x)

    after = assert_agrees(built(build, (3,), (4,), (3, 4)), contract)
    products = [node for node in after.nodes if node.op.name == "matmul"]
    assert {v.aval.ndim for node in products for v in node.inputs} == {2}


def test_contract_symbolic_sizes():
    def build(x, w):
        y = x @ w
        return y, *y.graph.grad(dt.sum(dt.tanh(y)), [x, w])

    after = assert_agrees(built(build, ("n", 3, 4), (4, 5)), contract, n=6)
    products = [node for node in after.nodes if node.op.name == "matmul"]
    assert len(products) == 3
    assert {v.aval.ndim for node in products for v in node.inputs} == {2}


@pytest.mark.parametrize(
    "build",
    [
        # Rows that would have to be copied.
        lambda x, y: dt.matrix_transpose(x) @ y[0],
        lambda x, y: x[:, :2] @ y[0].T,
        # A sum that does not go over the whole batch, or that something else reads the terms of.
        lambda x, y: dt.sum_to(x @ dt.matrix_transpose(y), (1, 3, 3)),
        lambda x, y: dt.sum(x @ dt.matrix_transpose(y), axis=0),
        lambda x, y: (dt.sum_to(z := dt.matrix_transpose(x) @ y, (4, 4)), z),
    ],
)
def test_contract_leaves_the_rest(build):
    graph = built(build, (2, 3, 4), (2, 3, 4))
    before = [n.bound.ins for n in graph.nodes if n.op.name == "matmul"]
    after = assert_agrees(graph, contract)
    assert [n.bound.ins for n in after.nodes if n.op.name == "matmul"] == before


def test_contract_a_transposed_product():
    graph = built(lambda x, y: ((x.T @ y).T, (x @ y.T).T, (x @ x).T), (3, 3), (3, 3))
    after = assert_agrees(graph, contract)
    assert [v.node.op.name for v in after.outputs] == ["matmul", "matmul", "permute_dims"]


def test_contract_views():
    def build(x):
        y = dt.squeeze(dt.expand_dims(dt.stop_gradient(x), 1), 1)
        apart = dt.reshape(dt.permute_dims(x, (1, 0, 2)), (3, 8))  # copies, once
        return y, dt.reshape(dt.reshape(x, 24), (4, 6)), dt.reshape(apart, 24), apart

    assert lines(built(build, (2, 3, 4)), contract) == [
        "%1: float32[3, 2, 4] = permute_dims(%0, axes=(1, 0, 2))",
        "%2: float32[3, 8] = reshape(%1, shape=(3, 8))",
        "%3: float32[4, 6] = reshape(%0, shape=(4, 6))",
        "%4: float32[24] = reshape(%2, shape=(24,))",
        "return %0, %3, %4, %2",
    ]


# -- combine ---------------------------------------------------------------------------------


def recurrent(x, w, u, b):
    """A loop unrolled, its last state and the gradients."""
    h = dt.zeros((2, 4))
    for t in range(x.shape[0]):
        h = dt.tanh(x[t] @ w + h @ u + b)
    loss = dt.sum(h * h)
    return loss, *x.graph.grad(loss, [x, w, u, b])


def test_combine_the_steps_of_a_loop():
    graph = built(recurrent, (5, 2, 3), (3, 4), (4, 4), (4,))
    before = ops_of(changed(graph, cse))
    after = ops_of(assert_agrees(graph, *TOGETHER))
    # The steps themselves, one each way but for the first; and four of all steps.
    assert (before["matmul"], after["matmul"]) == (5 + 5 + 4 + 5 + 5 + 5, 5 + 4 + 4)
    # The cotangents of all steps are joined once for two weights, the bias and the input.
    assert after["concat"] == 2 and after["sum_to"] == 1 and not after["scatter_slice"]


def products(*pairs):
    return dt.accumulate([dt.matrix_transpose(a) @ b for a, b in pairs])


def test_combine_a_sum_of_products():
    def build(a, b, c):
        first, second = products((a, b), (b, a)), c
        return dt.accumulate([dt.accumulate([first, second]), a.T @ a])

    assert lines(built(build, (2, 3), (2, 3), (3, 3)), combine) == [
        "%3: float32[6, 3] = concat(%0, %0, %1, axis=0)",
        "%4: float32[3, 6] = permute_dims(%3, axes=(1, 0))",
        "%5: float32[6, 3] = concat(%1, %0, %0, axis=0)",
        "%6: float32[3, 3] = matmul(%4, %5)",
        "%7: float32[3, 3] = accumulate(%2, %6)",
        "return %7",
    ]


def test_combine_leaves_few_large_and_shared_products():
    def few(a, b):
        return products((a, b), (b, a))

    def shared(a, b):
        parts = [a.T @ b, b.T @ a, a.T @ a]
        return dt.accumulate(parts), *parts

    def large(a, b):
        return products((a, b), (b, a), (a, a))

    for graph in (
        built(few, (2, 3), (2, 3)),
        built(shared, (2, 3), (2, 3)),
        built(large, (300, 3), (300, 3)),
        built(large, ("n", 3), ("n", 3)),
    ):
        before = ops_of(graph)["matmul"]
        assert ops_of(assert_agrees(graph, combine, tolerance=1e-4, n=2))["matmul"] == before


@pytest.mark.parametrize("axis", [0, 1])
def test_combine_products_of_all_slices(axis):
    def build(x, w):
        return dt.stack([dt.tanh(part @ w) for part in dt.unstack(x, axis)])

    assert ops_of(assert_agrees(built(build, (4, 3, 5), (5, 2)), combine))["matmul"] == 1


def test_combine_leaves_slices_of_part_of_an_array():
    def build(x, w):
        return tuple(dt.tanh(part @ w) for part in dt.unstack(x)[1:])

    assert ops_of(assert_agrees(built(build, (4, 3, 5), (5, 2)), combine))["matmul"] == 3


@pytest.mark.parametrize("join", [dt.stack, dt.concat])
def test_combine_joined_products(join):
    def build(x, y, w):
        return join([x @ w, y @ w, dt.tanh(x) @ w])

    assert ops_of(assert_agrees(built(build, (4, 3), (4, 3), (3, 2)), combine))["matmul"] == 1


@pytest.mark.parametrize("first", [4, 5])
def test_combine_joins_rows_once(first):
    """Also where one sum has more terms than the other, whichever comes first."""

    def build(x, y):
        a, b = ([dt.tanh(v) * i for i in range(1, 6)] for v in (x, y))
        sums = []
        for begin in (5 - first, first - 4):
            rows = [dt.sin(v + begin) for v in a[begin:]]
            terms = [dt.permute_dims(v, (1, 0)) @ w for v, w in zip(rows, b[begin:])]
            sums.append(dt.accumulate(terms))
        return tuple(sums)

    after = assert_agrees(built(build, (2, 3), (2, 4)), combine, tolerance=1e-4)
    parts = Counter(v for n in after.nodes if n.op.name == "concat" for v in n.inputs)
    assert len(parts) >= 5 and set(parts.values()) == {1}


def test_a_long_chain_of_sums_is_no_recursion():
    def build(x):
        total = x
        for _ in range(3000):
            total = total + dt.scatter_slice(x, slice(None), x.shape)
        return total

    graph = built(build, (2,))
    assert_agrees(graph, *TOGETHER)
