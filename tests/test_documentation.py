"""Everything public is documented, and the examples run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re

import numpy as np
import pytest

import diptych as dt
from diptych.graphs.ops import FUNCTIONS, REGISTRY, Op


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
    # Importing a __main__ runs it, and a peer needs its framework.
    left_out = ("__main__", "_peer", "_models", "torch_best", "torch_compile", "torch_eager")
    return [dt.__name__, *(m.name for m in found if not m.name.endswith(left_out))]


def _run(tests: list[doctest.DocTest]) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        test.globs.update(dt=dt, np=np)
        if ".hybrid." in test.name:
            test.globs["__name__"] = "examples"  # a user's functions are looked into, no others
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
