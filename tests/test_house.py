"""The house: who may import whom, what importing loads, and how large a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# DESIGN's table: from a part to the parts that it may import, itself aside.
MAY_IMPORT = {
    "graphs": set(),
    "compiler": {"graphs"},
    "static": {"graphs", "compiler"},
    "eager": {"graphs"},
    "nn": {"graphs"},
    "optim": {"graphs"},
    "data": {"graphs"},
    "hybrid": {"graphs", "compiler", "static", "eager"},
    "bench": {"graphs", "compiler", "static", "eager", "nn", "optim", "data", "hybrid"},
}
# Inside graphs, from the ground up: a module may import modules of its own layer and below.
LAYERS = [
    {"errors"},
    {"devices", "dtypes", "dims", "avals", "modes", "guards", "threads", "trees", "collector"}
    | {"compiled", "allocator"},
    {"kernels"},
    {"numbers", "bound"},
    {"ops"},
    {"operand", "held", "storage", "parameter", "generator", "views"},
    {"nodes", "ir", "text", "drawing", "partition", "moves", "regions", "batching", "mapped"},
    {"pulling", "autodiff", "interpreter", "feeds", "loops", "watch", "sweep"},
    {"control", "transforms"},
    {"files"},
]
# Called upwards at run time only, by a method that offers what a higher layer computes.
UPWARD = {
    ("ir", "autodiff"),
    ("ir", "control"),
    ("autodiff", "loops"),
    ("kernels", "bound"),  # for a type's name
    ("bound", "ops"),
}


def folder(part):
    return ROOT / (f"src/diptych/{part}" if part in ("nn", "optim", "data", "hybrid") else part)


def module_name(path):
    """The dotted name under which a file is imported."""
    relative = path.relative_to(ROOT)
    parts = relative.parts[2:] if relative.parts[0] == "src" else relative.parts
    return ("diptych", *parts[:-1], path.stem)


def imports(path):
    """Dotted names that a file imports from Diptych, relative ones resolved."""
    name = module_name(path)
    package = name[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            stem = (*base, *(node.module or "").split(".")) if node.module else base
            yield from ((*stem, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("diptych"):
            yield tuple(node.module.split("."))
        elif isinstance(node, ast.Import):
            yield from (tuple(a.name.split(".")) for a in node.names if "diptych" in a.name)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_parts_import_only_what_the_table_allows(part):
    files = list(folder(part).rglob("*.py"))
    assert files
    for path in files:
        if "suite" in path.parts:
            continue  # the asv suite is no part of the package: it uses it as anyone would
        for name in imports(path):
            other = name[1] if len(name) > 1 else "front door"
            assert other == part or other in MAY_IMPORT[part], f"{path}: imports {'.'.join(name)}"


def test_layers_inside_graphs():
    level = {name: i for i, names in enumerate(LAYERS) for name in names}
    for path in (ROOT / "graphs").rglob("*.py"):
        own = module_name(path)[2]
        for name in imports(path):
            other = name[2] if len(name) > 2 else None
            if own in level and other in level and (own, other) not in UPWARD:
                assert level[other] <= level[own], f"{path}: {own} imports {other}"


def test_every_module_of_graphs_has_a_layer():
    names = {
        p.stem
        for p in (ROOT / "graphs").iterdir()
        if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert names - {"__init__"} == set().union(*LAYERS)


@pytest.mark.parametrize(
    "heavy",
    ["networkx", "cupy", "rich", "matplotlib", "diptych.bench", "diptych.compiler", "diptych.nn"],
)
def test_importing_does_not_load(heavy):
    code = f"import sys, diptych; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["bench", "compare", "compile", "hybrid", "nn", "save", "static"])
def test_what_is_loaded_later_is_there(name):
    code = (
        f"import diptych as dt; assert {name!r} in dir(dt); dt.{name}; from diptych import {name}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bare_folder_names_are_not_packages_of_their_own():
    code = "import eager"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert done.returncode != 0


def test_files_stay_readable():
    for path in ROOT.rglob("*.py"):
        if not {"build", ".venv", ".asv"} & set(path.relative_to(ROOT).parts):
            assert len(path.read_text().splitlines()) <= 600, path
