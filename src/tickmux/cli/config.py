"""`tickmux config`: the settings in effect, and the documents that are made of the table of variables."""

from enum import StrEnum
from itertools import groupby
from typing import Annotated

import typer

from tickmux.cli.console import print_json, print_table
from tickmux.config import Settings, as_text, variables

_ENV_HEADER = (
    "# Settings of tickmux. Copy this file to .env (in the working directory or in TICKMUX_HOME) and remove the #\n"
    "# of what you change. The environment and the command line go before it. Values shown are the defaults.\n"
)


class Format(StrEnum):
    """What `tickmux config` prints."""

    TABLE = "table"
    JSON = "json"
    ENV = "env"
    MARKDOWN = "markdown"


def config(
    form: Annotated[
        Format,
        typer.Option("--format", help="table or json: the settings in effect; env or markdown: all variables."),
    ] = Format.TABLE,
) -> None:
    """Check the configuration and show the settings in effect, secrets hidden.

    They come from the command line, the environment, .env (in the working directory or TICKMUX_HOME), then the
    defaults.

    Examples:

        tickmux config

        tickmux config --format env > .env
    """
    match form:
        case Format.ENV:
            typer.echo(env_example(), nl=False)
        case Format.MARKDOWN:
            typer.echo(markdown_tables(), nl=False)
        case Format.JSON:
            print_json(shown(Settings.load()))
        case Format.TABLE:
            print_table(("Variable", "Value"), list(shown(Settings.load()).items()))


def shown(settings: Settings) -> dict[str, str]:
    """Every variable's value in effect as text, those of secrets replaced."""
    return {
        variable.name: "(hidden)" if variable.about.secret else as_text(getattr(settings, variable.field))
        for variable in variables()
    }


def env_example() -> str:
    """All variables as a `.env` with every line commented out."""
    lines = [_ENV_HEADER]
    for group, members in groupby(variables(), lambda variable: variable.about.group):
        lines.append(f"# ---- {group} ----\n")
        for variable in members:
            about = variable.about
            lines.append(f"# {about.text}\n# Takes {about.kind.allowed}.")
            if about.default:
                lines.append(f"# Unless set: {about.default}.")
            lines.append(f"# {variable.name}={as_text(variable.default)}\n")
    return "\n".join(lines).rstrip("\n") + "\n"


def markdown_tables() -> str:
    """All variables as Markdown tables, one a group."""
    lines = []
    for group, members in groupby(variables(), lambda variable: variable.about.group):
        lines += [f"### {group}", "", "| variable | default | takes | what it is |", "| --- | --- | --- | --- |"]
        for variable in members:
            about = variable.about
            default = about.default or (f"`{variable.default_text}`" if variable.default_text else "none")
            lines.append(f"| `{variable.name}` | {default} | {about.kind.allowed} | {about.text} |")
        lines.append("")
    return "\n".join(lines)
