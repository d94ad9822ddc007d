"""The values that a login asks for: by prompts on a terminal, by lines of standard input otherwise."""

import io
import os
import re
import sys
import termios
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TextIO

import typer

from tickmux.cli.outcome import Misused
from tickmux.login import Field

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
"""What may be meant as a field's name; a token may hold `=` at its end only, and an address holds more than this."""
_MAX_LINE = 64 * 1024
_MAX_LINES = 100


def own_stdin() -> TextIO:
    """Standard input as a stream of its own.

    A thread may wait in it for good: Python's own stream would be locked by that, and is needed at exit.
    """
    try:
        return os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8", errors="replace")
    except (io.UnsupportedOperation, AttributeError):  # replaced by an object without a descriptor
        return sys.stdin


def ask(fields: Sequence[Field], remembered: Mapping[str, str], stdin: TextIO) -> dict[str, str]:
    """The fields' values. What is remembered is offered to a person, and used where a script does not say."""
    if stdin.isatty():
        return {field.name: _prompt(field, remembered.get(field.name, "")) for field in fields}
    return read(fields, remembered, stdin)


def read(fields: Sequence[Field], remembered: Mapping[str, str], stream: TextIO) -> dict[str, str]:
    """Values from `name=value` lines, up to an empty line, the end, or the last field.

    A line without a name is the value of the one field that is needed. Raises Misused, also for a name that is not
    asked for; its message never repeats a value that was read.
    """
    names = {field.name for field in fields}
    given: dict[str, str] = {}
    alone: list[str] = []
    for _ in range(_MAX_LINES):
        if names <= given.keys() or not (line := stream.readline(_MAX_LINE).strip()):
            break
        name, equals, value = line.partition("=")
        if equals and name.strip() in names:
            given[name.strip()] = value.strip()
        elif equals and value.strip("= ") and _NAME.fullmatch(name.strip()):
            # It would go to the broker as the value of another field.
            raise Misused(
                f"standard input names {name.strip()!r}, which is not asked for: it takes {_listed(fields)}"
            )
        else:
            alone.append(line)
    if alone:
        open_fields = [field.name for field in fields if not field.optional and field.name not in given]
        if len(open_fields) > 1:
            open_fields = [name for name in open_fields if name not in remembered]
        if len(alone) > 1 or len(open_fields) != 1:
            raise Misused(f"standard input has to be lines of name=value, with {_listed(fields)}")
        given[open_fields[0]] = alone[0]
    values = {field.name: given.get(field.name) or remembered.get(field.name, "") for field in fields}
    if missing := [field for field in fields if not field.optional and not values[field.name]]:
        raise Misused(f"standard input does not say {_listed(missing)} (lines of name=value)")
    return values


async def answer(field: Field, stdin: TextIO, next_line: Callable[[], Awaitable[str]] | None = None) -> str:
    """What a broker asks in the middle of a login.

    `next_line` gives the lines of `stdin` where something else reads from it already; empty at the end.
    Raises Misused, whose message never repeats what was read.
    """

    async def read_line() -> str:
        return stdin.readline(_MAX_LINE)

    next_line = next_line or read_line
    if not stdin.isatty():
        return _answer_in(await next_line(), field)
    while True:
        with _unechoed(stdin) if field.secret else nullcontext():
            typer.echo(f"{_question(field)}: ", nl=False, err=True)
            line = await next_line()
        if field.secret:
            typer.echo(err=True)  # the newline that was not echoed either
        if not line:
            raise typer.Abort
        if line.strip() or field.optional:
            return line.strip()


def _answer_in(line: str, field: Field) -> str:
    """The value of a line `name=value`, or of one that is the value alone."""
    name, equals, value = line.strip().partition("=")
    if not (equals and name.strip() == field.name):
        # `other=1` is meant for something else; `c2VzYW1l==` is a value.
        value = "" if value.strip("=") and name.strip().isidentifier() else line
    if not (value := value.strip()) and not field.optional:
        raise Misused(
            f"the broker asks for {field.label}: the next line of standard input has to be {field.name}=value; "
            "or log in at a terminal, which asks"
        )
    return value


@contextmanager
def _unechoed(stdin: TextIO) -> Iterator[None]:
    """A terminal that does not show what is typed.

    Not the usual hidden prompt, which would read from the terminal beside a thread that reads from it already.
    """
    before = termios.tcgetattr(stdin)
    silent = termios.tcgetattr(stdin)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


def _question(field: Field) -> str:
    return f"{field.label} ({field.help})" if field.help else field.label


def _prompt(field: Field, remembered: str) -> str:
    text = _question(field)
    if remembered and field.secret:
        text += " [Enter: as before]"
    answer: str = typer.prompt(
        text,
        default=remembered or ("" if field.optional else None),
        hide_input=field.secret,
        show_default=bool(remembered) and not field.secret,
        err=True,
    )
    return answer.strip()


def _listed(fields: Sequence[Field]) -> str:
    return ", ".join(f"{field.name} (optional)" if field.optional else field.name for field in fields)
