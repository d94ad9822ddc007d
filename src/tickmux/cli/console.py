"""What commands share: settings and database, tables and JSON on standard output, times on Indian clocks."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from tickmux.config import Settings
from tickmux.database import Database
from tickmux.login import IST

_PIPED_WIDTH = 200

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
UserOption = Annotated[str | None, typer.Option("--user", help="Whose; TICKMUX_USER when left out.", metavar="NAME")]


@contextmanager
def opened(user: str | None = None) -> Iterator[tuple[Settings, Database]]:
    """The settings in effect, with `user` as TICKMUX_USER unless None, and the open database."""
    settings = Settings.load({"tickmux_user": user})
    with Database.open(settings) as database:
        yield settings, database


def print_json(value: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, separated: bool = False) -> None:
    """Rows of plain text (no markup) under headings; `separated` draws lines between tall rows."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=separated)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, markup=False, highlight=False)
    console.print(table)


def note(message: str) -> None:
    """A line for the user that is not the command's result."""
    typer.echo(message, err=True)


def ist(seconds: float | None) -> str:
    """A time for people: `2025-08-28 06:00 IST`; empty for none."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, IST).strftime("%Y-%m-%d %H:%M IST")


def iso(seconds: float | None) -> str | None:
    """A time for programs, in ISO 8601 with India's offset."""
    return None if seconds is None else datetime.fromtimestamp(seconds, IST).isoformat(timespec="seconds")
