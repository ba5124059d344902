"""Each pass by what it prints before and after, and the memory plan by its own figures."""

from itertools import pairwise

import numpy as np
import pytest

import diptych as dt
from diptych.compiler import PASSES
from diptych.compiler.executors.memory import plan_memory
from diptych.compiler.report import run_passes


def after(name, build, *, effects=False):
    """The text of a toy graph before and after one pass."""
    with dt.static.Graph() as g:
        outputs = build(g)
        g.outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    changed = PASSES[name](g).verify()
    return str(changed).splitlines()


def ops_in(lines):
    return [line.split("= ")[1].split("(")[0] if "= " in line else line for line in lines]


def test_prune():
    def build(g):
        x = g.placeholder("x", (2,))
        dt.exp(x)
        return dt.tanh(x)

    assert after("prune", build) == [
        "%0: float32[2] = placeholder(name='x')",
        "%1: float32[2] = tanh(%0)",
        "return %1",
    ]


def test_prune_keeps_a_conditional_effect_only_with_its_condition():
    def build(fetch_condition):
        def inner(g):
            x, v = g.placeholder("x", (2,)), g.variable([0.0, 0.0], "v")
            condition = dt.exp(x)
            g.assign(v, v + condition, when=condition)
            return condition if fetch_condition else dt.tanh(x)

        return inner

    assert any("assign" in line for line in after("prune", build(True)))
    assert not any("assign" in line for line in after("prune", build(False)))


def test_fold():
    def build(g):
        x = g.placeholder("x", (2,))
        return x * (g.constant([2.0, 3.0]) + 1) + dt.zeros((2,)) * 4

    assert ops_in(after("fold", build)).count("constant") == 6
    lines = after("fold", build)
    assert ops_in(lines)[-3:] == ["constant", "add", "return %8"]
    assert "multiply" in ops_in(lines) and "full" not in ops_in(lines)


def test_fold_leaves_large_and_symbolic_results_alone():
    def build(g):
        x = g.placeholder("x", ("n",))
        return x * dt.ones((1000, 1000)).sum(), dt.ones((dt.Dim.symbol("n"),)) + x

    assert ops_in(after("fold", build)).count("full") == 2


def test_cse():
    def build(g):
        x = g.placeholder("x", (2,))
        return dt.exp(x) * 2 + dt.exp(x) * 2

    assert after("cse", build) == [
        "%0: float32[2] = placeholder(name='x')",
        "%1: float32[2] = exp(%0)",
        "%2: float32[] = constant(array=2.0)",
        "%3: float32[2] = multiply(%1, %2)",
        "%4: float32[2] = add(%3, %3)",
        "return %4",
    ]


def test_cse_keeps_signed_zeros_and_dtypes_apart():
    def build(g):
        return g.constant(0.0), g.constant(-0.0), g.constant(0), g.constant(0.0)

    assert after("cse", build)[-1] == "return %0, %1, %2, %0"


@pytest.mark.parametrize(
    "before",
    [
        lambda x: x * 1,
        lambda x: 1.0 * x,
        lambda x: x / 1,
        lambda x: x - 0.0,
        lambda x: x + -0.0,
        lambda x: -(-x),
        lambda x: x**1,
        lambda x: x.T.T,
        lambda x: x.reshape(6).reshape(2, 3),
        lambda x: dt.astype(x, "float32"),
        lambda x: dt.broadcast_to(x, (2, 3)),
        lambda x: dt.sum_to(x, (2, 3)),
        lambda x: dt.accumulate([x]),
        lambda x: dt.max(x, axis=()),
        lambda x: dt.prod(dt.min(x, axis=()), axis=()),
    ],
)
def test_simplify_to_the_operand(before):
    assert after("simplify", lambda g: before(g.placeholder("x", (2, 3))))[-1] == "return %0"


@pytest.mark.parametrize(
    "kept",
    [
        lambda x: x + 0.0,  # -0.0 + 0.0 is 0.0
        lambda x: x - -0.0,
        lambda x: 1 / x,
        lambda x: 0.0 - x,
        lambda x: dt.sum(x, axis=()),  # the same
        lambda x: dt.max(x, axis=0),
        lambda x: x * dt.ones((2, 2, 3)),
        lambda x: dt.astype(x, "float64"),
    ],
)
def test_simplify_keeps_what_would_change_bits(kept):
    assert after("simplify", lambda g: kept(g.placeholder("x", (2, 3))))[-1] != "return %0"


