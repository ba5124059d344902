"""Measure what Diptych is to be, and write docs/goals.md.

`python tools/goals.py` measures everything, which takes minutes; `--short` measures a sample and
prints the page instead of writing it. `--array-api PATH` first runs the test suite of the Array
API standard from a clone of data-apis/array-api-tests.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from operators import families
from processes import progress

import diptych as dt

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "goals.md"
ARRAY_API = ROOT / "docs" / "array-api.md"
ARRAY_API_TOOL = ROOT / "tools" / "array_api.py"
sys.path.insert(0, str(ROOT / "tests"))

import registry  # noqa: E402
import test_batching  # noqa: E402
import test_damaged_files  # noqa: E402
import test_gradients  # noqa: E402
import test_ops  # noqa: E402

RECORDS = test_gradients.test_a_result_records_exactly_where_a_gradient_can_flow
# What a check raises when it finds something wrong: pytest's own failures are no Exceptions.
WRONG = (Exception, pytest.fail.Exception)
MOST_SHOWN = 20

Case = tuple[str, Callable[[], Any]]


@dataclass
class Row:
    """One goal.

    Attributes
    ----------
    met : bool or None
        None for what this run did not measure.
    misses : list of str
        What did not pass.
    """

    what: str
    goal: str
    measured: str
    met: bool | None
    misses: list[str] = field(default_factory=list)


# -- running checks --------------------------------------------------------------------------


def checked(what: str, cases: list[Case], every: int = 1) -> Row:
    """Run every so-manieth check; count those that pass."""
    chosen, misses = cases[::every], []
    for done, (name, check) in enumerate(chosen):
        progress(f"{what}: {done}/{len(chosen)} {name}")
        try:
            check()
        except WRONG as error:
            first = (str(error).strip().splitlines() or [""])[0]
            misses.append(f"{what}, {name}: {type(error).__name__}: {first}")
    passed = len(chosen) - len(misses)
    return Row(what, "all", f"{passed:,} of {len(chosen):,}", bool(chosen) and not misses, misses)


def cases_of(pairs: Iterable[tuple[Any, Any]], check: Callable[[Any, Any], Any]) -> list[Case]:
    return [
        (f"{op.name} {sample}", lambda op=op, sample=sample: check(op, sample))
        for op, sample in pairs
    ]


def pairs_of(test: Any) -> list[tuple[Any, Any]]:
    """The operators and samples that a test of every sample is run on."""
    [pairs] = [mark.args[1] for mark in test.pytestmark if mark.args[0] == "op, sample"]
    return pairs


# -- gradients -------------------------------------------------------------------------------

STEP = 1e-5

# Operands that belong to others, so that they cannot be moved by themselves: what they are is not
# differentiated by. Their samples are no smooth ones, but linear in the operand that is left.
BOUND_TO_OTHERS = {"max_pool_grad": (0, 1), "max_pool_tangent": (0, 1)}


def differentiable_samples() -> list[tuple[Any, Any]]:
    """Every smooth sample of a differentiable operator, with its floats as float64."""
    pairs = pairs_of(test_gradients.test_gradients_are_finite_differences)
    linear = [
        (op, sample)
        for op, sample in pairs_of(
            test_gradients.test_a_result_records_exactly_where_a_gradient_can_flow
        )
        if op.name in BOUND_TO_OTHERS
    ]
    return [(op, test_batching.in_float64(sample)) for op, sample in (*pairs, *linear)]


def function_of(op: Any, sample: Any) -> tuple[Callable[..., Any], list[np.ndarray]]:
    """An operator as a function of the operands that it is differentiated by, and these."""
    fixed = BOUND_TO_OTHERS.get(op.name, ())
    places = [i for i, a in enumerate(sample.args) if registry.is_float(a) and i not in fixed]

    def function(*floats: Any) -> list[Any]:
        args = list(sample.args)
        for i, x in zip(places, floats, strict=True):
            args[i] = x
        return test_batching.floats_of(registry.call(op, args, sample.attrs))

    return function, [sample.args[i] for i in places]


def check_projections(op: Any, sample: Any) -> None:
    """Gradients of both orders against central differences, along random directions."""
    function, floats = function_of(op, sample)
    rng = np.random.default_rng(11)
    cotangents = [rng.uniform(-1, 1, y.shape) for y in function(*floats)]
    directions = [rng.uniform(-1, 1, x.shape) for x in floats]

    def projected(*xs: Any) -> float:
        return sum(float((y * c).sum()) for y, c in zip(function(*xs), cotangents, strict=True))

    def first(xs: Any, cs: Any, **options: Any) -> Any:
        return dt.grad(function(*xs), xs, cs, allow_unused=True, **options)

    def slope(*points: Any) -> float:
        xs = [dt.tensor(p, requires_grad=True) for p in points[: len(floats)]]
        found = first(xs, [dt.tensor(p) for p in points[len(floats) :]])
        return sum(float((g.array * v).sum()) for g, v in _pairs(found, directions))

    points = [*floats, *cotangents]
    tensors = [dt.tensor(p, requires_grad=True) for p in points]
    xs, cs = tensors[: len(floats)], tensors[len(floats) :]
    found = first(xs, cs, create_graph=True)
    terms = [dt.sum(g * dt.tensor(v)) for g, v in _pairs(found, directions)]
    second = dt.grad(dt.accumulate(terms), tensors, allow_unused=True) if terms else ()
    _compare("gradient", found, projected, floats, directions)
    ways = [rng.uniform(-1, 1, p.shape) for p in points]
    _compare("second gradient", second, slope, points, ways)


def _pairs(gradients: Any, directions: Any) -> list[tuple[Any, Any]]:
    """Gradients that are not zero, with their directions."""
    return [(g, v) for g, v in zip(gradients, directions) if g is not None]


def _compare(what: str, gradients: Any, f: Any, points: Any, directions: Any) -> None:
    terms = [g.array * v for g, v in _pairs(gradients, directions)]
    found = sum(float(t.sum()) for t in terms)
    size = sum(float(np.abs(t).sum()) for t in terms)
    ahead, behind = (
        f(*(p + side * v for p, v in zip(points, directions))) for side in (STEP, -STEP)
    )
    expected = (ahead - behind) / (2 * STEP)
    if not abs(found - expected) <= 1e-8 + 1e-6 * size:
        raise AssertionError(f"the {what} must be the slope, got {found} for {expected}")


def check_gradcheck(op: Any, sample: Any) -> None:
    dt.gradcheck(*function_of(op, sample), order=2)


def gradients(every: int) -> list[Row]:
    pairs = differentiable_samples()
    covered = {op for op, _ in pairs}
    without = [op.name for op in registry.KERNELS.values() if op.vjp and op not in covered]
    rows = []
    for method, check in (("random projection", check_projections), ("gradcheck", check_gradcheck)):
        row = checked(f"gradients by {method}", cases_of(pairs, check), every)
        row.what = f"gradients to first and second order, float64, by {method}"
        row.measured += f" smooth samples of {len(covered)} differentiable operators"
        row.misses += [f"{row.what}: {name} has no smooth sample" for name in without]
        row.met = not row.misses
        rows.append(row)
    return rows


# -- the other goals -------------------------------------------------------------------------


def operators() -> Row:
    found = families()
    count = sum(len(family.functions) for family in found)
    kernels = sum(family.operators for family in found)
    measured = f"{count} functions, {kernels} operators"
    return Row("operators", "about 200", measured, count >= 200)


def array_api(clone: str | None) -> Row:
    """What the page of the Array API says, after a run of its suite where a clone is given."""
    what = "test suite of the Array API standard"
    goal = "at least NumPy's own count, and 1,322; exceptions listed"
    if clone is not None:
        progress(what)
        command = [sys.executable, str(ARRAY_API_TOOL), clone]
        started = time.time()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if ARRAY_API.stat().st_mtime < started:
            return Row(what, goal, "did not run", False, [f"{what}: {done.stderr.strip()}"])
    rows = re.findall(r"(?m)^\| (diptych|numpy) \| [\d.]+ \| (\d+) \| (\d+) \|", _text(ARRAY_API))
    passed = {module: 0 for module, _, _ in rows}
    for module, _, count in rows:
        passed[module] = max(passed[module], int(count))
    if passed.keys() != {"diptych", "numpy"}:
        return Row(what, goal, "not measured", None)
    tests = next(int(count) for module, count, _ in rows if module == "diptych")
    measured = (
        f"{passed['diptych']:,} of {tests:,}, NumPy {passed['numpy']:,}; [exceptions](array-api.md)"
    )
    return Row(what, goal, measured, passed["diptych"] >= max(passed["numpy"], 1322))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def styles(every: int) -> list[Row]:
    """What every sample of every operator shows, in all styles and under `vmap`."""
    slopes = test_gradients.test_gradients_agree_bit_for_bit_and_have_their_operands_avals
    rows = []
    for what, unit, test in (
        ("eager = static = hybrid, bit for bit", "samples",
         test_ops.test_styles_agree_bit_for_bit),
        ("gradients, bit for bit: eager = static to second order, = hybrid to first",
         "differentiable samples", slopes),
        ("vmap = a loop over examples", "samples",
         test_batching.test_a_map_is_a_loop_over_examples),
    ):  # fmt: skip
        row = checked(what, cases_of(pairs_of(test), test), every)
        row.measured += f" {unit}"
        rows.append(row)
    return rows


def against_torch(draws: int) -> Row:
    what = "results and gradients against torch, on random shapes"
    goal = "all, within 1e-5 relative float32, 1e-10 float64"
    try:
        import test_torch
    except pytest.skip.Exception:
        return Row(what, goal, "not measured: torch is not installed", None)
    worst = dict.fromkeys(test_torch.RELATIVE, 0.0)
    misses = []
    for name in test_torch.CASES:
        progress(f"against torch: {name}")
        for dtype, allowed in test_torch.RELATIVE.items():
            try:
                found = [test_torch.difference(name, dtype, draw) for draw in range(draws)]
            except WRONG as error:
                misses.append(f"against torch, {name} in {dtype}: {type(error).__name__}: {error}")
                continue
            worst[dtype] = float(np.max([worst[dtype], *found]))
            if not np.max(found) <= allowed:
                misses.append(f"against torch, {name} in {dtype}: {np.max(found):.1e}")
    functions = {re.split(r"\W", name)[0] for name in test_torch.CASES}
    largest = ", ".join(f"{gap:.1e} {dtype}" for dtype, gap in worst.items())
    measured = (
        f"{len(functions)} functions in {len(test_torch.CASES)} calls, {draws} draws each and "
        f"dtype; largest difference {largest}"
    )
    return Row(what, goal, measured, not misses, misses)


def mutations(count: int) -> Row:
    """Damaged files of both kinds; a kind's mutations end where one is taken."""
    tried = refused = 0
    misses = []
    for kind, (make, load) in list(test_damaged_files.FILES.items()):
        progress(f"damaged files: {kind}")

        def counted(path: Any, load: Any = load) -> Any:
            nonlocal tried, refused
            tried += 1
            try:
                return load(path)
            except dt.errors.FileError:
                refused += 1
                raise

        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.dict(test_damaged_files.FILES, {kind: (make, counted)}),
        ):
            try:
                test_damaged_files.mutate(Path(folder) / "file.safetensors", kind, count)
            except WRONG as error:
                misses.append(f"damaged files, {kind}: {error}")
    return Row(
        "damaged weight and graph files", "3,000 mutations tried, 3,000 refused",
        f"{tried:,} tried, {refused:,} refused", not misses, misses,
    )  # fmt: skip


