"""Errors of kernels within compiled code name the line of the user's program."""

import inspect

import numpy as np
import pytest

import diptych as dt
from diptych.errors import LinAlgError, RangeError

EXECUTORS = ["reference", "planned", "native"]


def takes(x, i):
    y = x * 2
    z = dt.take(y, i, axis=0)  # here
    return z + 1


def embeds(x, i):
    w = dt.reshape(x, (3, 1))
    return dt.embedding(i, w).sum()  # here


def puts(x, i):
    y = x * 2
    y[i] = 0.0  # here
    return y


def within_a_function(x, i):
    def taken(v):
        return dt.take(v, i, axis=0)  # here

    return taken(x * 2) + 1


def within_a_loop(x, i):
    total = dt.zeros(())
    for t in range(i.shape[0]):
        total = total + dt.take(x, i[t], axis=0)  # here
    return total


def within_loops(x, i):
    total = dt.zeros(())
    for row in dt.stack([i, i]):
        for at in row:
            total = total + dt.take(x, at, axis=0)  # here
    return total


def within_a_branch(x, i):
    y = x * 2
    return dt.cond(
        y.sum() > -100,
        lambda: dt.take(y, i, axis=0),  # here
        lambda: i * 1.0,
    )


def solves(x, i):
    a = dt.reshape(x, (3, 1)) * x
    b = dt.linalg.inv(a)  # here
    return b.sum()


def factors(x, i):
    a = dt.reshape(x, (3, 1)) * x * -1.0
    return dt.linalg.cholesky(a).sum()  # here


class Taking(dt.nn.Module):
    def forward(self, x, i):
        return dt.take(x, i, axis=0)  # here


def line_of(f):
    """The file and line that is marked."""
    source = Taking.forward if isinstance(f, Taking) else f
    lines, first = inspect.getsourcelines(source)
    [place] = [n for n, line in enumerate(lines) if line.rstrip().endswith("# here")]
    return f"{__file__}:{first + place}"


CASES = [
    (f, RangeError)
    for f in (takes, embeds, puts, within_a_function, within_a_loop, within_loops, within_a_branch,
              Taking())
] + [(solves, LinAlgError), (factors, LinAlgError)]  # fmt: skip


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    ("f", "kind"), CASES, ids=[getattr(f, "__name__", "Taking") for f, _ in CASES]
)
@pytest.mark.parametrize("recorded", [False, True])
def test_an_error_names_the_users_line_once(f, kind, executor, recorded):
    x = dt.tensor(np.array([1.0, 2.0, 4.0], np.float32), requires_grad=recorded)
    i = dt.tensor(np.array([0, 2, 1, 7]))
    with pytest.raises(kind) as eager:
        f(x.detach(), i)
    compiled = dt.compile(f, executor=executor, gate=False)
    with pytest.raises(kind) as caught:
        compiled(x, i)
    assert str(caught.value) == str(eager.value)
    said = [note for note in caught.value.__notes__ if line_of(f) in note]
    assert len(said) == 1 and "made at" in said[0]
    assert len(caught.value.__notes__) == 1 or f in (within_a_loop, within_loops, within_a_branch)


def refuses(x):
    raise ValueError("not these")


def refuses_when_differentiated(x):
    if x.requires_grad:
        raise ValueError("not these")
    return x * 1


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_python_function_that_raises_is_named_with_the_line_that_calls_it(executor):
    def f(x, function):
        y = dt.tanh(x)
        return dt.hybrid.call_python(function, y, like=y).sum()  # here

    compiled = dt.compile(f, executor=executor, gate=False)
    x = dt.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="not these") as forward:
        compiled(x, refuses)
    loss = compiled(x, refuses_when_differentiated)
    with pytest.raises(ValueError, match="not these") as backward:
        loss.backward()
    for caught, name in ((forward, "refuses"), (backward, "refuses_when_differentiated")):
        [note] = caught.value.__notes__
        assert note.startswith(f"in {name} (") and note.endswith(line_of(f))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_want_of_memory_names_the_line_of_the_largest_array(executor):
    def f(x):
        y = dt.broadcast_to(dt.reshape(x, (3, 1, 1)), (3, 10**7, 10**7))
        return dt.sort(y, axis=2).sum()  # here

    with pytest.raises(MemoryError) as caught:
        dt.compile(f, executor=executor, gate=False)(dt.ones((3,)))
    assert [line_of(f) in note for note in caught.value.__notes__] == [True]
