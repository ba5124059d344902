"""Eager: tensors, the tape, views, changes in place, and gradients of any order."""

import gc
import operator
import threading
import weakref

import numpy as np
import pytest

import diptych as dt
from diptych.errors import DTypeError, ShapeError, TapeError
from diptych.graphs.kernels import Recorder, recording


def leaf(*numbers):
    return dt.tensor(numbers, requires_grad=True)


def test_backward_adds_to_grad():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_gradients_of_gradients_six_times_over_a_norm():
    # |x| and its derivatives along the line x = (3 t, 4 t) are known: 5 t, 5, 0, 0, ...
    # Off the line they are checked against the same in one variable: sqrt(a^2 + t^2).
    t = dt.tensor(2.0, dtype="float64", requires_grad=True)
    value = dt.sqrt(9.0 + t * t)
    found = []
    for _ in range(6):
        (value,) = dt.grad(value, t, create_graph=True)
        found.append(value.item())
    a, s = 2.0, np.sqrt(13.0)
    expected = [
        a / s,
        9 / s**3,
        -27 * a / s**5,
        27 * (4 * a**2 - 9) / s**7,
        -135 * a * (4 * a**2 - 27) / s**9,
        405 * (8 * a**4 - 12 * 9 * a**2 + 81) / s**11,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_grad_takes_only_what_is_asked():
    x, y = leaf(1.0), leaf(2.0)
    (gx,) = dt.grad((x * y).sum(), x)
    assert gx.tolist() == [2.0] and x.grad is None and y.grad is None


def test_unwanted_operands_are_neither_saved_nor_differentiated():
    x, w = dt.ones((2, 3)), dt.tensor(np.ones((3, 4), np.float32), requires_grad=True)
    with recording(Names()) as seen:
        (x @ w).sum().backward()
    assert seen.names.count("matmul") == 2


class Names(Recorder):
    """Remembers which operators were launched."""

    def __init__(self):
        super().__init__()
        self.names = []

    def note(self, bound, reads, results):
        self.names.append(bound.op.name)
        super().note(bound, reads, results)


def test_an_intermediate_input_of_grad():
    x = leaf(3.0)
    y = x * x
    (gy,) = dt.grad((y * y).sum(), y)
    assert gy.tolist() == [18.0]


def test_a_chain_of_many_nodes_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0]


def test_backward_twice_is_an_error_unless_retained():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(TapeError, match="sum: the tape's buffers are freed"):
        y.backward()


def test_no_grad_and_detach_do_not_record():
    x = leaf(1.0)
    with dt.no_grad():
        assert not (x * 2).requires_grad
        with dt.enable_grad():
            assert (x * 2).requires_grad
    assert not x.detach().requires_grad
    assert (x.detach() * 2).is_leaf


def test_no_grad_is_per_thread():
    x = leaf(1.0)
    seen = []
    with dt.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_retain_grad_keeps_an_inner_gradient():
    x = leaf(1.0)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0]


def test_grad_fn_and_next_functions_walk_the_tape():
    x = leaf(1.0)
    y = (x * 2).sum()
    assert y.grad_fn.name == "sum"
    (product, index), *_ = y.grad_fn.next_functions
    assert product.name == "multiply" and index == 0
    assert repr(product.next_functions[0][0]) == "<accumulate grad>"
    assert product.next_functions[1] == (None, 0)


def test_leaf_gradients_never_share_memory():
    x, y = leaf(1.0), leaf(1.0)
    (x + y).sum().backward()
    x.grad += 1
    assert y.grad.tolist() == [1.0]


# -- in place --------------------------------------------------------------------------------


def test_an_in_place_change_of_a_saved_value_is_found():
    x = leaf(1.0)
    y = x * 2
    z = (y * y).sum()
    with dt.no_grad():
        y += 1
    with pytest.raises(TapeError, match="multiply: a value saved for the gradient must not change"):
        z.backward()


def test_an_in_place_change_of_a_saved_result_is_found():
    x = leaf(1.0)
    y = dt.tanh(x)
    z = y.sum()
    y *= 2
    with pytest.raises(TapeError, match="tanh: a value saved"):
        z.backward()


