"""The values that a login asks for: by prompts on a terminal, by lines of standard input otherwise."""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

import typer

from tickmux.cli.outcome import Misused
from tickmux.login import Field

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

    A line that names no field is the value of the one field that is needed. Raises Misused, whose message never
    repeats what was read.
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


def _prompt(field: Field, remembered: str) -> str:
    text = f"{field.label} ({field.help})" if field.help else field.label
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
