"""The command line: `python -m benchmarks [--short] [--json FILE]`.

Exit codes: 0 measured (whether or not the aims are met), 1 a part failed, 2 not possible on this machine.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.measuring import Load
from benchmarks.plan import FULL, SHORT, Outcome, Plan, carry_out, judge
from benchmarks.processes import ChildFailed, NotPossibleHere, build
from benchmarks.report import as_json, machine, show, show_verdicts


def main() -> int:
    arguments = _parser().parse_args()
    plan = SHORT if arguments.short else FULL
    console, errors = Console(), Console(stderr=True)
    host = machine()
    try:
        for program in ("load_client", "bare_server"):
            build(program)
        outcomes = _measured(plan, errors)
    except NotPossibleHere as error:
        errors.print(f"[red]error:[/] {error}", highlight=False)
        return 2
    except ChildFailed as error:
        errors.print(f"[red]error:[/] {error}", highlight=False)
        return 1
    verdicts = judge(outcomes)
    show(console, plan, host, outcomes)
    show_verdicts(console, verdicts)
    if arguments.json is not None:
        arguments.json.write_bytes(as_json(plan, host, outcomes, verdicts) + b"\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="CPU a delivery and latency of tickmux's proxy, against a bare C sender. Linux, gcc.",
    )
    parser.add_argument("--short", action="store_true", help="well under a minute instead of four")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round's numbers to FILE")
    return parser


def _measured(plan: Plan, console: Console) -> list[Outcome]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=plan.runs)
        done = -1

        def begins(load: Load, what: str) -> None:
            nonlocal done
            done += 1
            progress.update(task, completed=done, description=f"{load.name}: {what}")

        return carry_out(plan, begins)


if __name__ == "__main__":
    sys.exit(main())