def test_an_in_place_change_of_saved_integers_is_found():
    values, indices = dt.topk(leaf(3.0, 1.0, 2.0), 2)
    indices[0] = 1
    with pytest.raises(TapeError, match="topk: a value saved"):
        values.sum().backward()


def test_in_place_results_are_recorded():
    x = leaf(1.0, 2.0)
    y = x * 1
    y += x
    y[0] = 5.0
    assert y.tolist() == [5.0, 4.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0]


def test_a_recording_leaf_cannot_change_in_place():
    x = leaf(1.0)
    with pytest.raises(TapeError, match="add: a leaf that records"):
        x += 1
    with dt.no_grad():
        x += 1
    assert x.tolist() == [2.0]


def test_a_change_of_a_view_changes_its_base_and_the_saved_check_sees_it():
    x = dt.tensor([1.0, 2.0, 3.0])
    view = x[1:]
    view += 10
    assert x.tolist() == [1.0, 12.0, 13.0]
    w = leaf(1.0, 1.0, 1.0)
    product = (x * w).sum()
    view *= 0
    with pytest.raises(TapeError, match="multiply: a value saved"):
        product.backward()


def test_a_view_of_a_changed_base_cannot_record_stale_history():
    x = leaf(1.0, 2.0)
    y = x * 1
    view = y[:1]
    y += 1
    with pytest.raises(TapeError, match="view: its base must not change"):
        view * 2


@pytest.mark.parametrize("change", [lambda v: operator.imul(v, 2), lambda v: v.__setitem__(0, 7)])
def test_a_stale_view_neither_changes_nor_becomes_fresh(change):
    base, x = dt.zeros((2,)), leaf(1.0, 2.0)
    view = base[:1]
    base[:] = x * 3
    with pytest.raises(TapeError, match="view: its base must not change"):
        change(view)
    assert base.tolist() == [3.0, 6.0]
    with dt.no_grad():
        change(view)
    with pytest.raises(TapeError, match="view: its base must not change"):
        view * 2


def test_an_in_place_change_of_another_shape_is_refused():
    x = dt.tensor([1.0, 2.0])
    with pytest.raises(ShapeError):
        x += dt.ones((3, 2))
    assert x.tolist() == [1.0, 2.0]


# -- conversion ------------------------------------------------------------------------------


def test_numpy_and_back_share_memory():
    array = np.zeros(3, np.float32)
    x = dt.from_numpy(array)
    array[0] = 1
    assert x.tolist() == [1.0, 0.0, 0.0]
    assert x.numpy() is array
    assert dt.asarray(array).numpy() is array
    assert dt.tensor(array).numpy() is not array


def test_numpy_of_a_recording_tensor_is_an_error():
    with pytest.raises(TapeError, match="numpy: the tensor must not record"):
        leaf(1.0).numpy()


@pytest.mark.parametrize("data", ["a", [[1.0], [1.0, 2.0]], [None], {"a": 1}])
def test_data_that_are_no_numbers(data):
    with pytest.raises(DTypeError):
        dt.tensor(data)


def test_requires_grad_of_integers():
    with pytest.raises(DTypeError, match="only floats have gradients"):
        dt.tensor([1, 2], requires_grad=True)


def test_arrays_on_the_left_give_way_to_tensors():
    x = leaf(1.0, 2.0)
    y = np.array([3.0, 4.0], np.float32) * x
    assert isinstance(y, dt.Tensor) and y.requires_grad


@pytest.mark.parametrize(
    "text, tensor",
    [
        ("tensor([1., 2.])", lambda: dt.tensor([1.0, 2.0])),
        ("tensor(1)", lambda: dt.tensor(1)),
        ("tensor([], dtype=float64)", lambda: dt.zeros((0,), dtype="float64")),
        ("tensor([1.], requires_grad=True)", lambda: leaf(1.0)),
        ("tensor([2.], grad_fn=<multiply backward>)", lambda: leaf(1.0) * 2),
    ],
)
def test_repr(text, tensor):
    assert repr(tensor()) == text


