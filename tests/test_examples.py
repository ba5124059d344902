"""The examples run, and print the same numbers in every style; so do the README's."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def printed(code):
    """The words that a program prints, run from a file: compiled functions read their source."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.py")
        path.write_text(code)
        command = [sys.executable, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_examples_print_the_same_losses():
    losses = [
        [float(word) for word in printed((ROOT / "examples" / f"{style}.py").read_text())]
        for style in ("eager", "static", "hybrid")
    ]
    assert len(losses[0]) == 6
    # A static program gives arrays, which print their shortest float32; tensors give float64.
    assert all(found == pytest.approx(losses[0], rel=1e-6) for found in losses)
    assert losses[0][-1] < 0.5


def test_the_python_blocks_of_the_readme_run():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        printed(block)
        assert len(block.splitlines()) <= 16


def test_the_python_blocks_on_moving_a_model_run_one_after_the_other():
    text = (ROOT / "docs" / "moving.md").read_text()
    words = printed("".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    counts = [int(word) for word in words if word.isdigit()]
    assert counts == [2, 1, 1, 1]  # traces: of the cell, and of the loop at three lengths
