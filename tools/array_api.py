"""Run the Array API standard's test suite on Diptych and on NumPy, and write ``array-api.md``.

    python tools/array_api.py PATH

PATH is a clone, with its submodule, of https://github.com/data-apis/array-api-tests, whose
requirements must be installed beside Diptych. Examples are drawn from a fixed seed and without a
deadline, so a run can be repeated. It takes some minutes, and fails where Diptych passes fewer
tests than NumPy does, or a test fails for no reason that is known here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "array-api.md"

# Why a test fails, by what its name begins with.
REASONS = {
    "test_data_type_functions::test_can_cast": (
        "The suite takes `None`, for dtypes that do not promote, to equal `float64`, as "
        "`None == numpy.dtype('float64')` does. Diptych's dtypes are NumPy's dtype objects."
    ),
    "test_special_cases::test_unary[expm1(": (
        "The kernel is NumPy's, whose complex `expm1` gives NaN here, or another sign of zero."
    ),
    "test_special_cases::test_unary[tanh(": (
        "The kernel is NumPy's, whose complex `tanh` gives another sign of zero here."
    ),
    "test_special_cases::test_binary[floor_divide(": (
        "As NumPy, and Python where it has an answer: the floor of infinity divided is NaN, and "
        "that of a small negative quotient -1."
    ),
    "test_special_cases::test_binary[__floordiv__(": "As `floor_divide`.",
    "test_special_cases::test_iop[__ifloordiv__(": "As `floor_divide`.",
}

HEAD = """# The Array API standard

`import diptych as xp` is a namespace of the [Array API standard](https://data-apis.org/array-api)
2025.12, with its extensions `linalg` and `fft`, and a tensor is its array:
`x.__array_namespace__()` is `diptych`. Static values know it as well, so code that is written to
the standard builds a graph where it is given placeholders.

Where the standard leaves a choice:

- the default dtypes are float32, complex64 and int64;
- an integer with a float gives a float of that width, and uint64 with a signed integer is an error;
- sizes that depend on data (`nonzero`, the `unique` functions, `repeat` by an array, reading by a
  mask) are eager's alone, and an error in a graph;
- an index out of range is an error, as is an axis; both are an `IndexError`, and a `ValueError`
  where they are known before a kernel runs;
- memory is shared by DLPack with NumPy, CuPy and PyTorch, of every dtype that both know, bfloat16
  with PyTorch among them.

## Test suite

[array-api-tests](https://github.com/data-apis/array-api-tests), run by
`python tools/array_api.py PATH`, which writes this page.

"""


@dataclass(frozen=True)
class Run:
    """One run of the suite: what became of each test, by name."""

    module: str
    standard: str
    outcomes: dict[str, str]

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.outcomes.values())

    @property
    def failed(self) -> list[str]:
        return [name for name, outcome in self.outcomes.items() if outcome == "failed"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clone", type=Path, help="a clone of array-api-tests")
    parser.add_argument("--max-examples", type=int, default=100, help="drawn per test")
    options = parser.parse_args()
    runs = [
        run(options.clone, module, standard, options.max_examples)
        for module, standard in (("diptych", "2025.12"), ("numpy", "2025.12"), ("numpy", "2024.12"))
    ]
    PAGE.write_text(page(runs, commit_of(options.clone), options.max_examples))
    print(f"wrote {PAGE}")
    ours, *theirs = runs
    unknown = [name for name in ours.failed if reason(name) is None]
    for name in unknown:
        print(f"failed for no known reason: {name}", file=sys.stderr)
    fewer = ours.counts["passed"] < max(run.counts["passed"] for run in theirs)
    if fewer:
        print("Diptych passes fewer tests than NumPy", file=sys.stderr)
    return int(bool(unknown) or fewer)


def run(clone: Path, module: str, standard: str, max_examples: int) -> Run:
    """Run the suite on one module, for one version of the standard."""
    print(f"{module}, standard {standard} ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable, "-m", "pytest", "array_api_tests", "-q", "--tb=no", "--derandomize",
            "--disable-deadline", f"--max-examples={max_examples}", "-p", "no:cacheprovider",
            "-W", "ignore", f"--junitxml={report}",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "ARRAY_API_TESTS_MODULE": module,
            "ARRAY_API_TESTS_VERSION": standard,
            "PYTHONHASHSEED": "0",  # sets are among what examples are drawn from
        }
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
        if not report.exists():
            raise SystemExit(f"{module}: the suite did not run\n{done.stdout}{done.stderr}")
        return Run(module, standard, outcomes(report))


def outcomes(report: Path) -> dict[str, str]:
    """From the names of tests to "passed", "failed" or "skipped"."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.attrib["classname"].removeprefix("array_api_tests.").replace(".", "::")
        kinds = {child.tag for child in case}
        found[f"{module}::{case.attrib['name']}"] = (
            "failed" if kinds & {"failure", "error"} else
            "skipped" if "skipped" in kinds else "passed"
        )  # fmt: skip
    return found


def reason(name: str) -> str | None:
    return next((why for start, why in REASONS.items() if name.startswith(start)), None)


def commit_of(clone: Path) -> str:
    command = ["git", "-C", str(clone), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def page(runs: list[Run], commit: str, max_examples: int) -> str:
    """The page in docs/."""
    ours, *theirs = runs
    lines = [
        f"Commit {commit}; {max_examples} examples a test, from a fixed seed; NumPy "
        f"{version('numpy')}, Python {sys.version_info.major}.{sys.version_info.minor}.",
        "",
        "| module | standard | tests | passed | failed | skipped |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for run in runs:
        counts = [run.counts[kind] for kind in ("passed", "failed", "skipped")]
        cells = [run.module, run.standard, len(run.outcomes), *counts]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "What is skipped asks for another version of the standard, or is skipped for all.",
    ]
    lines += ["", "## What fails, and why", ""]
    also = set(theirs[0].failed)
    by_reason: dict[str, list[str]] = {}
    for name in ours.failed:
        by_reason.setdefault(reason(name) or "No reason is known.", []).append(name)
    for why, names in by_reason.items():
        lines += [f"{why}", ""]
        lines += [f"- `{name}`{', in NumPy too' if name in also else ''}" for name in names]
        lines.append("")
    return HEAD + "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
