"""One module and one optimiser in three styles: the same bits whatever the style."""

import numpy as np
import pytest

import diptych as dt
from diptych import nn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 10, 8)).astype("float32")
Y = RNG.integers(0, 4, (30, 10))


def make(optimizer):
    dt.manual_seed(3)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4))
    made = {
        "sgd": lambda p: dt.optim.SGD(p, lr=0.1),
        "momentum": lambda p: dt.optim.SGD(p, lr=0.1, momentum=0.9),
        "adam": lambda p: dt.optim.Adam(p, lr=0.01),
    }[optimizer]
    return model, made(model.parameters())


def schedule(optimizer, step):
    optimizer.lr = 0.05 / (1 + step)


def train_eager(model, optimizer, steps):
    losses = []
    for i in steps:
        schedule(optimizer, i)
        optimizer.zero_grad()
        loss = dt.cross_entropy(model(dt.tensor(X[i])), dt.tensor(Y[i]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_minimize(model, optimizer, steps):
    losses = []
    for i in steps:
        schedule(optimizer, i)
        loss = dt.cross_entropy(model(dt.tensor(X[i])), dt.tensor(Y[i]))
        optimizer.minimize(loss)
        losses.append(loss.item())
    return losses


def train_static(model, optimizer, steps, **options):
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", ("batch", 8)), g.placeholder("y", ("batch",), "int64")
        loss = dt.cross_entropy(model(x), y)
        step = optimizer.minimize(loss)
    program = g.compile([loss, step], **options)
    losses = []
    for i in steps:
        schedule(optimizer, i)
        value, nothing = program.run({"x": X[i], y: Y[i]})
        assert nothing is None
        losses.append(value.item())
    return losses


def train_hybrid(model, optimizer, steps, **options):
    loss_of = dt.compile(lambda x, y: dt.cross_entropy(model(x), y), **options)
    losses = []
    for i in steps:
        schedule(optimizer, i)
        loss = loss_of(dt.tensor(X[i]), Y[i])
        optimizer.minimize(loss)
        losses.append(loss.item())
    return losses


def train_whole_step(model, optimizer, steps):
    @dt.compile
    def step(x, y):
        loss = dt.cross_entropy(model(x), y)
        optimizer.minimize(loss)
        return loss

    losses = []
    for i in steps:
        schedule(optimizer, i)
        losses.append(step(X[i], Y[i]).item())
    return losses


STYLES = {
    "minimize": train_minimize,
    "static": train_static,
    "static-reference": lambda *a: train_static(*a, executor="reference", passes=()),
    "hybrid": train_hybrid,
    "hybrid-reference": lambda *a: train_hybrid(*a, executor="reference", passes=()),
    "whole-step": train_whole_step,
}


def state_of(model, optimizer):
    return {
        **model.state_dict(),
        **{f"optimizer.{k}": v for k, v in optimizer.state_dict().items()},
    }


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("style", STYLES)
def test_thirty_steps_in_a_style_equal_thirty_eager_ones(style, optimizer):
    model, opt = make(optimizer)
    expected = train_eager(model, opt, range(30))
    wanted = state_of(model, opt)
    model, opt = make(optimizer)
    assert STYLES[style](model, opt, range(30)) == expected
    assert_same_bits(state_of(model, opt), wanted)


def test_ten_eager_ten_static_ten_hybrid_equal_thirty_eager():
    model, opt = make("adam")
    expected = train_eager(model, opt, range(30))
    wanted = state_of(model, opt)
    model, opt = make("adam")
    losses = train_eager(model, opt, range(10))
    losses += train_static(model, opt, range(10, 20))
    losses += train_hybrid(model, opt, range(20, 30))
    assert losses == expected
    assert_same_bits(state_of(model, opt), wanted)
    assert (wanted["optimizer.steps"] == 30).all()


def test_the_test_can_fail():
    model, opt = make("adam")
    first = train_eager(model, opt, range(10))
    model, opt = make("adam")
    dt.manual_seed(4)
    assert train_eager(model, opt, range(10)) != first


def test_dropout_draws_the_same_numbers_in_every_style():
    x = np.ones((4, 5), np.float32)

    def draws(run):
        dt.manual_seed(7)
        return np.stack([run() for _ in range(3)])

    drop = nn.functional.dropout
    eager = draws(lambda: drop(dt.tensor(x), 0.5).numpy())
    with dt.static.Graph() as g:
        dropped = drop(g.placeholder("x", x.shape), 0.5)
    program = g.compile(dropped)
    static = draws(lambda: program.run({"x": x}))
    compiled = dt.compile(lambda v: drop(v, 0.5))
    hybrid = draws(lambda: compiled(dt.tensor(x)).numpy())
    assert (eager == static).all() and (eager == hybrid).all()
    assert not (eager[0] == eager[1]).all()
    assert set(np.unique(eager)) == {0.0, 2.0}


def test_eval_and_train_mode_retrace_a_compiled_module():
    model, _ = make("sgd")
    compiled = dt.compile(model)
    x = dt.tensor(X[0])
    model.eval()
    expected = model(x).detach().numpy()
    assert (compiled(x).detach().numpy() == expected).all()
    model.train()
    assert not (compiled(x).detach().numpy() == expected).all()
    model.eval()
    assert (compiled(x).detach().numpy() == expected).all()
    assert "2 traces" in repr(compiled)


def test_errors_have_the_same_words_in_every_style():
    a, b = np.ones((3, 4), np.float32), np.ones((5, 2), np.float32)

    def static():
        with dt.static.Graph() as g:
            return g.placeholder("a", a.shape) @ g.placeholder("b", b.shape)

    said = set()
    for run in (
        lambda: dt.matmul(a, b),
        lambda: dt.tensor(a) @ dt.tensor(b),
        static,
        lambda: dt.compile(dt.matmul)(dt.tensor(a), dt.tensor(b)),
    ):
        with pytest.raises(dt.errors.ShapeError) as caught:
            run()
        said.add(str(caught.value))
    assert said == {"matmul: inner dimensions must match, got (3, 4) @ (5, 2)"}
