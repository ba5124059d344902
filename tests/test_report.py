"""The page of a comparison: well formed, complete, escaped, alone, tolerant."""

import copy
import json
import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from diptych.bench import plots, quantities
from diptych.bench.report import render_html

HOSTILE = '<script>alert("&")</script>\x00'
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><rect width="3"/></svg>'


def row(mode, step, **changes):
    ratio = step / 3e-4
    return {
        "mode": mode, "executor": "planned", "steps": 300, "build_s": 4e-3, "compile_s": 1e-2,
        "first_step_s": 1e-3, "step_s": {"median": step, "low": step * 0.97, "high": step * 1.03},
        "ratio_to_eager": {"median": ratio, "low": ratio * 0.98, "high": ratio * 1.02},
        "peak_bytes": 12345, "operators": 1040, "launches": 38, "bytes_moved": 1, "allocations": 10,
        "certificate": "ab" * 32, "loss_first": 2.3, "loss_last": 0.1, "accuracy": 0.972,
        "numeric_diff": 0.0, "losses": [2.3 * 0.99**i for i in range(300)],
        "memory_timeline": [1000 * min(i, 40 - i) for i in range(40)],
    } | changes  # fmt: skip


def result(**changes):
    return {
        "schema": 1,
        "versions": {"diptych": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"},
        "machine": {"cpu": "A processor", "cores": 2, "memory_bytes": 8 << 30, "blas": "a blas"},
        "threads": 1,
        "workload": "digits-mlp",
        "title": "Handwritten digits",
        "identical": True,
        "certified_steps": 50,
        "break_even_steps": {
            "static": {"steps": 130, "low": 110, "high": 160, "verdict": "pays"},
            "hybrid": {"steps": None, "low": None, "high": None, "verdict": "never"},
        },
        "rows": [row("eager", 3e-4), row("static", 1.5e-4), row("hybrid", 3.3e-4)],
        "graph_svg": SVG,
    } | changes


def parsed(page):
    assert page.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(page.partition("\n")[2])


def words(page):
    return " ".join("".join(parsed(page).itertext()).split())


def test_page_is_well_formed_and_has_every_row():
    root = parsed(render_html([result()]))
    heads = [th for th in root.iter("th") if th.get("scope") == "row"]
    assert ["".join(th.itertext()) for th in heads] == ["eager", "static", "hybrid"] * 2


def test_page_refers_to_nothing_outside():
    page = render_html([result(), result(workload="other")])
    root = parsed(page)
    for element in root.iter():
        assert element.tag.rpartition("}")[2] not in ("script", "link", "img", "iframe", "object")
        for name, value in element.attrib.items():
            if name.rpartition("}")[2] in ("src", "href"):
                assert value.startswith("#")
    assert set(re.findall(r"https?:[^\"'\s]*", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", page))


def test_ids_are_unique_and_links_lead_somewhere():
    root = parsed(render_html([result(), result(workload="other")]))
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert {link[1:] for link in links} <= set(ids)


def test_page_is_the_same_each_time():
    assert render_html([result()]) == render_html([result()])


def test_finding_names_fastest_and_break_even():
    said = words(render_html([result()]))
    assert "Identical: every mode ran the same kernels" in said
    assert "fastest in static: 150 µs against 300 µs in eager, 2.00× as fast" in said
    assert "Building static has paid after 130 steps (110 to 160)" in said
    assert "building hybrid never pays" in said


def test_eager_can_win():
    rows = [row("eager", 3e-4), row("static", 6e-4)]
    said = words(render_html([result(rows=rows, break_even_steps={})]))
    assert "fastest in eager: 300 µs against 600 µs in static, 2.00× as fast" in said


def test_no_difference_is_called_none():
    rows = [row("eager", 3e-4), row("static", 2.99e-4)]
    assert "No difference shows" in words(render_html([result(rows=rows)]))


def test_an_open_break_even_says_so():
    found = {"static": {"steps": 40, "low": 20, "high": None, "verdict": "open"}}
    said = words(render_html([result(break_even_steps=found)]))
    assert "may have paid after 40 steps (20 to never)" in said


def test_skipped_rows_show_their_reason():
    rows = [row("eager", 3e-4), {"mode": "cuda", "skipped": "no device <here>"}]
    page = render_html([result(rows=rows)])
    assert "skipped: no device <here>" in words(page)


def test_disagreement_comes_first_in_red_with_its_size():
    rows = [row("eager", 3e-4), row("static", 2e-4, numeric_diff=3.2e-4, certificate="cd" * 32)]
    page = render_html([result(identical=False, rows=rows)])
    alarm = next(e for e in parsed(page).iter() if e.get("role") == "alert")
    said = "".join(alarm.itertext())
    assert "Modes disagree" in said and "0.00032" in said and "cdcdcd" in said
    assert page.index('role="alert"') < page.index("<section")
    assert 'role="alert"' not in render_html([result()])


def test_an_unknown_identity_is_no_claim():
    said = words(render_html([result(identical=None)]))
    assert "not certified" in said and "Identical:" not in said


def test_every_string_is_escaped():
    rows = [
        row(HOSTILE, 1e-4, executor=HOSTILE, certificate=HOSTILE),
        {"mode": HOSTILE, "skipped": HOSTILE},
    ]
    hostile = result(
        rows=rows, workload=HOSTILE, title=HOSTILE, identical=False, device=HOSTILE,
        versions={HOSTILE: HOSTILE, "python": HOSTILE}, machine={"cpu": HOSTILE, HOSTILE: HOSTILE},
        threads=HOSTILE, break_even_steps={HOSTILE: {"steps": 3, "low": 1, "high": 9}},
    )  # fmt: skip
    page = render_html([hostile, result()])
    assert "<script" not in page
    assert '<script>alert("&")</script>' in words(page)


@pytest.mark.parametrize(
    "svg",
    [
        '<svg xmlns="http://www.w3.org/2000/svg"><script>x</script><g onclick="x"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:l="http://www.w3.org/1999/xlink">'
        '<a l:href="http://x"><rect/></a><image href="http://x"/><use href="http://x"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><rect fill="url(http://x)"/>'
        '<style>@import "http://x";</style><style>a{b:url(http://x)}</style></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><foreignObject><p>x</p></foreignObject></svg>',
        '<!DOCTYPE svg [<!ENTITY x "http://x">]><svg>&x;</svg>',
        "<script>x</script>",
        "not a picture http://x",
        17,
    ],
)
def test_a_foreign_picture_can_do_no_harm(svg):
    page = render_html([result(graph_svg=svg)])
    parsed(page)
    for harm in ("<script", "onclick", "http://x", "foreignObject", "@import"):
        assert harm not in page


def test_a_picture_too_large_is_left_out():
    huge = SVG.replace("<rect", "<rect/>" * 100_000 + "<rect")
    page = render_html([result(graph_svg=huge)])
    assert "too large" in page and len(page) < 400_000


def test_page_stays_small():
    drawn = SVG.replace("<rect", "<rect/>" * 50_000 + "<rect")
    long = {"losses": [1.0 / (1 + i) for i in range(50_000)], "memory_timeline": [5] * 20_000}
    rows = [row(mode, 1e-4, **long) for mode in ("eager", "static", "hybrid")]
    page = render_html([result(graph_svg=drawn, rows=rows)] * 3)
    assert len(page.encode()) < 1_000_000


@pytest.mark.parametrize("key", list(result()))
def test_a_result_without_a_key_is_shown(key):
    less = result()
    del less[key]
    parsed(render_html([less]))


KEYS = list(row("eager", 1.0))
ODD = [None, math.nan, [], -1, [None, math.nan, 1.0, "text"], {"median": -1}]


def show_with(key, change):
    odd = copy.deepcopy(result())
    for each in odd["rows"][:2]:
        each[key] = change
    parsed(render_html([odd]))


@pytest.mark.parametrize("key", KEYS)
def test_a_row_without_a_key_is_shown(key):
    less = result()
    del less["rows"][1][key]
    parsed(render_html([less]))


@pytest.mark.parametrize("key", KEYS)
def test_a_row_with_text_for_a_number_is_shown(key):
    show_with(key, "text")


@pytest.mark.parametrize("change", ODD, ids=repr)
@pytest.mark.parametrize("key", ["mode", "step_s", "first_step_s", "losses", "memory_timeline"])
def test_a_row_with_anything_that_is_plotted_is_shown(key, change):
    show_with(key, change)


@pytest.mark.full
@pytest.mark.parametrize("change", ODD, ids=repr)
@pytest.mark.parametrize("key", KEYS)
def test_a_row_with_anything_is_shown(key, change):
    show_with(key, change)


def test_nothing_is_shown_too():
    assert "no results" in words(render_html([]))
    parsed(render_html([{}]))
    parsed(render_html([{"rows": [{}], "break_even_steps": {"static": 12, "hybrid": None}}]))


def test_numbers_survive_json():
    assert render_html(json.loads(json.dumps([result()]))) == render_html([result()])


def test_colours_are_the_modes_own():
    positions = {"eager": 0, "static": 1, "hybrid": 2}
    drawn = plots.draw_plots(result(), positions, "w0")
    assert [plot.title for plot in drawn] == ["Cumulative time", "Memory over a step", "Loss"]
    for plot in drawn:
        ElementTree.fromstring(plot.svg)
        assert not re.search(r"#[0-9a-f]{6}\b", plot.svg.replace("#000000", ""))
        for position in range(3):
            assert f"var(--a{position})" in plot.svg


def test_without_matplotlib_the_tables_stay(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = words(render_html([result()]))
    assert "diptych[report]" in said and "1.00 ms" in said


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0"), (1.5, "1.50 s"), (2e-3, "2.00 ms"), (3.2e-4, "320 µs"), (5e-9, "5.00 ns"),
     (9.999e-4, "1.00 ms"), (123.4, "123 s"), (None, "–"), (math.nan, "–"), ("x", "–")],
)  # fmt: skip
def test_seconds(value, written):
    assert quantities.seconds(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(512, "512 B"), (1536, "1.50 KiB"), (3 << 30, "3.00 GiB"), (True, "–")]
)
def test_size(value, written):
    assert quantities.size(value) == written


def test_import_loads_no_plotting_library():
    code = "import sys, diptych.bench, diptych.bench.report; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