# -- the page --------------------------------------------------------------------------------


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", _text(Path("/proc/cpuinfo")))
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores"


def page(rows: list[Row], command: str) -> str:
    met = {True: "yes", False: "**no**", None: "–"}
    lines = ["# Goals", "", "| what | goal | measured | met |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.what} | {r.goal} | {r.measured} | {met[r.met]} |" for r in rows]
    misses = [miss for row in rows for miss in row.misses]
    if misses:
        lines += ["", "## What did not pass", ""]
        lines += [f"- {miss}" for miss in misses[:MOST_SHOWN]]
        if len(misses) > MOST_SHOWN:
            lines.append(f"- and {len(misses) - MOST_SHOWN} more")
    torch = sys.modules.get("torch")
    versions = (
        f"Diptych {dt.__version__}, Python {platform.python_version()}, NumPy {np.__version__}"
    )
    if torch is not None:
        versions += f", torch {torch.__version__}"
    today = datetime.date.today().isoformat()
    lines += ["", f"Measured by `{command}` on {today}: {versions}; {machine()}.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a sample only; print the page")
    parser.add_argument("--array-api", metavar="PATH", help="a clone of data-apis/array-api-tests")
    arguments = parser.parse_args()
    # Special values are among the samples, and NumPy warns of them.
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    every = 20 if arguments.short else 1
    rows = [
        operators(),
        array_api(arguments.array_api),
        *gradients(every),
        *styles(every),
        against_torch(1 if arguments.short else 100),
        mutations(50 if arguments.short else 1500),
        Row("test command", "within 12 minutes on 2 cores", "not by this command", None),
    ]
    progress("")
    command = "python tools/goals.py" + " --short" * arguments.short
    text = page(rows, command)
    if arguments.short:
        print(text)
    else:
        PAGE.write_text(text)
    sys.exit(any(row.met is False for row in rows))


if __name__ == "__main__":
    main()
