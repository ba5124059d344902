"""The parts of an eager step: which one a sampled function belongs to, and their picture."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

Profile = Mapping[str, Mapping[str, int]]  # from a part to samples by function

# A line of `perf script -F ip,sym,dso`; C++ has spaces in its names.
SAMPLE = re.compile(r"\s*[0-9a-f]+ (?P<function>.+) \((?P<library>[^()]*)\)")

OTHER = "other"
# Each part with a pattern of functions and one of the files that they lie in; the first that fits.
PARTS = (
    ("waiting", r"dt_wait|dt_barrier|\w*sched_yield|blas_thread_server", ""),
    ("kernels", "", r"library\.|lib.*blas|program\."),
    ("kernels", r"[A-Z]+_\w+|\w+_(AVX|X86)\w*", r"_multiarray"),
    ("kernels", r"run_(rows|share|densely|by_strides)", r"speedups"),
    ("allocation", r"take|give|leave|enter|unmap", r"speedups"),
    ("allocation", r".*(alloc|free|Malloc|Free|munmap|madvise|trim|unlink_chunk).*", ""),
    ("allocation", r"gc_\w+|visit_\w+|\w+_traverse", ""),
    ("tape", "", r"(tape|grad|pulling)\."),
    ("dispatch", "", r"(dispatch|bound|held|modes|style|rules|launch|speedups)\."),
    ("numpy", "", r"_multiarray"),
    ("python", "", r"(lib)?python"),
)
ORDER = ("python", "dispatch", "tape", "kernels", "waiting", "allocation", "numpy", OTHER)


def part(function: str, library: str) -> str:
    """The part of a step that a function in a file belongs to.

    Examples
    --------
    >>> part("FLOAT_add_X86_V3", "_multiarray_umath.so"), part("array_new", "_multiarray_umath.so")
    ('kernels', 'numpy')
    """
    fits = (
        name
        for name, functions, libraries in PARTS
        if (not functions or re.fullmatch(functions, function)) and re.match(libraries, library)
    )
    return next(fits, OTHER)


def shares(profile: Profile) -> dict[str, float]:
    """The share of all samples per part, in the order of the picture."""
    total = sum(sum(functions.values()) for functions in profile.values()) or 1
    return {name: sum(profile[name].values()) / total for name in ORDER if profile.get(name)}


def longest(functions: Mapping[str, int], count: int = 3) -> list[str]:
    """The functions with most samples; of compiled Python, their names there."""
    names = sorted(functions, key=lambda name: (-functions[name], name))[:count]
    return [re.sub(r"^__pyx_\w*?_\d+(?=[a-zA-Z_]+$)", "", name) for name in names]


WIDTH, LEFT, ROW, BAR = 760, 96, 34, 280

STYLE = """
text{font:13px system-ui,sans-serif;fill:#1b2330}.quiet{fill:#626c7a;font-size:11px}
rect{fill:#c4520c}line{stroke:#dfe3e8}
@media (prefers-color-scheme:dark){text{fill:#e6e9ee}.quiet{fill:#9aa4b1}rect{fill:#f08a4b}
line{stroke:#30363f}}
""".replace("\n", "")


def picture(profile: Profile, title: str) -> str:
    """Horizontal bars, one a part, with the functions that take most of it; as SVG."""
    parts = shares(profile)
    scale = BAR / max(parts.values(), default=1.0)
    rows = []
    for number, (name, share) in enumerate(parts.items()):
        y = ROW * number
        end = LEFT + share * scale
        functions = html.escape(", ".join(longest(profile[name])))
        rows.append(
            f'<g transform="translate(0 {y})"><text x="{LEFT - 8}" y="21" text-anchor="end">{name}'
            f'</text><rect x="{LEFT}" y="8" width="{end - LEFT:.1f}" height="18" rx="2"/>'
            f'<text x="{end + 7:.1f}" y="16">{share:.1%}</text>'
            f'<text class="quiet" x="{end + 7:.1f}" y="29">{functions}</text></g>'
        )
    height = ROW * len(parts) + 4
    drawn = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(title)}"><style>{STYLE}</style>'
        f'<line x1="{LEFT}" y1="2" x2="{LEFT}" y2="{height - 2}"/>\n{drawn}\n</svg>\n'
    )
