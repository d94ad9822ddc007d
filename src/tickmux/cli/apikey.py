"""`tickmux apikey`: the keys with which clients authenticate."""

from typing import Annotated

import msgspec
import typer

from tickmux.cli.answers import own_stdin
from tickmux.cli.console import JsonOption, UserOption, iso, ist, note, opened, print_json, print_table
from tickmux.cli.outcome import EXIT_CODES, Misused, NotFound
from tickmux.database import ApiKeyExists, ApiKeys
from tickmux.database.api_keys import MAX_KEY_LENGTH

app = typer.Typer(help="Make, list and revoke the API keys of clients.", epilog=EXIT_CODES)

_Label = Annotated[str, typer.Option("--name", help="What the key is for, as you want to see it listed.")]


@app.command(epilog=EXIT_CODES)
def create(user: UserOption = None, name: _Label = "") -> None:
    """Make a key and print it, alone, on standard output.

    It is shown this once: only a hash of it is kept. A running server accepts it at once.

    Examples:

        tickmux apikey create --user trader

        tickmux apikey create --user trader --name "charts on the laptop"
    """
    with opened(user) as (settings, database):
        typer.echo(ApiKeys(database, settings.api_key_pepper).create(settings.tickmux_user, name))


@app.command(name="list", epilog=EXIT_CODES)
def list_keys(as_json: JsonOption = False) -> None:
    """List all keys, revoked ones included; the keys themselves are not kept.

    Examples:

        tickmux apikey list

        tickmux apikey list --json
    """
    with opened() as (settings, database):
        keys = ApiKeys(database, settings.api_key_pepper).list()
    if as_json:
        times = ("created", "last_used", "revoked")
        print_json([msgspec.structs.asdict(key) | {name: iso(getattr(key, name)) for name in times} for key in keys])
        return
    print_table(
        ("Key id", "User", "Name", "Created", "Last used", "Revoked"),
        [
            (key.key_id, key.user, key.name, ist(key.created), ist(key.last_used) or "never", ist(key.revoked))
            for key in keys
        ],
    )


@app.command(epilog=EXIT_CODES)
def revoke(key_id: Annotated[str, typer.Argument(help="As `apikey list` shows it.", metavar="KEY_ID")]) -> None:
    """End a key for good. A running server disconnects its clients within two seconds.

    Example:

        tickmux apikey revoke 5rQ0ZtYw1aBc
    """
    with opened() as (settings, database):
        if not ApiKeys(database, settings.api_key_pepper).revoke(key_id):
            raise NotFound(f"no key in use has the id {key_id!r}; see `tickmux apikey list`")
    note(f"revoked {key_id}")


@app.command(name="import", epilog=EXIT_CODES)
def import_key(user: UserOption = None, name: _Label = "") -> None:
    """Take over a key that another system made (OpenAlgo, say), so that its clients go on as they are.

    The key is asked for, or read from standard input; never give it as an argument, which others can see.
    Prints the id under which the key is listed.

    Examples:

        tickmux apikey import --user trader

        tickmux apikey import --user trader < key.txt
    """
    stdin = own_stdin()
    key: str = (
        typer.prompt("API key", hide_input=True, err=True) if stdin.isatty() else stdin.read(MAX_KEY_LENGTH + 2)
    )
    with opened(user) as (settings, database):
        try:
            key_id = ApiKeys(database, settings.api_key_pepper).import_key(key.strip(), settings.tickmux_user, name)
            typer.echo(key_id)
        except ApiKeyExists as error:
            raise Misused(f"{error}; see `tickmux apikey list`") from None
        except ValueError as error:
            raise Misused(str(error)) from None
