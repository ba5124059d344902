"""The page that `tools/native.py` writes, from what it has measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pages
from pages import VERDICT, Found, Goal, filled, section

from diptych.bench.quantities import NONE, seconds, size, start_cost
from diptych.bench.statistics import median

MODE = "static"
FIRST_S, WARM_S, WARM_SHARE = 0.3, 0.05, 0.1
BOUND_SHARE = 1.05

# -- the goals -------------------------------------------------------------------------------


def goals(work: Mapping[str, Any], found: Found) -> list[Goal]:
    """Every goal of the workloads that were measured."""
    names = [name for name in found["steps"] if name in work]
    return [
        *(
            goal
            for name in names
            for goal in pages.speed_goals(
                "steps", name, MODE, work[name].goals, found["steady"][name]
            )
        ),
        *(goal for name in names for goal in _first_call(name, work[name].first_s, found)),
        *(goal for name in names for goal in _memory(name, found["steps"][name])),
    ]


def _first_call(name: str, limit: float, found: Found) -> list[Goal]:
    starts = {
        who: _middle(calls) for who, calls in found["starts"][name].items() if who != "failed"
    }
    if not {"cold", "warm"} <= starts.keys():
        return [Goal("first", name, "a first call", "not measured", None)]
    cold, warm, jax = starts["cold"], starts["warm"], starts.get("jax")
    under = max(FIRST_S, jax or 0.0)
    shown = f"{seconds(cold)}, jax {seconds(jax)}"
    return [
        Goal("first", name, "cold: under jax's, or 0.3 s", shown, cold < under),
        Goal("first", name, f"cold: under {limit:g} s", seconds(cold), cold < limit),
        Goal("second", name, "warm: under a tenth of cold, or 50 ms",
             f"{seconds(warm)} of {seconds(cold)}", warm < max(WARM_SHARE * cold, WARM_S)),
    ]  # fmt: skip


def _middle(calls: list[Any]) -> float:
    return median([start_cost(call) for call in calls])


def _memory(name: str, step: Found) -> list[Goal]:
    if "failed" in step:
        return [Goal("memory", name, "the peak of a step", "not measured", None)]
    needs, peak = step["arena"] + step["returned"], step["reference_peak"]
    arena, bound = step["arena"], step["bound"]
    return [
        Goal("memory", name, "at most the reference's peak", f"{size(needs)} of {size(peak)}",
             needs <= peak),
        Goal("memory", name, "at most 1.05 of the liveness bound",
             f"{size(arena)} of {size(bound)}", arena <= BOUND_SHARE * bound),
    ]  # fmt: skip


# -- shares of the roofline ------------------------------------------------------------------


@dataclass(frozen=True)
class Roof:
    """The least seconds that the machine needs for a step, by its work and by its bytes."""

    by_flop: float
    by_bytes: float

    @property
    def bound(self) -> float:
        return max(self.by_flop, self.by_bytes)


def roof(step: Found, found: Found) -> Roof | None:
    """The roofline of a step; None where a measure failed."""
    rates = [g["rate"] for g in found["gemm"].values() if "rate" in g]
    copies = {int(n): rate for n, rate in found["copies"].items() if n.isdecimal()}
    if "failed" in step or not rates or not copies:
        return None
    moved = step["bytes"]
    nearest = min(copies, key=lambda n: abs(n - moved))
    return Roof(step["flop"] / max(rates), moved / copies[nearest])


# -- where the time goes ---------------------------------------------------------------------

KINDS = {
    "products": ("matmul",),
    "convolutions": ("conv",),
    "attention": ("attention", "scaled_dot_product_attention"),
    "losses, embeddings": ("cross_entropy", "nll_loss", "embedding"),
    "copies": ("copy", "pack"),
    "waiting": ("dt_barrier",),
}
LOOPS, OUTSIDE = "loops", "outside"
COLUMNS = (*list(KINDS)[:3], LOOPS, *list(KINDS)[3:], OUTSIDE)


def kind(function: str) -> str:
    """What sort of work a native function is, by its name.

    Examples
    --------
    >>> kind("matmul_add_relu_1"), kind("multiply_tanh_1"), kind("")
    ('products', 'loops', 'outside')
    """
    if not function:
        return OUTSIDE
    return next((k for k, starts in KINDS.items() if function.startswith(starts)), LOOPS)


def shares(kernels: Mapping[str, float]) -> dict[str, float]:
    """The share of a step's time per sort of work."""
    found: dict[str, float] = defaultdict(float)
    total = sum(kernels.values()) or 1.0
    for function, spent in kernels.items():
        found[kind(function)] += spent / total
    return dict(found)


