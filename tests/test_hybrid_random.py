"""Random functions compute the same compiled as eagerly, gradients too."""

import numpy as np
import pytest
from random_functions import ScriptWriter, random_function

import diptych as dt

RNG = np.random.default_rng(0)
XS = [RNG.uniform(-1, 1, (steps, 3)) for steps in (4, 6)]
H = RNG.uniform(-1, 1, 3)


def run(f, xs):
    xs, h = dt.tensor(xs, requires_grad=True), dt.tensor(H, requires_grad=True)
    y = f(xs, h)
    gradients = dt.grad((y * y).sum(), [xs, h], allow_unused=True)
    return [y.detach().numpy(), *(None if g is None else g.numpy() for g in gradients)]


def check(seed, executor, passes=None):
    f, text, scope = random_function(seed)
    compiled = dt.compile(f, executor=executor, passes=passes)
    for scale, xs in ((0.7, XS[0]), (1.1, XS[0]), (0.7, XS[1])):
        scope["scale"] = scale
        for a, b in zip(run(f, xs), run(compiled, xs), strict=True):
            assert (a is None) == (b is None), text
            assert a is None or np.allclose(a, b, rtol=1e-9, atol=1e-12), text


def check_script(seed, executor):
    """Scripted, results are those of Python: with the kernels of eager code to the last bit."""
    f, text, scope = random_function(seed, ScriptWriter)
    scripted = dt.hybrid.script(f, executor=executor)
    for scale, xs in ((0.7, XS[0]), (1.1, XS[0]), (-0.4, XS[0]), (0.7, XS[1])):
        scope["scale"] = scale
        wanted, found = run(f, xs), run(scripted, xs)
        if executor == "reference":
            assert np.array_equal(wanted[0], found[0]), text
        for a, b in zip(wanted, found, strict=True):
            # Where the branch that runs does not use something, its gradient is 0.
            a, b = (0.0 if x is None else x for x in (a, b))
            assert np.allclose(a, b, rtol=1e-9, atol=1e-12), text


@pytest.mark.parametrize("seed", range(30))
def test_a_random_function(seed):
    check(seed, "planned")


@pytest.mark.parametrize("seed", range(60, 64))
def test_a_random_function_natively(seed):
    check(seed, "native")


@pytest.mark.parametrize("seed", range(70, 80))
def test_a_random_function_by_the_kernels_of_eager_code(seed):
    check(seed, "reference", ["roll"])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 2100))
def test_two_thousand_random_functions(seed):
    check(seed, "planned")


@pytest.mark.parametrize("seed", range(20))
def test_a_random_script(seed):
    check_script(seed, "reference")


@pytest.mark.parametrize("seed", range(30, 40))
def test_a_random_script_planned(seed):
    check_script(seed, "planned")


@pytest.mark.parametrize("seed", range(50, 53))
def test_a_random_script_natively(seed):
    check_script(seed, "native")


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 2100))
def test_two_thousand_random_scripts(seed):
    check_script(seed, "reference")
