"""How C is compiled, whoever does it: setup.py, which runs this file alone, or native programs."""

from __future__ import annotations

import platform

# gcc, clang and zig (which is clang) take all of them. Never -ffast-math: it lets the compiler
# assume that there is no NaN and no infinity, and loading what it links turns denormal numbers off
# in the whole process. What makes it fast is asked for piece by piece below.
FLAGS = (
    "-std=gnu11",
    # Where it is the compiler's own default (icx) or part of DIPTYCH_CC. First, for it resets
    # the switches that follow.
    "-fno-fast-math",
    "-O3",
    # sqrt is an instruction instead of a call: nobody reads errno.
    "-fno-math-errno",
    # Comparisons and conversions vectorise: nobody reads the floating-point exception flags.
    "-fno-trapping-math",
    # a * b + c is one instruction, rounded once.
    "-ffp-contract=fast",
    # `#pragma omp simd`, and nothing of OpenMP's runtime.
    "-fopenmp-simd",
    # One arena holds arrays of different types, one after the other.
    "-fno-strict-aliasing",
    "-fPIC",
    # Functions of one object call, and inline, each other directly.
    "-fno-semantic-interposition",
    "-pthread",
)
# An object's own names come first, whatever else the process has loaded.
LINK_FLAGS = ("-shared", "-Wl,-Bsymbolic")

_IS_X86 = platform.machine() in ("x86_64", "AMD64")

# What the library is built for ahead, the best first: the flags of the compiler, and those of
# /proc/cpuinfo that a CPU has which runs it.
_AVX2 = "avx avx2 abm bmi1 bmi2 f16c fma movbe xsave"
_AVX512 = f"{_AVX2} avx512f avx512bw avx512cd avx512dq avx512vl"
LEVELS: dict[str, tuple[tuple[str, ...], frozenset[str]]] = (
    {
        "x86-64-v4": (("-march=x86-64-v4",), frozenset(_AVX512.split())),
        "x86-64-v3": (("-march=x86-64-v3",), frozenset(_AVX2.split())),
        "x86-64": (("-march=x86-64",), frozenset()),
    }
    if _IS_X86
    else {"plain": ((), frozenset())}
)


def file_of(level: str) -> str:
    """The file's name, in the folder of the C files, of the library for a level."""
    return f"library.{level}.so"