def test_passes_keep_every_bit_of_odd_numbers():
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3.0], np.float32)
    with dt.static.Graph() as g:
        x = g.placeholder("x", odd.shape)
        fetches = [x * 1, x + 0.0, x - 0.0, -(-x), x / 1, (x + -0.0) * 1.0, x**1]
    with np.errstate(all="ignore"):
        plain = g.compile(fetches, executor="reference", passes=()).run({"x": odd})
        planned = g.compile(fetches).run({"x": odd})
    for a, b in zip(plain, planned):
        assert a.tobytes() == b.tobytes()


def test_every_pass_can_be_switched_off_by_name_and_is_explained():
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        y = x * 1 + dt.exp(x) * dt.exp(x)
    program = g.compile(y, passes=["cse", "prune"])
    assert [r.name for r in program.reports] == ["prune", "cse", "prune"]
    lines = program.explain().splitlines()
    assert lines[0].startswith("prune: 7 nodes -> 7") and lines[1].startswith("cse: 7 nodes -> 6")
    assert lines[3].startswith("plan memory: peak")


@pytest.mark.parametrize("name", ["prune", "fold", "simplify", "cse"])
def test_a_pass_that_finds_nothing_gives_the_graph_itself(name):
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        y = dt.exp(x)
        g.outputs = (y,)
        assert PASSES[name](g) is g
        dt.tanh(x), dt.exp(x), x * 1, g.constant([1.0]) + 1
    assert PASSES[name](g) is not g


def test_a_pass_that_comes_again_runs_only_where_something_has_changed():
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        g.outputs = (dt.exp(x) * dt.exp(x),)
    once = [("cse", PASSES["cse"]), ("prune", PASSES["prune"])]
    graph, reports = run_passes(g, [*once, *once])
    assert [report.name for report in reports] == ["cse", "prune"]
    assert len(graph.nodes) == 3
    grow = ("grow", lambda graph: graph.rebuild())
    _, reports = run_passes(g, [*once, grow, *once])
    assert [report.name for report in reports] == ["cse", "prune", "grow", "cse", "prune"]


# -- the memory plan -------------------------------------------------------------------------


def plan(build):
    with dt.static.Graph() as g:
        outputs = build(g)
        g.outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return plan_memory(g, {})


def chain(g, length=10):
    y = g.placeholder("x", (1000,))
    for _ in range(length):
        y = dt.tanh(y) * 0.5
    return y.sum()


def test_a_chain_runs_in_one_buffer():
    found = plan(chain)
    assert found.arena_bytes == found.bound_bytes == 4000
    assert found.in_place == 19 and found.returned_bytes == 4


def test_buffers_that_live_together_do_not_overlap():
    def build(g):
        x = g.placeholder("x", (7, 5))
        parts = [dt.softmax(x * float(i)) for i in range(6)]
        parts += [p.T @ q for p, q in pairwise(parts)]
        return dt.accumulate([p.sum() for p in parts])

    found = plan(build)
    for a in found.arena:
        for b in found.arena:
            if a is not b and a.start <= b.end and b.start <= a.end:
                assert a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset
    assert all(b.offset % 64 == 0 for b in found.arena)
    apart = sum(-(-b.nbytes // 64) * 64 for b in found.arena)
    assert found.bound_bytes <= found.arena_bytes < apart


def test_an_update_goes_straight_into_its_variable():
    w = dt.nn.Parameter(np.ones((3, 3), np.float32))
    with dt.static.Graph() as g:
        g.assign(w, w - (w @ w) * 0.1)
    found = plan_memory(g, {})
    assert found.direct == 1 and found.committed == []


def test_a_variable_that_is_read_later_is_written_at_the_end():
    v = dt.nn.Parameter([1.0, 2.0])
    with dt.static.Graph() as g:
        start = g.read(v)
        g.assign(v, start * 2)
        g.outputs = (start * 3,)
    found = plan_memory(g, {})
    assert found.direct == 0 and len(found.committed) == 1


def test_the_generated_code_is_straight_and_shown():
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2, 2))
        y = dt.exp(x @ x).sum()
    source = g.compile(y).source
    assert source.splitlines() == [
        "def step(f0):",
        "    k1(f0, f0, out=b1)  # matmul float32[2, 2]",
        "    k2(b1, out=b2)  # exp float32[2, 2]",
        "    r3 = asarray(k3(b2))  # sum float32[]",
        "    return [r3]",
    ]


def test_names_of_the_user_never_reach_the_generated_code():
    with dt.static.Graph() as g:
        x = g.placeholder("x); import os; (", (2,))
        y = x + 1
    program = g.compile(y)
    assert "import" not in program.source
    assert program.run({"x); import os; (": [1.0, 2.0]}).tolist() == [2.0, 3.0]
