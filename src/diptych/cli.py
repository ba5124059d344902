"""The command `diptych`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from .graphs.errors import DiptychError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for a wrong use, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except DiptychError as error:
        print(f"diptych: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(
        prog="diptych",
        description="Run one model define-by-run, define-then-run or both, and compare.",
    )
    parser.add_argument("--version", action="version", version=f"diptych {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    compare = commands.add_parser("compare", help="train workloads in every mode and compare")
    compare.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help="see `diptych workloads`; digits-mlp"
    )
    compare.add_argument("--modes", help="with commas between; eager,static,hybrid")
    compare.add_argument(
        "--ladder", action="store_true",
        help="in place of modes, the rungs of a workload from eager code to the fastest",
    )  # fmt: skip
    compare.add_argument(
        "--peers", default="", help="other frameworks, with commas between; see `diptych peers`"
    )
    compare.add_argument("--executor", default="native", help="native, planned or reference")
    compare.add_argument("--device", default="cpu", help="cpu or cuda:N")
    compare.add_argument("--steps", type=int, help="steps of training; the workload's own number")
    compare.add_argument("--threads", type=int, default=1, help="for every mode alike; 1")
    compare.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots")
    compare.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    compare.set_defaults(run=_compare)
    workloads = commands.add_parser("workloads", help="list the workloads")
    workloads.set_defaults(run=_workloads)
    peers = commands.add_parser("peers", help="list the other frameworks that compare knows")
    peers.set_defaults(run=_peers)
    doctor = commands.add_parser("doctor", help="say what is here and what is missing")
    doctor.set_defaults(run=_doctor)
    return parser


def _compare(options: argparse.Namespace) -> int:
    from .bench import compare

    for path in (options.html, options.json):
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            print(f"diptych: output: must be a file in a folder, got {path}", file=sys.stderr)
            return 2
    if options.html is not None and find_spec("matplotlib") is None:
        print("diptych: --html: needs plots; pip install 'diptych[report]'", file=sys.stderr)
        return 2
    report = compare(
        options.workloads or ["digits-mlp"],
        modes=None if options.modes is None else _names(options.modes),
        peers=_names(options.peers),
        executor=options.executor,
        steps=options.steps,
        threads=options.threads,
        device=options.device,
        ladder=options.ladder,
    )
    print(report)
    if options.json is not None:
        report.save_json(options.json)
    if options.html is not None:
        report.save_html(options.html)
    return 130 if report.interrupted else 0


def _workloads(options: argparse.Namespace) -> int:
    from .bench import WORKLOADS

    width = max(map(len, WORKLOADS))
    for name, workload in WORKLOADS.items():
        print(f"{name:{width}}  {workload.title}")
    return 0


def _peers(options: argparse.Namespace) -> int:
    from .bench.peers import PEERS, missing

    width = max(map(len, PEERS))
    for name in PEERS:
        print(f"{name:{width}}  {missing(name) or 'installed'}")
    return 0


def _names(text: str) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _doctor(options: argparse.Namespace) -> int:
    from .bench.machine import doctor

    print(doctor())
    return 0


if __name__ == "__main__":
    sys.exit(main())