def longest(kernels: Mapping[str, float], count: int = 3) -> str:
    """The functions that take longest, with their shares."""
    total = sum(kernels.values()) or 1.0
    own = [name for name in kernels if kind(name) not in (OUTSIDE, "waiting")]
    first = sorted(own, key=lambda name: -kernels[name])[:count]
    return ", ".join(f"`{name}` {kernels[name] / total:.0%}" for name in first)


# -- what the sections say ------------------------------------------------------------------

STEPS = """
How many times as fast as a peer a step is: the median of ratios, turn by turn, of one interleaved
run, with an interval that holds it at 95 %. A goal counts as reached where the interval's better
end does. The best peer is the fastest of those below that compute the same numbers; peers that
were slower than these in an earlier survey are left out, and `--peers all` brings them in.
"""
STARTS = """
Building the graph, compiling it and taking the first step, in a new process, without imports;
medians of {rounds}. Cold: the cache on disk holds the library of native kernels and nothing else.
Warm: it holds this program, too, as in every later process. The library is built once a machine,
in {library} here, all its parts for float32 and float64; a program waits only for those that it
calls.
"""
MEMORY = """
What a step needs beside weights and inputs: the arena and what is returned. The reference
executor's peak is of the same graph, node by node, each array freed when nothing reads it any
more; what its kernels need while they run is not in it, as it is in the arena. The liveness bound
is what is live at once of what lies in the arena, which cannot be smaller. Other values may lie
where a result is computed later.
"""
ROOFS = """
The least that a step can take is its floating-point operations at the rate of a product of two
1024 × 1024 float32 matrices on {threads} threads (GFLOP/s here: {rates}; the faster counts), or
the bytes that it cannot but touch (inputs, weights, optimiser state and results, once each way)
at the speed of copying as many, whichever is longer. An operator on single elements counts as one
operation an element, also exp and tanh, and what lies between operators is not counted: no program
reaches 100 %. `gru-layer-norm` is no workload: a GRU whose products are layer-normalised,
sequence 50, batch 16, input 64, hidden 128, trained by SGD, that nobody tuned anything for.
"""
TIMES = """
Shares of a step on its first thread, by a clock behind every call of the generated program;
products and convolutions with what is fused to them. Waiting is at the barriers between calls.
Outside is what is not native: Python around the call, the end of the other threads, and operators
without native code, which run by NumPy's kernels.
"""


# -- the page --------------------------------------------------------------------------------

ABOUT = """
The executor `native` writes a graph as C, has the system's compiler translate it, and runs a whole
training step as one call.
"""
TITLES = {"steps": "steady steps", "first": "first calls", "second": "second processes",
          "memory": "memory"}  # fmt: skip


def page(made: list[Goal], found: Found, command: str) -> str:
    return pages.joined(
        [
            pages.head("Native code on the CPU", ABOUT, found, command),
            pages.summary(made, TITLES),
            pages.steps(STEPS, made, found["steady"], MODE),
            _starts(made, found),
            _memories(made, found),
            _roofs(found),
            _times(found),
            pages.absent(found),
        ]
    )


