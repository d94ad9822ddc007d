"""`tickmux instruments`: the brokers' instrument lists, by our symbols."""

import sys
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tickmux.cli.console import JsonOption, UserOption, note, opened, print_json, print_table
from tickmux.cli.outcome import EXIT_CODES, Failed, Misused, NotFound, Refused
from tickmux.codec import Credentials
from tickmux.database import BrokerSessions, InstrumentStore, ListRefused
from tickmux.database.instrument_update import DownloadFailed, update_instruments
from tickmux.instrument import EXCHANGES, Instrument
from tickmux.websocket_proxy.broker_factory import UnknownBroker, broker_names, load_broker

app = typer.Typer(help="Fetch, search and convert instrument lists.", epilog=EXIT_CODES)

_LINES_AT_A_TIME = 1000
_TIMEOUT = httpx.Timeout(30.0, read=120.0)


@app.command(epilog=EXIT_CODES)
def update(
    broker: Annotated[str, typer.Argument(help="Its name, as `tickmux brokers` shows it.")],
    user: UserOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take a list that is quite unlike the one in use, too.")
    ] = False,
) -> None:
    """Fetch a broker's instrument list and put it in the place of the old one.

    The old list stays in use when the new one cannot be had, or is so unlike it that the broker's format must have
    changed. When one of several files fails, its exchanges keep their old instruments. A running server takes the new
    list by itself.

    Examples:

        tickmux instruments update angel

        tickmux broker login zerodha && tickmux instruments update zerodha
    """
    parts = load_broker(broker)
    with opened(user) as (settings, database), httpx.Client(timeout=_TIMEOUT) as http, _progress() as progress:
        reader = parts.instruments(settings.urls(broker))
        credentials: Credentials | None = None
        if reader.needs_login:
            session = BrokerSessions(database, settings.tickmux_secret).get(settings.tickmux_user, broker)
            if session is None:
                raise Refused(f"{broker}'s list needs a session: `tickmux broker login {broker}` first")
            credentials = session.credentials
        tasks: dict[str, TaskID] = {}

        def downloaded(filename: str, done: int, total: int | None) -> None:
            if filename not in tasks:
                tasks[filename] = progress.add_task(filename, total=total)
            progress.update(tasks[filename], completed=done)

        def stored(count: int) -> None:
            if "" not in tasks:
                tasks[""] = progress.add_task("", total=None)
            progress.update(tasks[""], description=f"{count} stored")

        store = InstrumentStore(database)
        try:
            done = update_instruments(broker, reader, store, credentials, http, downloaded, stored, force=force)
        except DownloadFailed as error:
            kept = "; the old list stays in use" if store.count(broker) else ""
            if error.refused:
                raise Refused(f"{error}: `tickmux broker login {broker}`, then try again{kept}") from None
            raise Failed(f"{error}: try again later{kept}") from None
        except ListRefused as error:
            raise Failed(str(error)) from None
        info = store.info(broker)
    _report(f"{done.instruments} instruments of {broker} are in use", reader.skipped)
    if done.warning:
        note(f"not all of the list is new: {done.warning}")
    if info is not None and info.ambiguous:
        note(f"left out {info.ambiguous} names that the list gives to several instruments")


@app.command(epilog=EXIT_CODES)
def search(
    text: Annotated[list[str], typer.Argument(help="Words of the symbol or of the name, in any case.")],
    broker: Annotated[str | None, typer.Option(help="Only this broker's list.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Only this exchange, such as NFO.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, of each list.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Search the stored instrument lists: exact symbols first, then beginnings, then words.

    Examples:

        tickmux instruments search sbin

        tickmux instruments search nifty 25000 ce --exchange NFO

        tickmux instruments search "state bank" --broker zerodha --json
    """
    if exchange is not None and exchange.upper() not in EXCHANGES:
        raise Misused(f"exchange {exchange!r} is unknown: use one of {', '.join(EXCHANGES)}")
    if broker is not None and broker not in broker_names():
        raise UnknownBroker(broker)
    with opened() as (_, database):
        store = InstrumentStore(database)
        lists = [info.broker for info in store.lists() if broker in (None, info.broker)]
        if not lists:
            raise NotFound(
                f"no instrument list is stored yet: `tickmux instruments update {broker or 'BROKER'}` first"
            )
        found = [
            (name, one)
            for name in lists
            for one in store.search(name, " ".join(text), exchange and exchange.upper(), limit)
        ]
    if as_json:
        print_json([{"broker": name, **instrument_fields(one)} for name, one in found])
    if not found:
        raise NotFound(f"nothing is called {' '.join(text)!r} in the lists of {', '.join(lists)}")
    if not as_json:
        columns = ("Symbol", "Exchange", "Name", "Type", "Expiry", "Strike", "Lot", "Token", "Broker")
        print_table(columns, [_cells(name, one) for name, one in found])


@app.command(epilog=EXIT_CODES)
def parse(
    broker: Annotated[str, typer.Argument(help="Whose list it is.")],
    files: Annotated[
        list[Path], typer.Argument(help="The list as the broker gives it, all files in order.", metavar="FILE...")
    ],
) -> None:
    """Convert a broker's instrument list from a file: one JSON line for each instrument.

    Nothing is stored. What was skipped, and why, is counted on standard error.

    Examples:

        tickmux instruments parse zerodha instruments.csv > rows.jsonl

        tickmux instruments parse zerodha instruments.csv | grep '"SBIN"'
    """
    reader = load_broker(broker).instruments()
    count = 0
    for file in files:
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"there is no file {file}") from None
        except OSError as error:
            raise Failed(f"{file} cannot be read: {error.strerror}") from None
        count += _print_lines(reader.read(data, file.name))
    _report(f"{count} instruments", reader.skipped)


def instrument_fields(one: Instrument) -> dict[str, Any]:
    """An instrument as a JSON line has it: OpenAlgo's columns, `extra` when set, whole numbers as integers."""
    fields = msgspec.structs.asdict(one)
    del fields["series"]
    if not fields["extra"]:
        del fields["extra"]
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in fields.items()
    }


def _print_lines(instruments: Iterable[Instrument]) -> int:
    count = 0
    rows = iter(instruments)
    encode = msgspec.json.encode
    while batch := [encode(instrument_fields(one)).decode() for one in islice(rows, _LINES_AT_A_TIME)]:
        sys.stdout.write("\n".join(batch) + "\n")
        count += len(batch)
    sys.stdout.flush()
    return count


def _cells(broker: str, one: Instrument) -> tuple[str, ...]:
    fields = instrument_fields(one)
    strike = str(fields["strike"] or "")
    lot = str(fields["lotsize"] or "")
    return one.symbol, one.exchange, one.name, one.instrumenttype, one.expiry, strike, lot, one.token, broker


def _report(done: str, skipped: Counter[str]) -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.most_common())
    note(f"{done}; skipped {skipped.total()}{f' ({reasons})' if reasons else ''}")


def _progress() -> Progress:
    """A bar on standard error while it is a terminal; nothing otherwise."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
