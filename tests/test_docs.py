"""The pages in docs that tools write: current, complete, and with links that lead somewhere."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diptych.graphs.ops import FUNCTIONS, REGISTRY

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a tool, which is a script and no part of a package."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module


# -- operators -------------------------------------------------------------------------------


def test_the_pages_of_operators_are_current() -> None:
    command = [sys.executable, str(ROOT / "tools" / "operators.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pages_that_are_not_current_are_named(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators = tool("operators")
    monkeypatch.setattr(operators, "FOLDER", tmp_path / "pages")
    monkeypatch.setattr(sys, "argv", ["operators.py"])
    operators.main()
    wanted = operators.pages()
    assert {p.name for p in (tmp_path / "pages").iterdir()} == wanted.keys()
    (tmp_path / "pages" / "linalg.md").write_text("old")
    (tmp_path / "pages" / "gone.md").write_text("old")
    (tmp_path / "pages" / "README.md").unlink()
    assert operators.stale(wanted) == ["README.md", "gone.md", "linalg.md"]
    monkeypatch.setattr(sys, "argv", ["operators.py", "--check"])
    with pytest.raises(SystemExit, match=r"not current, .*: README.md, gone.md, linalg.md"):
        operators.main()
    monkeypatch.setattr(sys, "argv", ["operators.py"])
    operators.main()
    assert operators.stale(wanted) == []


def test_every_function_and_operator_stands_on_a_page(tool: Any) -> None:
    operators = tool("operators")
    text = "".join(operators.pages().values())
    for name, function in FUNCTIONS.items():
        assert isinstance(function, type) or text.count(f"\ndt.{name}(") == 1, name
    listed = set(re.findall(r"(?m)^(?:## |- \*\*)(\w+)", text))
    families = {op.name for op in REGISTRY.values() if op.module.startswith(operators.FAMILIES)}
    assert families <= listed


DOC = """Sum of ``a * b``, and of `c`.

More *text*.

Parameters
----------
a, b : array, shape (n,)
axis : int
    Which; below
    ``n``.

Returns
-------
array

Raises
------
ShapeError, DTypeError
    When not.

Examples
--------
>>> 1 * 1
1
"""

MARKDOWN = """Sum of `a * b`, and of `c`.

More \\*text\\*.

**Parameters**

- `a`, `b`: array, shape (n,)
- `axis`: int. Which; below
  `n`.

**Returns**

- array

**Raises**

- `ShapeError`, `DTypeError`: When not.

**Examples**

```pycon
>>> 1 * 1
1
```"""


def test_docstrings_become_markdown(tool: Any) -> None:
    assert "\n".join(tool("operators").markdown(DOC)) == MARKDOWN


# -- goals -----------------------------------------------------------------------------------


def test_what_misses_a_goal_is_counted_and_named(tool: Any) -> None:
    goals = tool("goals")

    def fails() -> None:
        raise AssertionError("got 1 for 2\nin detail")

    cases = [("one", lambda: None), ("two", fails), ("three", fails), ("four", lambda: None)]
    row = goals.checked("numbers", cases)
    assert (row.measured, row.met) == ("2 of 4", False)
    assert row.misses[0] == "numbers, two: AssertionError: got 1 for 2"
    sampled = goals.checked("numbers", cases, every=3)
    assert (sampled.measured, sampled.met) == ("2 of 2", True)
    assert goals.checked("nothing", []).met is False
    page = goals.page([row, goals.Row("else", "1", "not measured", None)], "command")
    assert "| numbers | all | 2 of 4 | **no** |\n| else | 1 | not measured | – |" in page
    assert "\n- numbers, three: AssertionError: got 1 for 2\n" in page
    assert page.splitlines()[-1].startswith("Measured by `command` on 20")


# -- links -----------------------------------------------------------------------------------

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", target.read_text())
            assert anchor in [
                re.sub(r"[^\w\- ]", "", h).replace(" ", "-").lower() for h in headings
            ]
