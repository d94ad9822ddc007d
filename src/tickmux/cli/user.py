"""`tickmux user`: who may log in to the web pages."""

from typing import Annotated

import typer

from tickmux.cli.answers import own_stdin
from tickmux.cli.console import UserOption, note, opened
from tickmux.cli.outcome import EXIT_CODES, Misused, NotFound
from tickmux.database import UnknownUser, Users
from tickmux.database.users import PASSWORD_LENGTHS
from tickmux.web.setup_code import setup_code

app = typer.Typer(help="Passwords of the web pages.", epilog=EXIT_CODES)

_Create = Annotated[bool, typer.Option("--create", help="Make the user if there is none of that name.")]


@app.command(epilog=EXIT_CODES)
def passwd(user: UserOption = None, create: _Create = False) -> None:
    """Set the password with which a user logs in to the web pages. All his web sessions end.

    The password is asked for twice, or read from standard input, one line; never give it as an argument, which others
    can see.

    Examples:

        tickmux user passwd

        tickmux user passwd --user asha --create

        tickmux user passwd --user asha < password.txt
    """
    stdin = own_stdin()
    if stdin.isatty():
        given: str = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        given = stdin.readline(PASSWORD_LENGTHS[1] + 3).rstrip("\r\n")
    least, most = PASSWORD_LENGTHS
    if not least <= len(given) <= most:
        raise Misused(f"a password has {least} to {most} characters")
    with opened(user) as (settings, database):
        name = settings.tickmux_user
        try:
            Users(database).set_password(name, given, create=create)
        except UnknownUser as error:
            raise NotFound(f"{error}: give --create to make one, or name another with --user") from None
    note(f"the password of {name} is set; web sessions that were open have ended")


@app.command(name="setup-code", epilog=EXIT_CODES)
def show_setup_code() -> None:
    """Print the code that creates the first user from another machine, or through a proxy.

    Example:

        tickmux user setup-code
    """
    with opened() as (settings, database):
        if Users(database).any():
            raise NotFound("there is a user already, and no setup code: log in, or use `tickmux user passwd`")
        typer.echo(setup_code(settings.tickmux_secret))
