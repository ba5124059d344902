"""The examples run, and print the same numbers in every style; so do the README's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def printed(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
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
