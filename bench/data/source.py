"""Lines of Python: the standard library's own source files, as this interpreter has them."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MODULES = (
    "argparse", "ast", "bisect", "calendar", "cmd", "configparser", "copy", "csv", "dataclasses",
    "difflib", "enum", "fractions", "functools", "gettext", "heapq", "inspect", "locale",
    "optparse", "pathlib", "random", "shlex", "shutil", "statistics", "string", "tarfile",
    "textwrap", "threading", "traceback", "uuid", "zipfile",
)  # fmt: skip
# Printable ASCII; 0 begins a line.
FIRST, VOCABULARY = 32, 96


@dataclass(frozen=True, slots=True)
class Lines:
    """Batches of lines of one length each; lengths vary from batch to batch.

    Attributes
    ----------
    train, test : list of array, shape (1 + length, batch), int64, in 0..95
        Characters along the first axis, behind a 0.
    """

    train: list[np.ndarray]
    test: list[np.ndarray]


def source_lines(
    batch: int = 16, shortest: int = 20, longest: int = 60, held_out: int = 8, seed: int = 0
) -> Lines:
    """Lines of the standard library's source, in batches of equal length, shuffled by a seed.

    Parameters
    ----------
    batch : int
        Lines in a batch.
    shortest, longest : int
        In characters; other lines are left out, and those that are not printable ASCII.
    held_out : int
        Batches that are held out.
    seed : int

    Returns
    -------
    Lines

    Examples
    --------
    >>> first = source_lines().train[0]
    >>> first.shape[1], int(first[0, 0])
    (16, 0)
    """
    by_length: dict[int, list[str]] = {}
    for line in dict.fromkeys(_lines()):
        if shortest <= len(line) <= longest and line.isascii() and line.isprintable():
            by_length.setdefault(len(line), []).append(line)
    rng = np.random.default_rng(seed)
    batches = []
    for _, lines in sorted(by_length.items()):
        order = rng.permutation(len(lines))
        for first in range(0, len(lines) - batch + 1, batch):
            batches.append(_encoded([lines[i] for i in order[first : first + batch]]))
    order = rng.permutation(len(batches))
    shuffled = [batches[i] for i in order]
    return Lines(shuffled[held_out:], shuffled[:held_out])


def _lines() -> list[str]:
    folder = Path(sysconfig.get_path("stdlib"))
    lines = []
    for module in MODULES:
        file = folder / f"{module}.py"
        if file.exists():  # a package in some versions
            lines += [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return lines


def _encoded(lines: list[str]) -> np.ndarray:
    codes = np.array([[ord(c) - FIRST + 1 for c in line] for line in lines], np.int64)
    return np.concatenate([np.zeros((len(lines), 1), np.int64), codes], axis=1).T.copy()
