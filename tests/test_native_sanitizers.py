"""Random programs under the sanitizers of the C compiler, which see what equal results may hide:
reads out of bounds, undefined behaviour, and threads that do not wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diptych.compiler.native.toolchain import find_compiler

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]

DRAWS = 60
RUNTIMES = {"address": ("asan", "ubsan"), "thread": ("tsan",)}
FLAGS = {
    "address": "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
    "thread": "-fsanitize=thread",
}


def runtime(name: str) -> str:
    """The library of a sanitizer, which is loaded before all others."""
    found = subprocess.run(
        ["gcc", f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not os.path.isabs(found):
        pytest.skip(f"needs gcc with lib{name}")
    return found


@pytest.mark.parametrize("sanitizer", RUNTIMES)
def test_random_programs_under_a_sanitizer(sanitizer: str, tmp_path: Path) -> None:
    preload = ":".join(map(runtime, RUNTIMES[sanitizer]))
    (tmp_path / "cache").mkdir(mode=0o700)
    environment = {
        **os.environ, "LD_PRELOAD": preload, "PYTHONPATH": os.pathsep.join(sys.path),
        "DIPTYCH_CC": f"gcc {FLAGS[sanitizer]} -g1", "DIPTYCH_CACHE_DIR": str(tmp_path / "cache"),
        "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1", "DIPTYCH_PROGRAM_CACHE": "0",
    }  # fmt: skip
    script = Path(__file__).with_name("native_sanitized.py")
    command = [sys.executable, str(script), sanitizer, str(DRAWS)]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
