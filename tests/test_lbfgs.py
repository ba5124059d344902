"""L-BFGS: against torch's, to a minimum, resumed, and what it refuses."""

import numpy as np
import pytest

import diptych as dt
from diptych import nn, optim
from diptych.errors import ArgumentError, DTypeError, TapeError

CASES = [
    {"lr": 0.1, "max_iter": 5},
    {"lr": 0.5, "max_iter": 4, "history_size": 2},
    {"max_iter": 5, "history_size": 3, "line_search_fn": "strong_wolfe"},
    {"max_iter": 10, "line_search_fn": "strong_wolfe"},
    {"max_eval": 7, "line_search_fn": "strong_wolfe"},
    {"lr": 10.0, "max_iter": 3, "line_search_fn": "strong_wolfe"},
    {"tolerance_grad": 1.0, "line_search_fn": "strong_wolfe"},
    {"tolerance_change": 0.5, "line_search_fn": "strong_wolfe"},
]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def rosenbrock(w, v, a):
    across, along = w[1:] - w[:-1] * w[:-1], 1 - w[:-1]
    off = v - 2
    return (100 * (across * across) + along * along).sum() + (off * off * off * off).sum()


def quadratic(w, v, a):
    return 0.5 * ((a @ w) * w).sum() - w.sum() + (v * v).sum()


def drawn(seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((6, 6))
    numbers = rng.standard_normal(6), rng.standard_normal((2, 3)), a @ a.T + np.eye(6)
    return [x.astype(dtype) for x in numbers]


def closure_of(function, w, v, a, counted=None):
    def closure():
        loss = function(w, v, a)
        loss.backward()
        if counted is not None:
            counted.append(loss.item())
        return loss

    return closure


@pytest.mark.parametrize("function", [rosenbrock, quadratic])
@pytest.mark.parametrize("options", CASES)
def test_steps_are_torchs(torch, function, options):
    for seed in range(3):
        w, v, a = drawn(seed)
        own = nn.Parameter(w.copy()), nn.Parameter(v.copy())
        others = [torch.tensor(x, requires_grad=True) for x in (w, v)]
        optimizer = optim.LBFGS(own, **options)
        reference = torch.optim.LBFGS(others, **options)
        found, expected = [], []
        closure = closure_of(function, *own, dt.tensor(a), found)
        theirs = closure_of(function, *others, torch.tensor(a), expected)

        def forgetting(reference=reference, theirs=theirs):
            reference.zero_grad()
            return theirs()

        for _ in range(3):
            assert optimizer.step(closure).item() == pytest.approx(
                reference.step(forgetting).item(), rel=1e-10, abs=1e-10
            )
            x, y = (
                np.concatenate([p.detach().numpy().ravel() for p in each]) for each in (own, others)
            )
            assert np.abs(x - y).max() <= 1e-10 * np.abs(y).max()
        # Every point that was tried, and not only the ends of the steps.
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-6), ("float32", 1e-2)])
def test_it_finds_the_minimum(dtype, tolerance):
    w, v, a = drawn(5, dtype)
    own = nn.Parameter(w), nn.Parameter(v)
    optimizer = optim.LBFGS(own, max_iter=200, tolerance_change=0, line_search_fn="strong_wolfe")
    optimizer.step(closure_of(quadratic, *own, dt.tensor(a)))
    exact = np.linalg.solve(a.astype("float64"), np.ones(6))
    assert np.abs(own[0].detach().numpy() - exact).max() < tolerance
    assert np.abs(own[1].detach().numpy()).max() < tolerance


@pytest.mark.parametrize("options", CASES[:4])
def test_a_resumed_optimizer_goes_on_bit_for_bit(options):
    w, v, a = drawn(1)
    own = nn.Parameter(w), nn.Parameter(v)
    optimizer = optim.LBFGS(own, **options)
    for _ in range(3):
        optimizer.step(closure_of(rosenbrock, *own, dt.tensor(a)))
    again = [nn.Parameter(p.storage.array.copy()) for p in own]
    resumed = optim.LBFGS(again, **options)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.state_dict()["steps"] >= 3
    for _ in range(3):
        losses = [
            each.step(closure_of(rosenbrock, *parts, dt.tensor(a))).item()
            for each, parts in ((optimizer, own), (resumed, again))
        ]
        assert losses[0] == losses[1]
    for p, o in zip(own, again):
        assert p.storage.array.tobytes() == o.storage.array.tobytes()
    for name, array in optimizer.state_dict().items():
        assert array.tobytes() == resumed.state_dict()[name].tobytes()


def test_a_parameter_without_a_gradient_stays():
    w, other = nn.Parameter([3.0]), nn.Parameter([5.0])
    optimizer = optim.LBFGS([w, other], line_search_fn="strong_wolfe")

    def closure():
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert abs(w.item()) < 1e-3 and other.item() == 5.0


def test_what_is_no_number_leaves_the_parameters():
    w = nn.Parameter(np.array([1.0, -1.0]))
    optimizer = optim.LBFGS([w], line_search_fn="strong_wolfe")

    def closure():
        loss = dt.log(w).sum()
        loss.backward()
        return loss

    with np.errstate(invalid="ignore"):
        assert np.isnan(optimizer.step(closure).item())
    assert w.tolist() == [1.0, -1.0]


def test_a_search_comes_back_from_where_there_is_no_number():
    w = nn.Parameter(np.array([2.0]))
    optimizer = optim.LBFGS([w], lr=30.0, line_search_fn="strong_wolfe")

    def closure():
        loss = (w - dt.log(w)).sum()
        loss.backward()
        return loss

    with np.errstate(invalid="ignore"):
        optimizer.step(closure)
    assert w.item() == pytest.approx(1.0, abs=1e-5)


def test_it_is_for_eager_code_alone():
    w = nn.Parameter([1.0])
    optimizer = optim.LBFGS([w])
    with dt.static.Graph():
        with pytest.raises(TapeError, match=r"minimize: LBFGS evaluates the loss anew .* step"):
            optimizer.minimize(dt.sum(w * w))
        with pytest.raises(TapeError, match="step: LBFGS evaluates the loss as often as its"):
            optimizer.step(lambda: None)
    with pytest.raises(TapeError, match="minimize: LBFGS evaluates the loss anew"):
        optimizer.minimize((w * w).sum())
    with pytest.raises(TapeError, match="apply: LBFGS evaluates the gradients anew"):
        optimizer.apply([dt.tensor([1.0])])
    with pytest.raises(TapeError, match=r"step: LBFGS needs a closure .* got none"):
        optimizer.step()
    with pytest.raises(TapeError, match="the closure must call backward"):
        optimizer.step(lambda: (w * w).sum())
    with pytest.raises(TapeError, match="minimize: LBFGS evaluates the loss anew"):
        dt.compile(lambda: optimizer.minimize((w * w).sum()))()
    assert w.item() == 1.0


def test_what_parameters_it_takes():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter([1.0])
    with pytest.raises(DTypeError, match=r"LBFGS takes parameters of one dtype, got .*32.*64"):
        optim.LBFGS([a, b])
    with pytest.raises(ArgumentError, match="LBFGS takes one group of parameters"):
        optim.LBFGS([{"params": [a]}, {"params": [b]}])
    optimizer = optim.LBFGS([a], lr=0.5)
    with pytest.raises(ArgumentError, match="LBFGS takes one group of parameters"):
        optimizer.add_param_group({"params": [b]})
    assert optimizer.parameters == [a]
    assert optim.ExponentialLR(optimizer, 0.5).step() is None and optimizer.lr == 0.25
