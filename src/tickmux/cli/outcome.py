"""How a command ends: one exit code for each kind of failure, and one line on standard error."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

EXIT_CODES = "Exit codes: 0 done · 1 failed · 2 wrong usage or setting · 3 not found · 4 login or session refused"

_CommandLineError: type[BaseException] = typer.BadParameter.__mro__[2]
"""What a wrong command line raises (ClickException, which has moved from module to module)."""


class Failed(Exception):
    """The command could not do its work; the message is one line for the user."""

    exit_code = 1


class Misused(Failed):
    """What the user gave cannot be used."""

    exit_code = 2


class NotFound(Failed):
    """What the user named does not exist."""

    exit_code = 3


class Refused(Failed):
    """There is no broker session, or the broker does not accept it."""

    exit_code = 4


class Commands(TyperGroup):
    """The root of all commands: turns every expected failure into its line and exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        # A command says by itself, on one line, what the database's log would say a second time; servers log to a
        # handler of their own.
        logging.getLogger("tickmux.database").addHandler(logging.NullHandler())
        try:
            code = super().main(args, "tickmux", complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            code = fail("stopped", 1)
        except _CommandLineError as error:
            code = fail(_usage(error), 2)
        except Exception as error:
            code = fail(_message(error), exit_code(error))
        if standalone_mode:
            sys.exit(code or 0)
        return code


def fail(message: str, code: int) -> int:
    """Says why on one line; returns `code`."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def exit_code(error: Exception) -> int:
    """The exit code of an expected failure; raises any other error again."""
    # What raised the error has imported these already, or it is none of them.
    from sqlalchemy.exc import SQLAlchemyError

    from tickmux.config import ConfigError
    from tickmux.database import DatabaseFailed, EmptyList, SessionUnreadable
    from tickmux.home_lock import HomeTaken
    from tickmux.instrument_list import ListFormatError
    from tickmux.login import LoginFailed
    from tickmux.websocket_proxy.broker_factory import UnknownBroker
    from tickmux.websocket_proxy.port_check import PortTaken

    match error:
        case Failed():
            return error.exit_code
        case ConfigError():
            return 2
        case UnknownBroker():
            return 3
        case LoginFailed() | SessionUnreadable():
            return 4
        case DatabaseFailed() | HomeTaken() | SQLAlchemyError() | EmptyList() | ListFormatError() | PortTaken():
            return 1
        case UnicodeEncodeError():  # an argument that is no text in this terminal's encoding
            return 2
    raise error


def _message(error: Exception) -> str:
    from tickmux.database.engine import reason

    # A driver's error is wrapped together with its statement, which says nothing to the user.
    return f"the database failed: {reason(error)}" if hasattr(error, "orig") else str(error)


def _usage(error: Any) -> str:
    message: str = error.format_message()
    context = getattr(error, "ctx", None)
    hint = f" (see `{context.command_path} --help`)" if context else ""
    return message.rstrip(".") + hint
