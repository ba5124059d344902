"""Every operator of the registry, on its samples, in every style."""

from __future__ import annotations

import ctypes
import doctest
import importlib
import pkgutil
import re
import shutil
import string
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from ml_dtypes import finfo
from samples import SAMPLES, SPECIAL, ErrorSample, Sample

import diptych as dt
from diptych.graphs import dtypes, ops
from diptych.graphs.avals import aval_of
from diptych.graphs.kernels import Recorder, launch, recording
from diptych.graphs.ops import FUNCTIONS, REGISTRY, Bound, Op, dispatch
from diptych.graphs.ops.plain import as_plain, materialise, spec_of

# What only stands in a graph has no samples: sources have no kernel, an effect is never launched.
KERNELS = {name: op for name, op in REGISTRY.items() if op.kernel is not None and not op.effect}

FLOATS = {"bfloat16", "float16", "float32", "float64"}


def _cases(wanted: Any = lambda op, sample: True) -> Any:
    pairs = [(op, s) for name, op in KERNELS.items() for s in SAMPLES[name].samples]
    chosen = [(op, s) for op, s in pairs if wanted(op, s)]
    return pytest.mark.parametrize(
        "op, sample", chosen, ids=[f"{op.name} {sample}" for op, sample in chosen]
    )


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Special values are among the samples, and NumPy warns of them."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        yield


def call(op: Op, args: Any, attrs: dict[str, Any]) -> Any:
    """The operator through its public function, where it has one of its own."""
    function = getattr(ops, op.name)
    if getattr(function, "op", None) is not op:
        values = tuple(attrs.get(name, default) for name, default in op.attrs.items())
        return dispatch.call(op, tuple(args), values)
    return function(list(args), **attrs) if op.variadic else function(*args, **attrs)


def bind(op: Op, args: Any, attrs: dict[str, Any]) -> tuple[Bound, list[Any]]:
    """The bound operator and the arrays that its kernel takes."""
    operands = [as_plain(x, op.name) for x in args]
    values = tuple(attrs.get(name, default) for name, default in op.attrs.items())
    bound = op.bind(tuple(map(spec_of, operands)), values)
    return bound, [materialise(x, a, op.name) for x, a in zip(operands, bound.ins)]


def is_array(arg: Any) -> bool:
    return isinstance(arg, np.ndarray)


def is_float(arg: Any) -> bool:
    return is_array(arg) and dtypes.is_float(arg.dtype)


def results_of(found: Any) -> list[Any]:
    """The results of a call, of one or of several."""
    return list(found) if isinstance(found, tuple) else [found]


def widened(array: Any) -> Any:
    """The numbers in the widest dtype of their kind, where they are inexact."""
    if dtypes.is_inexact(array.dtype):
        return array.astype(np.complex128 if dtypes.is_complex(array.dtype) else np.float64)
    return array


def assert_close(found: Any, expected: Any, dtype: np.dtype, ulp: int) -> None:
    """Within some units in the last place of the largest number, or equal where exact."""
    if not dtypes.is_inexact(dtype):
        np.testing.assert_array_equal(found, expected)
        return
    unit = float(finfo(dtypes.real_of(dtype)).eps)
    found, expected = widened(found), widened(np.asarray(expected))
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=ulp * unit, atol=ulp * unit * scale)


def fill(args: Any, operands: Any, wanted: Any = is_array) -> list[Any]:
    """The arguments with the wanted ones replaced, in order."""
    given = iter(operands)
    return [next(given) if wanted(arg) else arg for arg in args]


def run_eager(op: Op, sample: Any) -> list[np.ndarray]:
    operands = fill(sample.args, map(dt.asarray, filter(is_array, sample.args)))
    return [r.array for r in results_of(call(op, operands, sample.attrs))]


def run_static(op: Op, sample: Any, executor: str) -> list[np.ndarray]:
    arrays = list(filter(is_array, sample.args))
    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        y = results_of(call(op, fill(sample.args, fed), sample.attrs))
    return g.compile(y, executor=executor).run(dict(zip(fed, arrays)))