def test_backward_of_what_was_not_recorded():
    with pytest.raises(TapeError, match="backward: an output must have been recorded"):
        dt.tensor(1.0).backward()
    with pytest.raises(TapeError, match="outputs without a cotangent must be scalars"):
        (leaf(1.0, 2.0) * 2).backward()


def test_an_input_that_does_not_reach():
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(TapeError, match="every input must reach the outputs, got input 1"):
        dt.grad((x * 2).sum(), [x, y])
    assert dt.grad((x * 2).sum(), [x, y], allow_unused=True)[1] is None


def test_cuda_without_a_device():
    if dt.cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(dt.errors.DeviceError, match="device: cuda:0 needs"):
        dt.tensor([1.0]).cuda()
    with pytest.raises(dt.errors.DeviceError, match="must be 'cpu'"):
        dt.tensor([1.0]).to("tpu")


@pytest.mark.cuda
def test_cuda_round_trip():
    x = dt.tensor([1.0, 2.0]).cuda()
    assert (x * 2).cpu().tolist() == [2.0, 4.0]


# -- what is held, freed and shared ----------------------------------------------------------


def test_a_view_of_a_base_that_took_a_recorded_value_is_stale():
    base = dt.zeros((2,))
    view = base[0:1]
    x = leaf(3.0)
    base[0:1] = x
    with pytest.raises(TapeError, match="view: its base must not change"):
        view * x
    with dt.no_grad():
        w = leaf(1.0, 2.0)
        seen = w[:1]
        w += 1
    assert (seen * x).tolist() == [6.0]  # taken without recording: it has no history to miss


def test_backward_in_two_stretches():
    x = leaf(2.0)
    h = x * x
    (g,) = dt.grad((h * h).sum(), h)
    h.backward(g)
    assert x.grad.tolist() == [32.0]


def test_seeds_may_be_numbers_and_are_not_kept():
    x = leaf(1.0)
    (x * 1).sum().backward(2.0)
    assert x.grad.tolist() == [2.0]
    x.grad = None
    seed = dt.tensor([1.0], dtype="float64")
    (x + 1).backward(seed)
    assert x.grad.dtype == np.float32
    seed = dt.tensor([1.0])
    x.grad = None
    (x + 1).backward(seed)
    x.grad *= 0
    assert seed.tolist() == [1.0]
    with pytest.raises(ShapeError, match="a cotangent must have its output's shape"):
        (x + 1).backward(dt.ones((2,)))


def test_retained_gradients_add_up_and_share_nothing():
    x = leaf(1.0)
    y = x + 2
    y.retain_grad()
    (y * 3).sum().backward(retain_graph=True)
    x.grad *= 0
    assert y.grad.tolist() == [3.0]
    y.backward(dt.ones((1,)))
    assert y.grad.tolist() == [4.0]


def test_training_leaves_no_cycles_behind():
    w = leaf(1.0, 2.0)

    def step():
        y = w * w
        y.retain_grad()
        y.register_hook(lambda g: g)
        y.sum().backward()

    for _ in range(5):  # what is worked out once for all later steps
        step()
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            step()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_loss_that_is_kept_keeps_no_numbers_that_views_have_shared():
    y = dt.tanh(leaf(1.0, 2.0))
    loss = y.reshape((1, 2)).sum()
    loss.backward()
    numbers = weakref.ref(y.array)
    del y
    assert numbers() is None
    assert loss.grad_fn.saved is None


def test_grad_modes_as_statements_and_decorators():
    x = leaf(1.0)
    dt.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    dt.set_grad_enabled(True)

    @dt.no_grad
    def bare(v):
        return v * 2

    @dt.no_grad()
    def called(v):
        return v * 2

    assert not bare(x).requires_grad and not called(x).requires_grad
    assert dt.is_grad_enabled()


def test_every_in_place_operator_changes_what_all_names_see():
    x = dt.tensor([2.0, 3.0])
    y = x
    y **= 2
    assert x.tolist() == [4.0, 9.0]
    flags = dt.tensor([True, False])
    same = flags
    same |= dt.tensor([True, True])
    same &= dt.tensor([False, True])
    assert flags.tolist() == [False, True]
    matrix = dt.tensor([[0.0, 1.0], [1.0, 0.0]])
    same = matrix
    same @= dt.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert matrix.tolist() == [[3.0, 4.0], [1.0, 2.0]]


