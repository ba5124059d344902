"""Whole training steps within `dt.compile`: backward, the optimiser and the gradients it leaves."""

import numpy as np
import pytest

import diptych as dt
from diptych.errors import GraphError, TapeError
from diptych.graphs.kernels import Recorder, recording
from diptych.nn import functional as F

EXECUTORS = ["reference", "planned", "native"]


@pytest.fixture(params=EXECUTORS)
def executor(request):
    return request.param


def batches(count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = rng.standard_normal((6, 4)).astype(np.float32)
        yield dt.tensor(x), dt.tensor(rng.integers(0, 3, 6))


def classifier(*between):
    dt.manual_seed(3)
    return dt.nn.Sequential(dt.nn.Linear(4, 5), *between, dt.nn.Tanh(), dt.nn.Linear(5, 3))


def clearing_first(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def clearing_last(model, optimizer):
    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def never_clearing(model, optimizer):
    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def clipping(model, optimizer):
    def step(x, y):
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        norm = dt.optim.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        return loss + 0.0 * norm

    return step


def two_losses(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        logits = model(x)
        F.cross_entropy(logits, y).backward(retain_graph=True)
        (logits * logits).mean().backward(0.5)
        for p in model.parameters():
            p.grad *= 2.0
            p.grad = p.grad + 0.01 * p.detach()
        optimizer.step()
        return logits.sum()

    return step


STEPS = [clearing_first, clearing_last, never_clearing, clipping, two_losses]
OPTIMIZERS = {
    "sgd": lambda p: dt.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: dt.optim.Adam(p, lr=0.01),
}


def train(make, wrap, optimizer="adam", model=classifier, steps=4):
    net = model()
    step = wrap(make(net, OPTIMIZERS[optimizer](net.parameters())))
    losses = [step(x, y).item() for x, y in batches(steps)]
    weights = [p.detach().numpy().copy() for p in net.parameters()]
    grads = [None if p.grad is None else p.grad.numpy().copy() for p in net.parameters()]
    state = [s.numpy().copy() for _, s in net.named_storages()]
    return losses, weights, grads, state


def compare(ours, theirs, exact):
    assert [g is None for g in ours[2]] == [g is None for g in theirs[2]]
    for a, b in zip(ours, theirs, strict=True):
        for x, y in zip(a, b, strict=True):
            if exact:
                np.testing.assert_array_equal(x, y)
            elif x is not None:
                np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("make", STEPS, ids=lambda s: s.__name__)
def test_a_step_leaves_what_eager_leaves(make, optimizer, executor):
    ours = train(make, lambda f: dt.compile(f, executor=executor), optimizer)
    theirs = train(make, lambda f: f, optimizer)
    compare(ours, theirs, executor == "reference")


def with_state():
    return classifier(dt.nn.BatchNorm1d(5), dt.nn.Dropout(0.3))


@pytest.mark.parametrize("make", [clearing_first, clearing_last], ids=lambda s: s.__name__)
def test_statistics_and_random_numbers_move_on(make, executor):
    # A bias before batch_norm has no gradient but for rounding, which Adam would scale up.
    ours = train(make, lambda f: dt.compile(f, executor=executor), "sgd", with_state)
    theirs = train(make, lambda f: f, "sgd", with_state)
    compare(ours, theirs, executor == "reference")


@pytest.mark.parametrize("make", STEPS, ids=lambda s: s.__name__)
def test_certificates_are_eagers(make):
    found = []
    for wrap in (lambda f: f, lambda f: dt.compile(f, executor="reference", passes=())):
        net = classifier()
        step = wrap(make(net, dt.optim.SGD(net.parameters(), lr=0.1)))
        (x, y), *_ = batches(1)
        with recording(Recorder()) as seen:
            loss = step(x, y)
        grads = [p.grad.array for p in net.parameters() if p.grad is not None]
        found.append(seen.certificate([loss.array, *grads]))
    assert found[0] == found[1]


def test_gradients_add_up_over_calls(executor):
    def run(wrap):
        net = classifier()
        optimizer = dt.optim.SGD(net.parameters(), lr=0.1)

        @wrap
        def accumulate(x, y):
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            return loss

        @wrap
        def update():
            optimizer.step()
            optimizer.zero_grad()

        seen = []
        for i, (x, y) in enumerate(batches(6)):
            seen.append(accumulate(x, y).item())
            if i % 3 == 2:
                seen += [p.grad.numpy().copy() for p in net.parameters()]
                update()
                assert all(p.grad is None for p in net.parameters())
        return seen, [accumulate, update]

    ours, functions = run(lambda f: dt.compile(f, executor=executor))
    theirs, _ = run(lambda f: f)
    for a, b in zip(ours, theirs, strict=True):
        if executor == "reference":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
    assert "2 traces" in repr(functions[0]) and "1 traces" in repr(functions[1])


def test_a_gradient_from_outside_may_change_in_place(executor):
    w = dt.nn.Parameter([3.0, 4.0])
    (w * w).sum().backward()
    held = w.grad
    halve = dt.compile(lambda: w.grad.copy_(w.grad * 0.5), executor=executor)
    for expected in ([3.0, 4.0], [1.5, 2.0]):
        halve()
        assert w.grad is held and held.tolist() == expected


def test_leaves_among_the_arguments_get_gradients(executor):
    def f(x, y):
        (x * x * y).sum().backward()
        return x.grad * 1.0

    fast = dt.compile(f, executor=executor)
    found = []
    for function in (f, fast):
        x = dt.tensor([1.0, 2.0], requires_grad=True)
        outs = [function(x, dt.tensor([3.0, 1.0])).tolist() for _ in range(3)]
        found.append((outs, x.grad.tolist()))
    assert found[0] == found[1] and found[1][1] == [18.0, 12.0]
    with pytest.raises(TapeError, match="backward: within a compiled function it ends at leaves"):
        fast(dt.tensor([1.0, 2.0], requires_grad=True) * 2.0, dt.tensor([1.0, 1.0]))


def test_gradients_of_gradients_within_a_step(executor):
    def run(wrap):
        w = dt.nn.Parameter([0.5, -1.5])
        optimizer = dt.optim.SGD([w], lr=0.1)

        @wrap
        def step(x):
            optimizer.zero_grad()
            (g,) = dt.grad((dt.tanh(w) * x).sum(), w, create_graph=True)
            loss = (g * g).sum()
            loss.backward()
            optimizer.step()
            return loss

        return [step(dt.tensor([1.0, 2.0])).item() for _ in range(3)], w.tolist()

    ours = run(lambda f: dt.compile(f, executor=executor))
    theirs = run(lambda f: f)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)


def test_frozen_parameters_have_none(executor):
    net = classifier()
    next(net.parameters()).requires_grad_(False)
    optimizer = dt.optim.SGD(net.parameters(), lr=0.1)
    step = dt.compile(clearing_first(net, optimizer), executor=executor)
    before = next(net.parameters()).numpy().copy()
    for x, y in batches(2):
        step(x, y)
    first, *rest = net.parameters()
    assert first.grad is None and all(p.grad is not None for p in rest)
    np.testing.assert_array_equal(first.numpy(), before)


def test_a_learning_rate_and_weights_changed_between_calls_count(executor):
    net = classifier()
    optimizer = dt.optim.SGD(net.parameters(), lr=0.1)
    step = dt.compile(clearing_first(net, optimizer), executor=executor)
    (x, y), *_ = batches(1)
    step(x, y)
    before = [p.detach().numpy().copy() for p in net.parameters()]
    optimizer.lr = 0.0
    step(x, y)
    for p, old in zip(net.parameters(), before):
        np.testing.assert_array_equal(p.detach().numpy(), old)
    assert "1 traces" in repr(step)


# -- what is refused ---------------------------------------------------------------------------


def test_the_tape_is_used_up():
    w = dt.nn.Parameter([1.0])

    @dt.compile
    def twice(x):
        loss = (w * w * x).sum()
        loss.backward()
        loss.backward()

    @dt.compile
    def of_nothing(x):
        (x * 2.0).sum().backward()

    @dt.compile
    def once(x):
        loss = (w * w * x).sum()
        loss.backward()
        return loss

    with pytest.raises(TapeError, match="the tape's buffers are freed by the first backward"):
        twice(dt.tensor([1.0]))
    with pytest.raises(TapeError, match="backward: an output must have been recorded"):
        of_nothing(dt.tensor([1.0]))
    assert w.grad is None
    loss = once(dt.tensor([1.0]))
    assert w.grad.tolist() == [2.0]
    with pytest.raises(TapeError):
        loss.backward()


def test_a_failed_step_leaves_the_gradients():
    w = dt.nn.Parameter([1.0])
    (w * 3.0).sum().backward()
    optimizer = dt.optim.SGD([w], lr=0.1)
    fail = [True]

    @dt.compile
    def step(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        if fail:
            raise KeyError("once")
        optimizer.step()
        return loss

    with pytest.raises(KeyError):
        step(dt.tensor([2.0]))
    assert w.grad.tolist() == [3.0] and w.tolist() == [1.0]
    fail.clear()
    step(dt.tensor([2.0]))
    assert w.grad.tolist() == [2.0]


def test_backward_in_a_loop_is_refused():
    w = dt.nn.Parameter([1.0])

    @dt.compile
    def f(x):
        def body(carry, row):
            (w * row).sum().backward()
            return carry, None

        return dt.scan(body, x[0], x)[0]

    with pytest.raises(GraphError, match=r"backward: .* outside of loops and branches"):
        f(dt.ones((3, 1)))
    assert w.grad is None
