"""The command `tickmux`: one module for each command or group of commands, joined here."""

from typing import Annotated

import typer

from tickmux import __version__
from tickmux.cli import apikey, broker, brokers, bus_keys, config, decode, instruments, serve, user, watch
from tickmux.cli.outcome import EXIT_CODES, Commands

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    help="Live market data of Indian brokers over one WebSocket.",
    epilog=EXIT_CODES,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # it would print local variables, secrets among them
)
for command in (
    serve.serve,
    serve.proxy,
    serve.feed,
    watch.watch,
    decode.decode,
    brokers.brokers,
    bus_keys.bus_keys,
    config.config,
):
    app.command(epilog=EXIT_CODES)(command)
for group, name in (
    (apikey.app, "apikey"),
    (broker.app, "broker"),
    (instruments.app, "instruments"),
    (user.app, "user"),
):
    app.add_typer(group, name=name)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tickmux {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Live market data of Indian brokers over one WebSocket.

    Examples:

        tickmux serve --simulate zerodha

        tickmux watch SBIN NIFTY@NSE_INDEX --mode QUOTE

        tickmux apikey create --user trader
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Runs the command line of this process and exits."""
    app()