def _starts(made: list[Goal], found: Found) -> str:
    library = found["library"].get("seconds")
    columns = (
        "workload", "build:", "compile:", "first step:", "cold:", "jax:", "warm:", "warm of cold:",
        "under jax's or 0.3 s", "under its limit", "warm is quick",
    )  # fmt: skip
    text = filled(STARTS, rounds=found["rounds"], library=seconds(library))
    rows = []
    for name, calls in found["starts"].items():
        if "failed" in calls:
            rows.append([name, calls["failed"]])
            continue
        parts = [
            seconds(median([call[key] for call in calls["cold"]]))
            for key in ("build_s", "compile_s", "first_step_s")
        ]
        cold, warm = _middle(calls["cold"]), _middle(calls["warm"])
        jax = _middle(calls["jax"]) if "jax" in calls else None
        own = [goal for goal in made if goal.what == name and goal.section in ("first", "second")]
        verdicts = [VERDICT[goal.met] for goal in own] or [NONE] * 3
        if own:
            verdicts[1] += f" ({own[1].goal.removeprefix('cold: under ')})"
        cells = [*parts, seconds(cold), seconds(jax), seconds(warm), f"{warm / cold:.2f}"]
        rows.append([name, *cells, *verdicts])
    return section("First calls", text, columns, rows)


def _memories(made: list[Goal], found: Found) -> str:
    columns = (
        "workload", "arena:", "returned:", "reference's peak:", "both ÷ peak:", "liveness bound:",
        "arena ÷ bound:", "within the peak", "within 1.05 of the bound",
    )  # fmt: skip
    rows = []
    for name, step in found["steps"].items():
        if "failed" in step:
            rows.append((name, step["failed"]))
            continue
        met = [goal.met for goal in _memory(name, step)]
        needs = step["arena"] + step["returned"]
        bound = f"{step['arena'] / step['bound']:.3f}" if step["bound"] else NONE
        cells = (name, size(step["arena"]), size(step["returned"]), size(step["reference_peak"]),
                 f"{needs / max(step['reference_peak'], 1):.2f}", size(step["bound"]), bound,
                 *(VERDICT[m] for m in met))  # fmt: skip
        rows.append(cells)
    return section("Memory", filled(MEMORY), columns, rows)


def _roofs(found: Found) -> str:
    rates = {by: g.get("rate") for by, g in found["gemm"].items()}
    shown = ", ".join(f"{by} {r / 1e9:.0f}" for by, r in rates.items() if r) or NONE
    columns = (
        "workload", "step:", "MFLOP:", "GFLOP/s:", "of the product's rate:", "bytes:",
        "of copying:", "share reached:",
    )  # fmt: skip
    text = filled(ROOFS, threads=found["threads"], rates=shown)
    rows = []
    for name, step in found["steps"].items():
        top, took = roof(step, found), pages.own_step(found["steady"][name], MODE)
        if top is None or not took:
            rows.append((name, seconds(took)))
            continue
        flop = step["flop"]
        cells = (name, seconds(took), f"{flop / 1e6:.3g}", f"{flop / took / 1e9:.3g}",
                 f"{top.by_flop / took:.0%}", size(step["bytes"]), f"{top.by_bytes / took:.0%}",
                 f"{top.bound / took:.0%}")  # fmt: skip
        rows.append(cells)
    return section("Share of what the machine can do", text, columns, rows)


def _times(found: Found) -> str:
    columns = ("workload", *(f"{c}:" for c in COLUMNS), "without code:", "longest")
    rows = []
    for name, step in found["steps"].items():
        if "failed" not in step:
            part = shares(step["kernels"])
            cells = [f"{part[c]:.0%}" if c in part else NONE for c in COLUMNS]
            without = str(step["without_code"] or NONE)
            rows.append([name, *cells, without, longest(step["kernels"])])
    return section("Where the time goes", filled(TIMES), columns, rows)