def run_hybrid(op: Op, sample: Any) -> list[np.ndarray]:
    compiled = dt.compile(lambda *xs: call(op, fill(sample.args, xs), sample.attrs))
    operands = map(dt.asarray, filter(is_array, sample.args))
    return [r.array for r in results_of(compiled(*operands))]


STYLES = {
    "eager": run_eager,
    "reference": partial(run_static, executor="reference"),
    "planned": partial(run_static, executor="planned"),
    "hybrid": run_hybrid,
}


def assert_same_bits(found: Any, expected: Any, what: str = "") -> None:
    assert isinstance(found, np.ndarray), what
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    assert found.tobytes() == expected.tobytes(), f"{what}: {found} is not {expected}"


def test_samples_match_the_registry() -> None:
    assert SAMPLES.keys() == KERNELS.keys()
    assert all(entry.samples for entry in SAMPLES.values())


@pytest.mark.parametrize(
    "op",
    [op for op in KERNELS.values() if op.operands and not op.name.startswith("random")],
    ids=str,
)
def test_samples_cover_sizes_strides_and_dtypes(op: Op) -> None:
    lacks = SAMPLES[op.name].lacks
    arrays = [a for s in SAMPLES[op.name].samples for a in s.args if is_array(a)]
    filled = [a for a in arrays if a.size > 1 and a.ndim]
    assert any(a.ndim == 0 for a in arrays) or "scalar" in lacks
    assert any(a.size == 0 for a in arrays) or "empty" in lacks
    assert any(min(a.strides) < 0 for a in filled) or "layouts" in lacks
    assert any(a.strides[-1] > a.itemsize for a in filled) or "layouts" in lacks
    floats = FLOATS - {"bfloat16", "float16"} if "half" in lacks else FLOATS
    assert "floats" in lacks or {a.dtype.name for a in arrays} >= floats


# -- values ----------------------------------------------------------------------------------


