"""Images that a compiled forward pass hands to its backward pass, channels last."""

import numpy as np
import pytest

import diptych as dt


def random(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def planes(x, w):
    y = dt.relu(dt.conv2d(x, w, padding=1))
    return dt.sum(dt.tanh(dt.max_pool2d(y * y, 2)) * y[:, :, ::2, ::2])


def lines(x, w):
    y = dt.tanh(dt.conv1d(x, w, padding=1))
    return dt.mean(y * dt.sigmoid(y) + dt.max(y, axis=1, keepdims=True))


def spread(x, w):
    y = dt.tanh(dt.conv_transpose2d(x, w, stride=2))
    return dt.sum(y * dt.permute_dims(y, (0, 1, 3, 2)))


CASES = {
    "planes": (planes, (2, 3, 8, 6), (4, 3, 3, 3)),
    "lines": (lines, (3, 4, 9), (4, 4, 3)),
    "spread": (spread, (2, 3, 4, 4), (3, 5, 2, 2)),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def gradients(f, *arrays, order=1):
    leaves = [dt.tensor(a, requires_grad=True) for a in arrays]
    found = dt.grad(f(*leaves), leaves, create_graph=order > 1)
    if order > 1:
        found = dt.grad(sum(dt.sum(g * g) for g in found), leaves)
    return [g.detach().numpy() for g in found]


def assert_close(found, wanted):
    """Sums of many products: their error is one of the largest."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_are_those_of_eager_code(case, order):
    f, *shapes = case
    arrays = [random(*shape, seed=i) for i, shape in enumerate(shapes)]
    compiled = dt.compile(f, executor="native")
    for _ in range(2):
        for a, b in zip(
            gradients(f, *arrays, order=order), gradients(compiled, *arrays, order=order)
        ):
            assert_close(b, a)


def test_sizes_may_be_symbols(case):
    f, x, w = case
    compiled = dt.compile(f, executor="native")
    for images in (2, 3, 5):
        arrays = [random(images, *x[1:]), random(*w, seed=1)]
        for a, b in zip(gradients(f, *arrays), gradients(compiled, *arrays)):
            assert_close(b, a)


def test_they_are_handed_over_with_channels_last():
    compiled = dt.compile(planes, executor="native")
    x, w = random(2, 3, 8, 6), random(4, 3, 3, 3, seed=1)
    gradients(compiled, x, w)
    [entry] = compiled._all()
    [forward] = entry.function.forwards.values()
    [pull] = forward.pulls.values()
    handed = [v.shape for v in pull.program.graph.placeholders.values()]
    assert (2, 8, 6, 4) in handed and (2, 4, 8, 6) not in handed
