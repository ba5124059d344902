"""The Array API namespace: constants, dtypes as data, conversion, and memory shared by DLPack."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.errors import ArgumentError, DeviceError, DTypeError, ShapeError, TapeError
from diptych.graphs.dtypes import DTYPES

_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")


def test_the_namespace_is_that_of_every_operand() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
    for operand in (dt.tensor([1.0]), x, dt.Storage([1.0]), dt.Parameter(np.zeros(2))):
        assert operand.__array_namespace__() is dt
        assert all(operand.__array_namespace__(api_version=v) is dt for v in _VERSIONS)
        with pytest.raises(ArgumentError, match=r"api_version must be one of 2021.12, .* '1999'"):
            operand.__array_namespace__(api_version="1999")
    assert dt.__array_api_version__ == _VERSIONS[-1]


def test_constants() -> None:
    assert (dt.e, dt.pi, dt.inf, dt.newaxis) == (math.e, math.pi, math.inf, None)
    assert math.isnan(dt.nan)


def test_every_name_that_is_offered_is_there() -> None:
    assert all(hasattr(dt, name) for name in dt.__all__)
    assert all(getattr(dt, name) is dtype for name, dtype in DTYPES.items())
    assert not {"bool", "abs", "sum"} & set(dt.__all__)


# -- dtypes ------------------------------------------------------------------------------------


def test_a_dtype_casts_to_what_they_promote_to() -> None:
    for one, other in product(DTYPES.values(), DTYPES.values()):
        try:
            expected = dt.result_type(one, other) == other
        except DTypeError:
            expected = False
        assert dt.can_cast(one, other) is expected, (one, other)
        assert dt.can_cast(dt.zeros(2, dtype=one), other) is expected
    with pytest.raises(DTypeError, match="dtype: must be one of"):
        dt.can_cast("object", "float32")
    with pytest.raises(DTypeError, match="dtype: must be one of"):
        dt.can_cast("float32", "object")


def test_the_result_type_is_that_of_the_sum() -> None:
    for one, other in (("int8", "int16"), ("float16", "bfloat16"), ("complex64", "float64")):
        x, y = dt.zeros(2, dtype=one), dt.zeros(2, dtype=other)
        expected = (x + y).dtype
        assert dt.result_type(one, other) == dt.result_type(x, y.array) == expected
    for number in (True, 1, 1.0, 1j):
        assert dt.result_type(x, number) == (x + number).dtype
        assert dt.result_type(number, "int8") == (dt.zeros(2, dtype="int8") * number).dtype
    assert dt.result_type(1, 2.0) == "float32"
    with pytest.raises(ArgumentError, match="result_type: there must be an array or a dtype"):
        dt.result_type()
    with pytest.raises(DTypeError, match="no integer dtype holds both"):
        dt.result_type("uint64", "int8")


KINDS = {
    "bool": {"bool"},
    "signed integer": {"int8", "int16", "int32", "int64"},
    "unsigned integer": {"uint8", "uint16", "uint32", "uint64"},
    "real floating": {"float16", "bfloat16", "float32", "float64"},
    "complex floating": {"complex64", "complex128"},
}
KINDS["integral"] = KINDS["signed integer"] | KINDS["unsigned integer"]
KINDS["numeric"] = KINDS["integral"] | KINDS["real floating"] | KINDS["complex floating"]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str) -> None:
    for name, dtype in DTYPES.items():
        assert dt.isdtype(dtype, kind) is (name in KINDS[kind])
        assert dt.isdtype(name, (kind, "bool")) is (name in KINDS[kind] | {"bool"})
        assert dt.isdtype(dtype, dtype) and dt.isdtype(dtype, (dtype, "bool"))
        assert not dt.isdtype(dtype, ())


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"kind must be one of bool, .* got 'floating'"):
        dt.isdtype("float32", "floating")


@pytest.mark.parametrize("name", sorted(KINDS["real floating"] | KINDS["complex floating"]))
def test_limits_of_floats(name: str) -> None:
    real = {"complex64": "float32", "complex128": "float64"}.get(name, name)
    for given in (name, DTYPES[name], dt.zeros(2, dtype=name)):
        info = dt.finfo(given)
        assert info.dtype == DTYPES[real]
        assert info.bits == 8 * DTYPES[real].itemsize
        one = np.ones((), DTYPES[real])
        assert float(one + np.asarray(info.eps, one.dtype)) == 1 + info.eps
        assert float(one + np.asarray(info.eps / 4, one.dtype)) == 1
        assert info.min == -info.max
        with np.errstate(over="ignore"):
            assert np.isinf((np.array(info.max, one.dtype) * 2).astype(float))
        assert float(np.array(info.smallest_normal, one.dtype)) == info.smallest_normal
        numbers = (info.eps, info.max, info.min, info.smallest_normal)
        assert all(type(x) is float for x in numbers)


@pytest.mark.parametrize("name", sorted(KINDS["integral"]))
def test_limits_of_integers(name: str) -> None:
    info = dt.iinfo(dt.zeros(2, dtype=name))
    signed = not name.startswith("u")
    assert (info.bits, info.dtype) == (8 * DTYPES[name].itemsize, DTYPES[name])
    assert info.max == 2 ** (info.bits - signed) - 1
    assert info.min == (-(2 ** (info.bits - 1)) if signed else 0)


def test_limits_of_others_are_refused() -> None:
    with pytest.raises(DTypeError, match="finfo: must be a float or complex dtype, got int32"):
        dt.finfo("int32")
    with pytest.raises(DTypeError, match="iinfo: must be an integer dtype, got bool"):
        dt.iinfo("bool")


def test_what_the_library_says_of_itself() -> None:
    info = dt.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64,
    }  # fmt: skip
    assert dt.zeros((1,) * 64).ndim == 64
    assert info.default_device() in info.devices()
    for device in info.devices():
        defaults = info.default_dtypes(device=device)
        assert defaults["real floating"] == dt.zeros(2).dtype
        assert defaults["integral"] == dt.arange(2).dtype
        assert defaults["complex floating"] == dt.full((2,), 1j).dtype
        assert defaults["indexing"] == dt.argmax(dt.zeros(2)).dtype
    assert info.dtypes().keys() == DTYPES.keys() - {"float16", "bfloat16"}
    assert info.dtypes(kind="bool") == {"bool": DTYPES["bool"]}
    assert info.dtypes(kind=("bool", "complex floating")).keys() == {
        "bool", "complex64", "complex128",
    }  # fmt: skip


# -- asarray -----------------------------------------------------------------------------------


def test_asarray_shares_memory_where_it_can() -> None:
    numbers, t = np.zeros(2), dt.tensor([1.0, 2.0])
    assert dt.asarray(t) is t
    for given in (numbers, memoryview(numbers)):
        assert np.shares_memory(dt.asarray(given).array, numbers)
        assert np.shares_memory(dt.asarray(given, copy=False).array, numbers)
        assert not np.shares_memory(dt.asarray(given, copy=True).array, numbers)
        assert not np.shares_memory(dt.asarray(given, dtype="float32").array, numbers)
    copied = dt.asarray(t, copy=True)
    assert not np.shares_memory(copied.array, t.array)
    assert dt.asarray(t, device="cpu") is t


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_arrays_of_other_classes_are_numbers_as_any(executor: str) -> None:
    given = np.matrix([[1.0, 2.0], [3.0, 4.0]], np.float32)  # whose rows are matrices
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2, 2))
    row = g.compile(x[0], executor=executor).run({"x": given})
    tensors = [make(given) for make in (dt.tensor, dt.asarray, dt.from_numpy, dt.Parameter)]
    tensors.append(dt.zeros((2, 2)) + given)
    for found in (row, *(t[0].detach().numpy() for t in tensors)):
        assert type(found) is np.ndarray and found.tolist() == [1.0, 2.0]
    assert np.shares_memory(dt.asarray(given, copy=False).array, given)


@pytest.mark.parametrize(
    "given, dtype",
    [([1.0], None), (2, None), (np.float32(1), None), (np.zeros(2), "float32"), (True, "int8")],
    ids=str,
)
def test_asarray_says_where_it_cannot(given: Any, dtype: Any) -> None:
    with pytest.raises(ArgumentError, match="asarray: a copy must be allowed, got copy=False"):
        dt.asarray(given, dtype=dtype, copy=False)
    with pytest.raises(ArgumentError, match="asarray: a copy must be allowed, got copy=False"):
        dt.asarray(dt.tensor([1.0]), dtype="float64", copy=False)


def test_numbers_are_not_rounded_on_the_way_to_a_dtype() -> None:
    for make in (dt.asarray, dt.tensor):
        assert make(0.1, dtype="float64").item() == 0.1
        assert make([0.1, 1], dtype="complex128").tolist() == [0.1, 1]
        assert make([2**63 + 1], dtype="uint64").tolist() == [2**63 + 1]
        assert make([2**53 + 1, 0], dtype="int64").tolist() == [2**53 + 1, 0]
        assert make(0.1).dtype == make([0.1, 1]).dtype == "float32"
        assert make(1).dtype == "int64"
        assert make(1j).dtype == "complex64"


@pytest.mark.parametrize(
    "data, dtype, match",
    [
        (300, "uint8", "numbers must fit the dtype uint8"),
        ([math.nan], "int32", "numbers must fit the dtype int32"),
        (1j, "float32", "numbers must fit the dtype float32"),
        ([[1], [1, 2]], "float32", "nested lists must be of equal length"),
        ("a", None, "data must be numbers"),
        ({}, None, "data must be numbers"),
        (np.array(["a"]), None, "dtype: must be one of"),
        (1.0, "object", "dtype: must be one of"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: Any, dtype: Any, match: str) -> None:
    for make in (dt.asarray, dt.tensor):
        with pytest.raises(DTypeError, match=match):
            make(data, dtype=dtype)


def test_gradients_flow_through_asarray() -> None:
    x = dt.tensor([1.0, 2.0], requires_grad=True)
    for y in (dt.asarray(x, dtype="float64"), dt.asarray(x, copy=True)):
        (g,) = dt.grad(dt.sum(y * y), x)
        assert g.tolist() == [2, 4]


def test_asarray_in_a_graph_is_a_constant() -> None:
    numbers = np.zeros(2, np.float32)
    state = dt.Storage([5.0])
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        assert dt.asarray(x) is x
        y = dt.asarray(numbers) + dt.asarray([1, 2], dtype=x.dtype) + x
        fetches = [y, dt.asarray(x, dtype="int32"), dt.asarray(state), dt.asarray(x, copy=True)]
    numbers[:] = 9
    program = g.compile(fetches)
    state.write(np.array([6.0]))
    found = program.run({"x": np.array([0.5, 1.5], np.float32)})
    assert [f.tolist() for f in found] == [[1.5, 3.5], [0, 1], [6.0], [0.5, 1.5]]
    doubled = dt.compile(lambda x: x * dt.asarray(2, dtype=x.dtype))
    assert doubled(dt.tensor([1.5])).tolist() == [3.0]


# -- conversion --------------------------------------------------------------------------------


def test_python_numbers() -> None:
    assert (int(dt.tensor(2.5)), float(dt.tensor(2)), complex(dt.tensor(1j))) == (2, 2.0, 1j)
    assert [10, 20, 30][dt.tensor(1)] == 20
    assert bool(dt.tensor(0.5)) is True
    assert range(dt.tensor(np.uint8(3))) == range(3)
    for wrong in (dt.tensor(1.0), dt.tensor(True)):
        with pytest.raises(DTypeError, match=f"index: must be an integer, got {wrong.dtype}"):
            range(wrong)
    for convert in (int, float, complex, bool):
        with pytest.raises(ShapeError, match=r"item: must have one element, got shape \(2,\)"):
            convert(dt.tensor([1, 2]))


def test_numpy_arrays() -> None:
    x = dt.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.array)
    assert np.shares_memory(np.array(x, copy=False), x.array)
    assert not np.shares_memory(np.array(x), x.array)
    assert np.asarray(x, np.float64).dtype == "float64"
    with pytest.raises(ArgumentError, match="allowed for another dtype, got float32"):
        np.array(x, np.float64, copy=False)
    with pytest.raises(TapeError, match="numpy: the tensor must not record"):
        np.asarray(x.requires_grad_())


def test_devices() -> None:
    x = dt.tensor([1.0])
    assert x.to_device("cpu") is x.to_device(x.device) is x
    assert x.device == dt.Device.of("cpu")
    with pytest.raises(ArgumentError, match="to_device: stream must be None, got 1"):
        x.to_device("cpu", stream=1)
    with pytest.raises(DeviceError, match="device: must be 'cpu'"):
        x.to_device("tpu")
    with pytest.raises(DeviceError, match="device: must be 'cpu'"):
        dt.asarray(x, device="tpu")


# -- DLPack ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in DTYPES if n != "bfloat16"])
def test_numpy_shares_memory_both_ways(name: str) -> None:
    x = dt.ones((2, 3), dtype=name)[:, ::2]
    shown = np.from_dlpack(x)
    assert (shown.dtype, shown.shape, shown.strides) == (x.dtype, x.shape, x.array.strides)
    assert np.shares_memory(shown, x.array)
    back = dt.from_dlpack(shown)
    assert np.shares_memory(back.array, x.array)
    shown[0, 0] = 0
    assert not x.array[0, 0] and not back.array[0, 0]


@pytest.mark.parametrize("name", [n for n in DTYPES if n not in ("uint16", "uint32", "uint64")])
def test_torch_shares_memory_both_ways(name: str) -> None:
    torch = pytest.importorskip("torch")
    x = dt.ones((2, 3), dtype=name)
    shown = torch.from_dlpack(x)
    assert str(shown.dtype) == f"torch.{name}"
    shown[0, 0] = 0
    assert not x.array[0, 0] and x.array[0, 1]
    back = dt.from_dlpack(shown.T)
    assert (back.dtype, back.shape) == (x.dtype, (3, 2))
    back[1, 1] = 0
    assert not shown[1, 1] and not x.array[1, 1]
    assert float(x.array.sum().real) == 4


def test_copies_are_made_when_they_are_asked_for() -> None:
    numbers = np.zeros(3)
    assert np.shares_memory(dt.from_dlpack(numbers, copy=False).array, numbers)
    assert np.shares_memory(dt.from_dlpack(numbers, device="cpu").array, numbers)
    assert not np.shares_memory(dt.from_dlpack(numbers, copy=True).array, numbers)
    x = dt.tensor([1.0, 2.0])
    assert not np.shares_memory(np.from_dlpack(x, copy=True), x.array)
    assert np.shares_memory(np.from_dlpack(x, device="cpu", copy=False), x.array)
    assert x.__dlpack_device__() == (1, 0)


def test_read_only_memory_stays_so() -> None:
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    x = dt.from_dlpack(fixed)
    with pytest.raises(TapeError, match="only writeable memory can change in place"):
        x[0] = 1
    assert not np.from_dlpack(x).flags.writeable
    with pytest.raises(BufferError):
        x.__dlpack__()  # an importer of before 1.0 cannot be told


def test_what_cannot_be_exchanged_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TapeError, match="dlpack: the tensor must not record"):
        np.from_dlpack(dt.tensor([1.0], requires_grad=True))
    with pytest.raises(DTypeError, match="must be an array that knows DLPack, got int"):
        dt.from_dlpack(3)
    with pytest.raises(DTypeError, match="from_dlpack: the dtype must be known, got Unsupported"):
        dt.from_dlpack(torch.zeros(2, dtype=torch.float8_e4m3fn))
    with pytest.raises(DeviceError, match="device: must be 'cpu'"):
        dt.from_dlpack(np.zeros(2), device="tpu")


# -- signatures --------------------------------------------------------------------------------


def test_in_place_operators_are_there() -> None:
    for name in (
        "add", "and", "floordiv", "lshift", "matmul", "mod", "mul", "or", "pow", "rshift", "sub",
        "truediv", "xor",
    ):  # fmt: skip
        for kind in ("", "r", "i"):
            assert callable(getattr(dt.Tensor, f"__{kind}{name}__", None)), (kind, name)