@_cases()
def test_kernel_gives_what_was_inferred_and_what_numpy_gives(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    results = launch(bound, arrays)
    for result, aval in zip(results, bound.outs, strict=True):
        found = aval_of(result)
        shape = found.shape if op.dynamic else aval.shape
        assert found == replace(aval, shape=shape)
    attrs = {name: sample.attrs.get(name, default) for name, default in op.attrs.items()}
    entry = SAMPLES[op.name]
    wanted = results_of(entry.reference(*map(widened, arrays), **attrs))
    for result, expected in zip(results, map(np.asarray, wanted), strict=True):
        assert expected.shape == result.shape
        assert_close(result, expected.astype(result.dtype), result.dtype, entry.ulp)


@_cases()
def test_styles_agree_bit_for_bit(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    expected = launch(bound, arrays)
    for name, run in STYLES.items():
        if op.dynamic and name != "eager":
            with pytest.raises(dt.errors.StaticValueError, match="depends on data is eager's"):
                run(op, sample)
            continue
        for found, result in zip(run(op, sample), expected, strict=True):
            assert_same_bits(found, result, name)


@_cases(lambda op, sample: not op.view and len(op.results) == 1 and not op.dynamic)
def test_kernel_fills_out_with_the_same_bits(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    [expected] = launch(bound, arrays)
    out = np.full(expected.shape, 77, expected.dtype)
    before = [a.copy() for a in arrays]
    assert bound.kernel(*arrays, out=out) is out
    assert_same_bits(out, expected)
    for array, copy in zip(arrays, before):
        assert_same_bits(array, copy, "operand")


@_cases(lambda op, sample: op.in_place)
def test_kernel_works_in_place_of_any_operand_that_fits(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    # NumPy's loops for dense and for strided memory may differ in the last bit.
    [expected] = launch(bound, [a.copy() for a in arrays])
    for position, aval in enumerate(bound.ins):
        if aval == bound.outs[0]:
            copies = [a.copy() for a in arrays]
            bound.kernel(*copies, out=copies[position])
            assert_same_bits(copies[position], expected, f"over operand {position}")


@_cases(lambda op, sample: any(is_array(a) and not a.flags.c_contiguous for a in sample.args))
def test_strides_do_not_matter(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    strided = launch(bound, arrays)
    dense = launch(bound, [np.ascontiguousarray(a).reshape(a.shape) for a in arrays])
    for s, d in zip(strided, dense, strict=True):
        assert_close(s, d, s.dtype, 2 * SAMPLES[op.name].ulp)


# -- gradients -------------------------------------------------------------------------------


def _is_differentiable(op: Op, sample: Sample) -> bool:
    if not op.vjp or not any(map(is_float, sample.args)):
        return False
    bound, _ = bind(op, sample.args, sample.attrs)
    return bound.differentiable


def _direction(aval: Any, seed: int) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).uniform(-1, 1, aval.shape)).astype(aval.dtype)


def _floats_of(found: Any) -> list[Any]:
    """The results of a call that gradients flow through."""
    return [r for r in results_of(found) if dtypes.is_float(r.dtype)]


class Derivatives:
    """First- and second-order derivatives of one sample, on operands of any style.

    The second order differentiates the first one's projection on `directions`, also with respect
    to the cotangent.
    """

    def __init__(self, op: Op, sample: Sample) -> None:
        self.op, self.sample = op, sample
        self.arrays = list(filter(is_array, sample.args))
        bound, _ = bind(op, sample.args, sample.attrs)
        outs = [aval for aval in bound.outs if dtypes.is_float(aval.dtype)]
        self.cotangents = [_direction(aval, 50 + i) for i, aval in enumerate(outs)]
        self.floats = list(filter(is_float, sample.args))
        self.directions = [_direction(a, 2 + i) for i, a in enumerate(self.floats)]
        self.feeds = [*self.arrays, *self.cotangents, *self.directions]

    def apply(self, *operands: Any) -> Any:
        return call(self.op, fill(self.sample.args, operands), self.sample.attrs)

    def __call__(self, operands: list[Any], apply: Any = None) -> tuple[Any, ...]:
        count, seeds = len(self.arrays), len(self.cotangents)
        xs, cotangents = operands[:count], operands[count : count + seeds]
        directions = operands[count + seeds :]
        wanted = [x for x, a in zip(xs, self.arrays) if is_float(a)]
        ys = _floats_of((apply or self.apply)(*xs))
        first = dt.grad(ys, wanted, cotangents, create_graph=True)
        terms = [dt.astype(dt.sum(g * v), "float64") for g, v in zip(first, directions)]
        projection = dt.accumulate(terms)
        second = dt.grad(projection, [*wanted, *cotangents], allow_unused=True)
        return (*first, *second)

    def tensors(self) -> list[dt.Tensor]:
        tensors = [dt.asarray(a) for a in self.feeds]
        for t, a in zip(tensors[: len(self.arrays)], self.arrays):
            t.requires_grad_(is_float(a))
        for t in tensors[len(self.arrays) : len(self.arrays) + len(self.cotangents)]:
            t.requires_grad_()
        return tensors

    def eager(self) -> list[np.ndarray | None]:
        return [None if g is None else g.array for g in self(self.tensors())]

    def hybrid(self) -> list[np.ndarray | None]:
        compiled = dt.compile(self.apply)
        return [None if g is None else g.array for g in self(self.tensors(), compiled)]

    def static(self, executor: str) -> list[np.ndarray | None]:
        with dt.static.Graph() as g:
            fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(self.feeds)]
            found = self(fed)
        program = g.compile([v for v in found if v is not None], executor=executor)
        results = iter(program.run(dict(zip(fed, self.feeds))))
        return [None if v is None else next(results) for v in found]


@_cases(_is_differentiable)
def test_gradients_agree_bit_for_bit_and_have_their_operands_avals(op: Op, sample: Sample) -> None:
    derivatives = Derivatives(op, sample)
    expected = derivatives.eager()
    count = len(derivatives.floats)
    wanted = [*derivatives.floats, *derivatives.floats, *derivatives.cotangents]
    for gradient, operand in zip(expected, wanted, strict=True):
        assert gradient is None or aval_of(gradient) == aval_of(operand)
    for name, found in (
        ("reference", derivatives.static("reference")),
        ("planned", derivatives.static("planned")),
        ("hybrid", derivatives.hybrid()),
    ):
        for order, (f, e) in enumerate(zip(found, expected, strict=True)):
            if f is None or e is None:
                # A style may know by its bookkeeping what another one computes: that it is 0.
                known = e if f is None else f
                assert known is None or not known.any(), (name, order)
            elif name == "hybrid" and order >= count:
                # The second order passes the bridge as one node, which adds in an order of its own.
                assert_close(f, e, e.dtype, SAMPLES[op.name].ulp)
            else:
                assert_same_bits(f, e, f"{name}, gradient {order}")


def _in_float64(sample: Sample) -> Sample:
    args = tuple(a.astype(np.float64) if is_float(a) else a for a in sample.args)
    return Sample(args, sample.attrs)


def _has_finite_differences(op: Op, sample: Sample) -> bool:
    if not sample.smooth or not _is_differentiable(op, sample):
        return False
    if any(is_float(a) and a.dtype.itemsize == 2 for a in sample.args):
        return False  # its values repeat, and ties are kinks
    bound, _ = bind(op, _in_float64(sample).args, sample.attrs)
    return all(aval.dtype == np.float64 for aval in bound.outs if dtypes.is_float(aval.dtype))


STEP = 1e-5


def _differences(f: Any, points: list[np.ndarray]) -> list[np.ndarray]:
    """Central finite differences of a scalar function, with respect to every element."""
    gradients = []
    for position, point in enumerate(points):
        gradient = np.zeros(point.shape)
        for at in np.ndindex(point.shape):
            values = []
            for step in (STEP, -STEP):
                moved = point.copy()
                moved[at] += step
                values.append(f(*points[:position], moved, *points[position + 1 :]))
            gradient[at] = (values[0] - values[1]) / (2 * STEP)
        gradients.append(gradient)
    return gradients


def _assert_close(found: Any, expected: Any) -> None:
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.zeros_like(e) if f is None else f, e, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("style", ["eager", "static"])
@_cases(_has_finite_differences)
def test_gradients_are_finite_differences(op: Op, sample: Sample, style: str) -> None:
    derivatives = Derivatives(op, _in_float64(sample))
    floats, cotangents = derivatives.floats, derivatives.cotangents
    count = len(floats)
    found = derivatives.eager() if style == "eager" else derivatives.static("reference")

    def projected(*points: Any) -> float:
        ys = call(op, fill(derivatives.sample.args, points, is_float), sample.attrs)
        return sum(float((y * g).sum()) for y, g in zip(_floats_of(ys), cotangents))

    _assert_close(found[:count], _differences(projected, floats))

    def slope(*points: Any) -> float:
        """The projection of the first-order gradient, which was checked above."""
        xs = [dt.tensor(p, requires_grad=True) for p in points[:count]]
        given = fill(derivatives.sample.args, xs, is_float)
        ys = _floats_of(call(op, given, sample.attrs))
        gradients = dt.grad(ys, xs, [dt.tensor(p) for p in points[count:]])
        return sum(float((g.array * v).sum()) for g, v in zip(gradients, derivatives.directions))

    _assert_close(found[count:], _differences(slope, [*floats, *cotangents]))


@_cases(lambda op, sample: any(map(is_float, sample.args)))
def test_a_result_records_exactly_where_a_gradient_can_flow(op: Op, sample: Sample) -> None:
    tensors = [dt.asarray(a).requires_grad_(is_float(a)) for a in sample.args if is_array(a)]
    results = results_of(call(op, fill(sample.args, tensors), sample.attrs))
    recorded = [r.requires_grad for r in results]
    assert recorded == [_is_differentiable(op, sample) and is_float(r.array) for r in results]


def test_pow_of_zero_has_a_finite_gradient() -> None:
    x = dt.tensor([0.0, 2.0], requires_grad=True)
    for exponent, slope in ((0, [0.0, 0.0]), (1, [1.0, 1.0]), (2, [0.0, 4.0])):
        (gradient,) = dt.grad(dt.sum(x**exponent), x)
        assert gradient.tolist() == slope, exponent


# -- errors ----------------------------------------------------------------------------------

ERRORS = [(op, e) for name, op in KERNELS.items() for e in SAMPLES[name].errors]


@pytest.mark.parametrize("op, wrong", ERRORS, ids=[f"{op.name} {e}" for op, e in ERRORS])
def test_errors_are_the_same_in_every_style(op: Op, wrong: ErrorSample) -> None:
    for name, run in STYLES.items():
        with recording(Recorder()) as recorder, pytest.raises(wrong.error) as caught:
            run(op, wrong)
        message = str(caught.value)
        assert type(caught.value) is wrong.error, name
        assert message.startswith(f"{op.name}: "), name
        assert re.search(wrong.match, message), (name, message)
        assert "got " in message, name
        assert not recorder.launches, name


@pytest.mark.parametrize(
    "right, wrong",
    [
        (lambda x: dt.sum(x, axis=1), lambda x: dt.sum(x, axis=True)),
        (lambda x: dt.sum(x, axis=1), lambda x: dt.sum(x, axis=1.0)),
        (lambda x: dt.getitem(x, (1,)), lambda x: dt.getitem(x, (True,))),
        (lambda x: dt.reshape(x, (1, 6)), lambda x: dt.reshape(x, (True, 6))),
    ],
    ids=["axis True", "axis 1.0", "index True", "size True"],
)
def test_attributes_that_equal_right_ones_are_still_refused(right: Any, wrong: Any) -> None:
    x = dt.tensor(np.arange(6.0).reshape(2, 3))
    right(x)
    with pytest.raises(dt.errors.ShapeError, match="got"):
        wrong(x)


def test_a_rule_reads_only_what_it_saves() -> None:
    for op in REGISTRY.values():
        names = {*op.operands, *op.results}
        assert all(set(saved) <= names for saved in op.saves), op


# -- random ----------------------------------------------------------------------------------

WORD = 2**64


def _philox(key: list[int], counter: list[int]) -> list[int]:
    """Four words of Philox 4x64-10, after Salmon et al. (SC11)."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, WORD)
        high1, low1 = divmod(0xCA5A826395121157 * c2, WORD)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % WORD, (k1 + 0xBB67AE8584CAA73B) % WORD
    return [c0, c1, c2, c3]


def test_random_bits_are_those_of_philox() -> None:
    key, offset = [7, 2**63 + 5], 11
    words = [w for block in range(1, 4) for w in _philox(key, [block, 0, offset, 0])]
    drawn = dt.random_uniform(np.array(key, np.uint64), np.array(offset), (12,), "float64")
    assert drawn.tolist() == [(word >> 11) * 2.0**-53 for word in words]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_numbers_are_below_one(dtype: str) -> None:
    drawn = dt.random_uniform(np.array([1, 2], np.uint64), np.array(0), (50_000,), dtype)
    assert drawn.min() >= 0 and drawn.max() < 1


# -- scalar expressions ----------------------------------------------------------------------

C_TYPES = {"bool": "bool", "float32": "float", "float64": "double", "int64": "int64_t"}


def _expression_cases() -> list[tuple[Op, Bound, dict[str, Any]]]:
    """Element-wise operators on float64, or on bools where they take nothing else."""
    cases = []
    for op in (op for op in KERNELS.values() if op.expr is not None):
        dtypes = C_TYPES if "dtype" in op.attrs else [None]
        for dtype in dtypes:
            attrs = {} if dtype is None else {"dtype": dtype}
            cases.append((op, _bind_first(op, attrs), attrs))
    return cases


def _bind_first(op: Op, attrs: dict[str, Any]) -> Bound:
    count = len(op.operands)
    choices = [
        ["float64"] * count, ["bool", *["float64"] * (count - 1)], ["bool"] * count
    ]  # fmt: skip
    for dtypes in choices:
        try:
            return op.bind(tuple(((4,), np.dtype(d)) for d in dtypes), tuple(attrs.values()))
        except dt.errors.DTypeError:
            continue
    raise AssertionError(f"{op.name} takes neither floats nor bools")


CASES = _expression_cases()


def _c_function(index: int, op: Op, bound: Bound, attrs: dict[str, Any]) -> str:
    names = [name for _, name, _, _ in string.Formatter().parse(op.expr) if name]
    places = {name: f"{name}[i]" for name in op.operands}
    places.update((name, C_TYPES[attrs[name]]) for name in set(names) - set(op.operands))
    operands = "".join(
        f"const {C_TYPES[aval.dtype.name]} *{name}, " for name, aval in zip(op.operands, bound.ins)
    )
    [result], [out] = op.results, bound.outs
    return (
        f"void f{index}(int64_t n, {operands}{C_TYPES[out.dtype.name]} *{result}) {{\n"
        f"    for (int64_t i = 0; i < n; i++) {result}[i] = {op.expr.format(**places)};\n}}\n"
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler named cc")
    folder = tmp_path_factory.mktemp("expressions")
    includes = "".join(f"#include <{h}.h>\n" for h in ("math", "stdbool", "stdint"))
    functions = [_c_function(i, *case) for i, case in enumerate(CASES)]
    (folder / "all.c").write_text(includes + "\n".join(functions))
    built = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "all.c", "-o", "all.so", "-lm"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return ctypes.CDLL(str(folder / "all.so"))


def _expression_inputs(bound: Bound) -> list[np.ndarray]:
    """Every combination of special and ordinary numbers."""
    axes = []
    for position, aval in enumerate(bound.ins):
        rng = np.random.default_rng(position)
        numbers = np.array([*SPECIAL, -3.0, 0.5, 700.0, -700.0, *rng.uniform(-4, 4, 12)])
        axes.append(np.array([False, True]) if aval.dtype == bool else numbers)
    return [np.ascontiguousarray(a.ravel()) for a in np.meshgrid(*axes, indexing="ij")]


@pytest.mark.parametrize(
    "index", range(len(CASES)), ids=[" ".join([c[0].name, *c[2].values()]) for c in CASES]
)
def test_expression_computes_what_the_kernel_computes(library: ctypes.CDLL, index: int) -> None:
    op, bound, attrs = CASES[index]
    arrays = _expression_inputs(bound)
    if bound.outs[0].dtype.kind == "i":
        # C leaves the conversion of what does not fit open.
        arrays = [a[np.isfinite(a)] for a in arrays]
    size = arrays[0].size
    [expected] = launch(op.bind(tuple(map(spec_of, arrays)), tuple(attrs.values())), arrays)
    found = np.empty_like(expected)
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, found)]
    library[f"f{index}"](ctypes.c_int64(size), *pointers)
    if found.dtype.kind == "f":
        np.testing.assert_array_max_ulp(
            found[~np.isnan(expected)], expected[~np.isnan(expected)], 4
        )
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    else:
        np.testing.assert_array_equal(found, expected)


# -- documentation ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_documented(name: str) -> None:
    doc = getattr(dt, name).__doc__
    assert doc and doc.splitlines()[0].strip().endswith((".", ";"))
    titles = re.findall(r"^ *(\w+)\n *-{3,}$", doc, re.MULTILINE)
    assert "Examples" in titles
    assert "see `" in doc or {"Parameters", "Returns"} <= set(titles), titles
    assert ">>> " in doc


def _modules() -> list[str]:
    found = pkgutil.walk_packages(dt.__path__, f"{dt.__name__}.", onerror=lambda name: None)
    # Importing a __main__ runs it.
    return [dt.__name__, *(m.name for m in found if not m.name.endswith("__main__"))]


def _run(tests: list[doctest.DocTest]) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        test.globs.update(dt=dt, np=np)
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("name", _modules())
def test_examples_of_module_run(name: str) -> None:
    _run(doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name), name))


@pytest.mark.parametrize("op", REGISTRY.values(), ids=str)
def test_examples_of_operator_run(op: Op) -> None:
    _run([doctest.DocTestParser().get_doctest(op.doc, {}, f"operator {op.name}", None, None)])


def test_examples_are_found() -> None:
    found = doctest.DocTestFinder().find(importlib.import_module("diptych.eager.tensor"))
    assert any(test.name.endswith("Tensor") and test.examples for test in found)
