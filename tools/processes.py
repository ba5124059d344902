"""Measures in processes of their own: how a tool asks for one, and how one answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def progress(text: str) -> None:
    """One line on stderr, over the one before."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:99]}", end="", file=sys.stderr, flush=True)


def ask(measures: Path, *command: Any, python: str = sys.executable) -> dict[str, Any]:
    """What a command of a file of measures prints; why it failed, under "failed"."""
    progress(" ".join(map(str, command[:2])))
    done = subprocess.run(
        [python, str(measures), *map(str, command)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return {"failed": lines[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def answer(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Run the command that this process was started with, and print what it gives as JSON."""
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))


def listed(text: str) -> list[str]:
    """The words of an argument that has commas between.

    Examples
    --------
    >>> listed("jax,torch-best"), listed("")
    (['jax', 'torch-best'], [])
    """
    return [name for name in text.split(",") if name]
