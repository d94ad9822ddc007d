"""What a person reads, and what a program reads."""

import os
import platform
from collections.abc import Sequence
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Run
from benchmarks.plan import Outcome, Plan, Spread, Verdict

_PROGRAMS = {
    "one_send": "C, frame by frame",
    "tickmux": "tickmux",
    "same_sends": "C, same sends",
}
_BUSY = 0.5
"""Runnable processes a core, before the start, from which on the machine counts as busy."""


def machine() -> dict[str, Any]:
    """Where the numbers are from; `load` is how many processes wanted a core before the benchmark began."""
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def show(console: Console, plan: Plan, host: dict[str, Any], outcomes: Sequence[Outcome]) -> None:
    """One table a load, then the ratios."""
    for outcome in outcomes:
        load = outcome.load
        table = Table(
            box=box.SIMPLE_HEAD,
            title=f"\n{load.name} = {load.deliveries:,.0f} deliveries/s",
            caption=f"LTP, throttle_ms 0; {load.symbols:,} symbols; {load.batch} tick(s) a message; "
            f"medians of {plan.rounds} × {plan.window.measure:g} s."
            + ("\n* one run, from a broker's binary frame on, QUOTE" if outcome.broker else ""),
            title_justify="left",
            caption_justify="left",
            pad_edge=False,
            collapse_padding=True,
        )
        table.add_column("program", no_wrap=True)
        for heading in (
            "µs CPU a\ndelivery", "cores", "deli-\nvered", "frames\na send", "p50 ms", "p99 ms", "client\ncores",
        ):  # fmt: skip
            table.add_column(heading, justify="right")
        for program, title in _PROGRAMS.items():
            table.add_row(title, *_figures(_median(outcome, program)))
        if outcome.broker is not None:
            table.add_row("tickmux, broker*", *_figures(outcome.broker))
        console.print(table)
        _show_ratio(console, "C, frame by frame (the aim)", outcome.ratio_one_send)
        _show_ratio(console, "C, same sends (Python's share)", outcome.ratio_same_sends)
    if host["load"] > _BUSY * host["cores"]:
        console.print(
            f"\n[yellow]The machine was busy before this began (load {host['load']:.1f} on {host['cores']} cores): "
            "latencies are worse than they should be; ratios hold better."
        )


def show_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    console.print("\n[bold]Aims")
    for verdict in verdicts:
        word = "[green]met    " if verdict.met else "[red]NOT MET"
        console.print(f"  {word}[/]  {verdict.aim}: {verdict.value:.2f} (at most {verdict.limit:g})", highlight=False)


def as_json(plan: Plan, host: dict[str, Any], outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> bytes:
    """Everything, every round."""
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "machine": host,
                "rounds": plan.rounds,
                "window": plan.window,
                "outcomes": outcomes,
                "aims": [{**msgspec.to_builtins(verdict), "met": verdict.met} for verdict in verdicts],
            }
        )
    )


def _median(outcome: Outcome, program: str) -> Run:
    return msgspec.convert({name: outcome.median(program, name) for name in Run.__struct_fields__}, Run, strict=False)


def _figures(run: Run) -> tuple[str, ...]:
    complete = f"{min(run.complete, 1.0):.1%}"
    return (
        f"{run.cpu_us:.2f}",
        f"{run.cores:.2f}",
        complete if run.complete >= 0.99 else f"[yellow]{complete}[/]",
        f"{run.frames_a_send:.1f}",
        f"{run.p50_ms:.2f}",
        f"{run.p99_ms:.2f}",
        f"{run.client_cores:.2f}",
    )


def _show_ratio(console: Console, against: str, ratio: Spread) -> None:
    console.print(
        f"  tickmux ÷ {against}: [bold]{ratio.median:.2f}[/] ({ratio.least:.2f}-{ratio.most:.2f})", highlight=False
    )