def test_read_only_memory_cannot_change():
    spread = dt.broadcast_to(dt.tensor([1.0]), (3,))
    with pytest.raises(TapeError, match="add: only writeable memory can change in place"):
        spread += 1


def test_views_of_memory_that_no_array_owns_are_views():
    x = dt.asarray(np.frombuffer(bytearray(8), np.float32))
    w = leaf(1.0, 2.0)
    product = (x * w).sum()
    view = x[:1]
    view += 1
    assert x.tolist() == [1.0, 0.0]
    with pytest.raises(TapeError, match="multiply: a value saved"):
        product.backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: operator.iadd(x, y),
        lambda x, y: operator.isub(x, 1.5),
        lambda x, y: operator.imul(x, x),
        lambda x, y: operator.itruediv(x, y[0]),
        lambda x, y: operator.ipow(x, 2),
        lambda x, y: operator.iadd(x, x[::-1]),
        lambda x, y: operator.iadd(x[1:], x[:-1]),
        lambda x, y: operator.imul(x[:, ::2], y[:, ::2]),
        lambda x, y: operator.imatmul(x, y),
    ],
)
def test_changes_in_place_give_the_bits_of_new_results(change):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((300, 300)).astype(np.float32) for _ in range(2))
    x, y = dt.from_numpy(a.copy()), dt.from_numpy(b)
    recorded = dt.from_numpy(a.copy())
    with recording(Recorder()):  # observed, a result is made and then copied
        change(recorded, y)
    change(x, y)
    assert x.numpy().tobytes() == recorded.numpy().tobytes()
    assert x.storage.version == recorded.storage.version


def test_a_change_in_place_that_is_refused_writes_nothing():
    x = dt.tensor([1, 2, 3])
    for wrong in (lambda: operator.iadd(x, 0.5), lambda: operator.ipow(x, dt.tensor([1, -1, 1])),
                  lambda: operator.iadd(x, dt.ones((2, 3), dtype=dt.int64))):  # fmt: skip
        with pytest.raises(dt.errors.DiptychError):
            wrong()
        assert x.tolist() == [1, 2, 3] and x.storage.version == 0


SLICES = {
    "apart": lambda x: [x[:, 4:6], x[:, 2:4], x[:, 0:1]],
    "all": lambda x: [x[:, 0:2], x[:, 2:4], x[:, 4:6]],
    "one": lambda x: [x[1:3]],
    "rows": lambda x: [x[0], x[1], x[2], x[3]],
    "elements": lambda x: [x[0, 1], x[1, 1], x[3, 5]],
    "of some rows": lambda x: [x[0:2, 0:3], x[2:4, 3:6]],
    "that overlap": lambda x: [x[:, 0:4], x[:, 2:6]],
    "between": lambda x: [x[:, 0:2], x[:, 4:6], x[:, 2:4]],
    "of two axes": lambda x: [x[0], x[:, 1:2]],
    "with steps": lambda x: [x[::2], x[1::2]],
    "with a new axis": lambda x: [x[None, 0:2], x[2:4, None]],
    "and all": lambda x: [x[0:1], x * 1.0, x[1:4]],
    "empty": lambda x: [x[0:0], x[0:2]],
}


@pytest.mark.parametrize("name", SLICES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("is_leaf", [True, False])
def test_gradients_of_slices_have_the_bits_of_a_sum(name: str, dtype: str, is_leaf: bool) -> None:
    numbers = np.random.default_rng(0).normal(size=(4, 6)).astype(dtype)

    def gradient() -> np.ndarray:
        x = dt.tensor(numbers, requires_grad=True)
        slices = SLICES[name](x if is_leaf else x * 1.0)
        cotangents = [
            dt.asarray(np.where(s.array < 0, -0.0, s.array).astype(dtype)) for s in slices
        ]
        [found] = dt.grad(slices, [x], cotangents)
        return found.numpy()

    with recording(Recorder()):  # every slice's gradient is computed, and added, by itself
        expected = gradient()
    assert gradient().tobytes() == expected.tobytes()
