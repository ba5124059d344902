"""Updates of all parameters in one call: the bits of the operators that the rule is written in."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

import diptych as dt
from diptych import nn, optim
from diptych.errors import TapeError, UnknownNameError
from diptych.graphs.kernels import Recorder, recording
from diptych.graphs.modes import noting_reads, noting_writes
from diptych.graphs.storage import Storage
from diptych.graphs.sweep import Sweep

CASES = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "weight_decay": 0.05}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    (optim.Adam, {"lr": 0.05}),
    (optim.Adam, {"lr": 0.05, "weight_decay": 0.1, "eps": 1e-3}),
    (optim.AdamW, {"lr": 0.05}),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1}),
    (optim.RMSprop, {"lr": 0.01, "weight_decay": 0.1}),
    (optim.RMSprop, {"lr": 0.01, "momentum": 0.9}),
    (optim.RMSprop, {"lr": 0.01, "momentum": 0.5, "centered": True}),
]  # fmt: skip
NAMED = [pytest.param(*case, id=f"{case[0].__name__}-{i}") for i, case in enumerate(CASES)]
SHAPES: list[tuple[int, ...]] = [(), (1,), (7,), (0, 3), (5, 6), (3, 4, 5), (2500,), (37, 211)]
swept = pytest.mark.skipif(not dt.is_compiled(), reason="the package was built without a compiler")


def drawn(shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def parameters(dtypes: Any, shapes: Any = SHAPES) -> list[Any]:
    rng = np.random.default_rng(0)
    kinds = [dtypes] * len(shapes) if not isinstance(dtypes, list) else dtypes
    return [nn.Parameter(drawn(shape, kind, rng)) for shape, kind in zip(shapes, kinds)]


def rows(steps: int, own: list[Any], present: Callable[[int, int], bool]) -> list[list[Any]]:
    """Gradients for some steps, a few with infinities and NaN among them."""
    rng = np.random.default_rng(1)
    found = []
    for step in range(steps):
        row = [drawn(p.shape, p.dtype, rng) for p in own]
        for g, special in zip(row[-3:], (np.inf, np.nan, -0.0)):
            g.reshape(-1)[step::97] = special
        found.append([g if present(step, i) else None for i, g in enumerate(row)])
    return found


def apply(optimizer: Any, row: list[Any]) -> None:
    optimizer.apply([None if g is None else dt.from_numpy(g) for g in row])


def apply_by_operators(optimizer: Any, row: list[Any]) -> None:
    """As `apply`, observed: an observer sees the operators one by one."""
    with recording(Recorder()) as seen:
        apply(optimizer, row)
    assert seen.launches >= sum(g is not None and g.size > 0 for g in row)


def state(own: list[Any], optimizer: Any) -> dict[str, Any]:
    """All numbers, bit by bit, and how often each was written."""
    held = {f"parameter {i}": p.storage for i, p in enumerate(own)} | dict(optimizer._state)
    return {name: (s.array.tobytes(), s.version) for name, s in held.items()}


def agrees(kind: Any, options: Any, make: Callable[[], list[Any]], given: list[list[Any]]) -> None:
    """In one call and by operators the same comes out, in the memory that there was."""
    found = []
    for step in (apply, apply_by_operators):
        own = make()
        optimizer = kind(own, **options)
        memory = [p.storage.array for p in own]
        for row in given:
            step(optimizer, row)
        found.append(state(own, optimizer))
        assert all(p.storage.array is array for p, array in zip(own, memory))
    assert found[0] == found[1]


class Counted(optim.SGD):
    """Counts how often its rule is run."""

    runs = 0

    def rule(self, *args: Any) -> Any:
        self.runs += 1
        return super().rule(*args)


# -- the same numbers ------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", bfloat16], ids=str)
@pytest.mark.parametrize("kind, options", NAMED)
def test_the_bits_are_those_of_operators(kind: Any, options: Any, dtype: Any) -> None:
    given = rows(4, parameters(dtype), lambda step, i: i != 2 or step % 2 == 1)
    agrees(kind, options, lambda: parameters(dtype), given)


@pytest.mark.parametrize("kind, options", NAMED)
def test_dtypes_may_be_mixed(kind: Any, options: Any) -> None:
    dtypes = ["float32", "float64", "float16", bfloat16] * 2
    agrees(
        kind, options, lambda: parameters(dtypes), rows(3, parameters(dtypes), lambda s, i: True)
    )


@pytest.mark.parametrize("kind, options", [CASES[3], CASES[4]], ids=["SGD", "Adam"])
def test_any_number_of_threads_gives_the_same_bits(kind: Any, options: Any) -> None:
    shapes = [(300, 401), (3,), (70_001,), (), (64, 1024), (5000, 7)]
    given = rows(2, parameters("float32", shapes), lambda step, i: i != 2 or step == 1)
    given[1][0] = np.asfortranarray(given[1][0])
    found = []
    for threads in (1, 2, 3, 5):
        dt.set_num_threads(threads)
        own = parameters("float32", shapes)
        optimizer = kind(own, **options)
        for row in given * 2:
            apply(optimizer, row)
        found.append(state(own, optimizer))
    assert all(each == found[0] for each in found)
    agrees(kind, options, lambda: parameters("float32", shapes), given)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "dense": lambda x: x,
    "transposed": lambda x: np.asfortranarray(x),
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1],
    "gaps": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), x.dtype, x.size, 1).reshape(x.shape),
    "wider": lambda x: x.astype("float64"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind, options", [CASES[2], CASES[6]], ids=["SGD", "AdamW"])
def test_gradients_may_lie_anyhow(kind: Any, options: Any, layout: str) -> None:
    shapes = [(40, 70), (3, 4, 5), (1500, 2)]
    given = rows(2, parameters("float32", shapes), lambda step, i: True)
    given = [[LAYOUTS[layout](g) for g in row] for row in given]
    agrees(kind, options, lambda: parameters("float32", shapes), given)


@pytest.mark.parametrize("kind, options", [CASES[2], CASES[4]], ids=["SGD", "Adam"])
def test_parameters_may_lie_anyhow(kind: Any, options: Any) -> None:
    def make() -> list[Any]:
        rng = np.random.default_rng(0)
        plain = [drawn((40, 30), "float32", rng) for _ in range(4)]
        whole = drawn((40, 60), "float32", rng)
        return [
            nn.Parameter(x)
            for x in (plain[0], np.asfortranarray(plain[1]), whole[:, ::2], plain[2].T, plain[3])
        ]

    agrees(kind, options, make, rows(3, make(), lambda step, i: True))


@pytest.mark.parametrize("shift", [0, 1, 30])
def test_gradients_may_share_memory_with_parameters(shift: int) -> None:
    def run(step: Callable[[Any, list[Any]], None]) -> Any:
        memory = np.arange(5000, dtype="float32")
        own = [nn.Parameter(memory[: 2000 + shift][shift:]), nn.Parameter(memory[3000:])]
        optimizer = optim.SGD(own, lr=0.5, momentum=0.5)
        for _ in range(3):
            step(optimizer, [memory[:2000], memory[:2000]])
        return state(own, optimizer), memory.tobytes()

    assert run(apply) == run(apply_by_operators)


def test_parameters_may_share_memory() -> None:
    def make() -> list[Any]:
        memory = np.arange(100, dtype="float32")
        return [nn.Parameter(memory[:60]), nn.Parameter(memory[40:])]

    agrees(optim.SGD, {"lr": 0.1, "momentum": 0.5}, make, rows(3, make(), lambda step, i: True))


def test_rows_of_several_kinds_see_what_was_written_before_them() -> None:
    """Matrices that lie anyhow and vectors are not updated in one call; their order stays."""

    def run(step: Callable[[Any, list[Any]], None], shared: str) -> Any:
        memory = np.arange(60, dtype="float32")
        tied = [memory[:12].reshape(3, 4).T, memory[:12]]
        apart = [memory[12:24].reshape(3, 4).T, memory[24:36]]
        own = [nn.Parameter(x) for x in (tied if shared == "parameters" else apart)]
        optimizer = optim.SGD(own, lr=0.5, momentum=0.5)
        for _ in range(3):
            there = memory[24:36].reshape(4, 3) if shared == "gradients" else np.ones((4, 3), "f4")
            step(optimizer, [there, np.ones(12, "float32")])
        return state(own, optimizer), memory.tobytes()

    for shared in ("parameters", "gradients", "nothing"):
        assert run(apply, shared) == run(apply_by_operators, shared)


def test_a_rate_that_changes_is_read_at_the_next_step() -> None:
    [w] = parameters("float64", [(2000,)])
    optimizer = optim.SGD([w], lr=0.5)
    expected = w.storage.array.copy()
    for rate in (0.5, 0.25, 0.125):
        optimizer.lr = rate
        apply(optimizer, [np.ones(2000)])
        expected -= rate
        assert (w.storage.array == expected).all()


# -- one call --------------------------------------------------------------------------------


@swept
def test_a_rule_is_run_once_for_each_kind_of_row() -> None:
    own = parameters(["float32", "float64"], [(2, 3), (4,)])
    optimizer = Counted(own, lr=0.1)
    for row in rows(5, own, lambda step, i: step != 3 or i == 0):
        apply(optimizer, row)
    assert optimizer.runs == len(own)
    with recording(Recorder()):
        apply(optimizer, rows(1, own, lambda step, i: True)[0])
    assert optimizer.runs == 2 * len(own)


@swept
def test_what_has_moved_is_found_again() -> None:
    model = nn.Linear(3, 2)
    optimizer = Counted(model.parameters(), lr=0.1)
    for dtype in ("float32", "float64"):
        model.to(dtype=dtype)
        for _ in range(2):
            optimizer.minimize(model(dt.ones((4, 3), dtype=dtype)).sum())
    assert optimizer.runs == 4
    weight, bias = model.parameters()
    assert bias.dtype == "float64" == weight.dtype


def test_copies_are_optimizers_of_their_own() -> None:
    own = parameters("float32")
    optimizer = optim.Adam(own, lr=0.1)
    given = rows(4, own, lambda step, i: True)
    for row in given[:2]:
        apply(optimizer, row)
    copied = copy.deepcopy(optimizer)
    before = state(own, optimizer)
    for row in given[2:]:
        apply(copied, row)
    assert state(own, optimizer) == before
    for row in given[2:]:
        apply(optimizer, row)
    assert state(own, optimizer) == state(copied.parameters, copied)


# -- who looks on ----------------------------------------------------------------------------


def test_writes_are_counted_and_noted() -> None:
    w, unused = parameters("float32", [(5,), (2,)])
    optimizer = optim.SGD([w, unused], lr=0.5, momentum=0.5)
    loss = (w * w).sum()
    before = w.storage.array.copy()
    with noting_writes() as notes:
        apply(optimizer, [np.ones(5, "float32"), None])
    held = {id(s): (array, version) for s, array, version in notes.values()}
    assert (held[id(w.storage)][0] == before).all() and id(unused.storage) not in held
    assert (w.storage.version, unused.storage.version) == (1, 0)
    apply(optimizer, [np.ones(5, "float32"), None])
    assert (w.storage.version, unused.storage.version) == (2, 0)
    with pytest.raises(TapeError, match="version"):
        loss.backward()


def test_reads_are_told() -> None:
    [w] = parameters("float32", [(5,)])
    optimizer = optim.SGD([w], lr=0.5)
    read: list[Any] = []
    apply(optimizer, [np.ones(5, "float32")])
    with noting_reads(lambda operator, storage: read.append(storage)):
        apply(optimizer, [np.ones(5, "float32")])
    assert any(storage is w.storage for storage in read)


def test_a_view_of_a_parameter_shows_the_new_numbers() -> None:
    [w] = parameters("float32", [(4, 3)])
    view = w.detach()[1]
    apply(optim.SGD([w], lr=1.0), [np.ones((4, 3), "float32")])
    assert (view.numpy() == w.storage.array[1]).all()


def test_a_program_goes_on_with_what_eager_code_wrote() -> None:
    [w] = parameters("float64", [(2000,)])
    optimizer = optim.SGD([w], lr=0.25, momentum=0.5)
    with dt.static.Graph() as g:
        step = optimizer.apply([g.placeholder("g", (2000,), "float64")])
    program = g.compile(step)
    gradient = np.ones(2000)
    expected, velocity = w.storage.array.copy(), 0.0
    for turn in range(6):
        if turn % 2:
            program.run({"g": gradient})
        else:
            apply(optimizer, [gradient])
        velocity = 0.5 * velocity + 1.0
        expected -= 0.25 * velocity
    assert (w.storage.array == expected).all()


# -- rules of users --------------------------------------------------------------------------


class Normed(optim.Optimizer):
    """Depends on all of the gradient."""

    def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
        return p - numbers["lr"] * g / dt.sqrt(dt.sum(g * g))


class Lion(optim.Optimizer):
    """Gives an operand as it is, and has two results that are one."""

    def begin(self, group: Any) -> None:
        self.slots(group, "mean")
        self.slots(group, "step")
        self.slots(group, "unused", 3.0)

    def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
        step = dt.sign(0.9 * state["mean"] + 0.1 * g)
        state["mean"] = 0.99 * state["mean"] + 0.01 * g
        new = p - numbers["lr"] * step
        state["step"] = new
        return new


class Swapping(optim.Optimizer):
    """Hands operands on, and what is read after it is replaced."""

    def begin(self, group: Any) -> None:
        self.slots(group, "last", 1.0)
        self.slots(group, "before")

    def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
        state["last"], state["before"] = state["last"] + g, state["last"] * 1.0
        return state["before"] - numbers["lr"] * g + p


class Handing(optim.Optimizer):
    """Keeps the gradient itself."""

    def begin(self, group: Any) -> None:
        self.slots(group, "last")

    def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
        step, state["last"] = state["last"], g
        return p - numbers["lr"] * step


class Shaped(optim.Optimizer):
    """Does other things to matrices."""

    def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
        return p - g if p.ndim == 2 else p + numbers["lr"] * float(p.ndim)


class Long(optim.Optimizer):
    """More calls than fit."""

    def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
        for power in range(100):
            p = p - numbers["lr"] * g / (1.0 + power)
        return p


class Looking(optim.Optimizer):
    """Looks at numbers, which eager code alone can do."""

    def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
        return p - numbers["lr"] * g if float(g.sum()) > 0 else p + numbers["lr"] * g


class Own(optim.Optimizer):
    """Updates as it likes, with a count in Python."""

    count = 0

    def update(self, style: Any, group: Any, gradients: list[Any]) -> list[Any]:
        self.count += 1
        return [
            style.assign(p.storage, style.read(p.storage) - g * float(self.count))
            for p, g in zip(group.parameters, gradients)
            if g is not None
        ]


@pytest.mark.parametrize("kind", [Normed, Lion, Swapping, Handing, Shaped, Long, Looking, Own])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_optimizers_of_users(kind: Any, dtype: Any) -> None:
    shapes = [(5, 6), (2500,), (37, 211)]
    given = rows(3, parameters(dtype, shapes), lambda step, i: i != 1 or step != 1)
    given = [[None if g is None else np.nan_to_num(g, posinf=1.0) for g in row] for row in given]

    def make(own: list[Any], lr: float = 0.1) -> Any:
        return kind(own, {"lr": lr})

    agrees(make, {}, lambda: parameters(dtype, shapes), given)


def test_a_rule_that_raises_says_so_and_writes_nothing() -> None:
    class Wrong(optim.Optimizer):
        def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
            return dt.matmul(p, g)

    own = parameters("float32", [(2, 3)])
    optimizer = Wrong(own, {"lr": 0.1})
    before = state(own, optimizer)
    with pytest.raises(ValueError, match="matmul: inner dimensions must match"):
        apply(optimizer, [np.ones((2, 3), "float32")])
    assert state(own, optimizer) == before


def test_a_rule_puts_new_state_where_there_is_a_slot() -> None:
    class Misspelt(optim.Optimizer):
        def begin(self, group: Any) -> None:
            self.slots(group, "velocity")

        def rule(self, options: Any, p: Any, g: Any, state: Any, numbers: Any) -> Any:
            state["velocty"] = g
            return p - g

    own = parameters("float32", [(2, 3)])
    optimizer = Misspelt(own, {"lr": 0.1})
    before = state(own, optimizer)
    with pytest.raises(UnknownNameError, match="rule: must be one of velocity, got 'velocty'"):
        apply(optimizer, [np.ones((2, 3), "float32")])
    assert state(own, optimizer) == before


# -- beneath ---------------------------------------------------------------------------------


def test_rows_of_other_kinds_are_left() -> None:
    """What no loop computes is left; the rest is done."""
    held = [Storage(np.zeros(3, kind)) for kind in ("float32", "float16", bfloat16)]
    sweep = Sweep(lambda given, held, numbers: [held[0] + given], [(s,) for s in held])
    given = [dt.ones(3, dtype=s.dtype) for s in held]
    left = sweep(given, [])
    done = [s.array.sum() == 3 for s in held]
    assert [x is None for x in left] == done == [dt.is_compiled(), dt.is_compiled(), False]
    assert [s.version for s in held] == done


def test_a_sweep_is_copied_without_what_the_extension_holds() -> None:
    held = Storage(np.zeros(3, "float32"))
    sweep = Sweep(_sum, [(held,)])
    sweep([dt.ones(3)], [])
    assert sweep._parts or not dt.is_compiled()
    assert not copy.deepcopy(sweep)._parts
    assert pickle.dumps(Sweep(_sum, []))


def _sum(given: Any, held: Any, numbers: Any) -> list[Any]:
    return [held[0] + given]


@swept
def test_what_the_extension_refuses_to_make() -> None:
    from diptych.graphs.compiled import speedups

    float32, x = np.dtype("float32"), np.zeros(4, "float32")
    calls, dtypes = ((np.add, (0, 1, 1)),), (float32, float32)

    def make(calls: Any = calls, dtypes: Any = dtypes, rows: Any = ((0, (x,)),)) -> Any:
        return speedups.Sweep(calls, dtypes, (), 0, rows)

    for wrong, text in (
        ({"rows": ()}, "must have rows, and few arrays in each"),
        ({"rows": ((0, (x,) * 9),)}, "must have rows, and few arrays in each"),
        ({"rows": ((0, (x[::2],)),)}, "must hold dense arrays of one shape in a row"),
        ({"rows": ((0, (x.astype("float64"),)),)}, "must hold dense arrays of one shape in a row"),
        ({"rows": ((0, (x[:3],)), (1, (x[2:],)))}, "must hold arrays that share no memory"),
        ({"rows": ((1, (x[:2],)), (0, (x[2:],)))}, "must have rows in order of their positions"),
        ({"rows": ((0, (x[:2],)), (1, (x[2:],) * 2))}, "must hold as many arrays in each row"),
        ({"calls": ((np.add, (0, 1, 5)),)}, "must name registers that there are"),
        ({"calls": ((np.add, (0, 1)),)}, "must call ufuncs of few operands"),
        ({"calls": calls * 65}, "must have fewer calls"),
        ({"dtypes": (float32, np.dtype("float64"))}, "must have loops for its dtypes"),
        ({"dtypes": (float32,) * 40}, "must have fewer intermediate results"),
        ({"dtypes": (float32,)}, "must have fewer intermediate results"),
    ):
        with pytest.raises(ValueError, match=f"Sweep: {text}"):
            make(**wrong)
    sweep = make()
    assert sweep((np.ones(4, "float32"),), ()) and (x == 1).all()
    for refused in (np.ones(4), np.ones(3, "float32"), x, [1.0] * 4):
        assert not sweep((refused,), ())
    assert (x == 1).all()
    for wrong in ((), ((), ()), ([x], ()), ((x,), (x,))):
        with pytest.raises(TypeError, match="Sweep: takes arrays by position, and its numbers"):
            sweep(*wrong)


def test_a_parameter_without_elements_between_others() -> None:
    parameters = [dt.nn.Parameter(np.ones(s, np.float32)) for s in ((5,), (3, 0), (5,))]
    gradients = [np.ones(5, np.float32), np.ones((3, 4), np.float32)[:, :0], np.ones(5, np.float32)]
    dt.optim.SGD(parameters, lr=0.5).apply([dt.asarray(g) for g in gradients])
    assert [p.detach().numpy().tolist() for p in parameters] == [[0.5] * 5, [[], [], []], [0.5] * 5]
