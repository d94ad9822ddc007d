"""`tickmux watch`: a live table in the terminal, from any tickmux or OpenAlgo server."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import picows
import typer
import uvloop
from picows import WSFrame, WSMsgType, WSTransport
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tickmux import owned_task
from tickmux.cli.outcome import Failed, Misused, NotFound, Refused
from tickmux.config import Settings
from tickmux.errors import RequestError
from tickmux.login import IST
from tickmux.tick import Mode
from tickmux.websocket_proxy.mapping import parse_exchange, parse_mode
from tickmux.websocket_proxy.protocol import split_exchange

_REFRESH = 8
_FLASH = 0.4
_RETRY = (1.0, 2.0, 4.0, 8.0)


class _Row:
    """What is known of one instrument."""

    def __init__(self, symbol: str, exchange: str) -> None:
        self.symbol = symbol
        self.exchange = exchange
        self.data: dict[str, Any] = {}
        self.note = ""
        self.moved = 0
        self.moved_at = 0.0
        self.ticks = 0

    def take(self, data: dict[str, Any], now: float) -> None:
        old, new = self.data.get("ltp"), data.get("ltp")
        if old is not None and new is not None and new != old:
            self.moved, self.moved_at = (1 if new > old else -1), now
        self.data = data
        self.ticks += 1


class _Watch(picows.WSListener):
    """One connection: authenticates, subscribes, fills the rows."""

    def __init__(self, key: str, rows: dict[tuple[str, str], _Row], mode: Mode, depth: int) -> None:
        self._key = key
        self._rows = rows
        self._mode = mode
        self._depth = depth
        self.feed = "connecting"
        self.broker = ""
        self.failure: Failed | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._send(transport, action="authenticate", api_key=self._key, options={"feed_status": True})

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._take(transport, msgspec.json.decode(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect(False)

    def _take(self, transport: WSTransport, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "market_data":
            row = self._rows.get((message["symbol"], message["exchange"]))
            if row is not None:
                row.take(message["data"], time.monotonic())
        elif kind == "feed_status":
            self.feed = " ".join(filter(None, (message["state"], message.get("message"))))
        elif kind == "auth":
            self._authenticated(transport, message)
        elif kind == "subscribe":
            for entry in message["subscriptions"]:
                row = self._rows.get((entry["symbol"], entry["exchange"]))
                if row is not None:
                    row.note = entry.get("message", "")
            if message["status"] == "error":
                unknown = all(entry.get("code") == "SYMBOL_NOT_FOUND" for entry in message["subscriptions"])
                reasons = "; ".join(dict.fromkeys(entry.get("message", "") for entry in message["subscriptions"]))
                self._fail(transport, (NotFound if unknown else Failed)(reasons or message.get("message", "")))
        elif message.get("status") == "error":
            self._fail(transport, Failed(message.get("message", "the server refused the request")))

    def _authenticated(self, transport: WSTransport, message: dict[str, Any]) -> None:
        if message.get("status") != "success":
            self._fail(transport, Refused(message.get("message", "authentication failed")))
            return
        self.broker = message.get("broker", "")
        symbols = [{"symbol": symbol, "exchange": exchange} for symbol, exchange in self._rows]
        self._send(transport, action="subscribe", symbols=symbols, mode=self._mode.name, depth=self._depth)

    def _fail(self, transport: WSTransport, failure: Failed) -> None:
        self.failure = failure
        transport.disconnect(False)

    def _send(self, transport: WSTransport, **message: Any) -> None:
        transport.send(WSMsgType.TEXT, msgspec.json.encode(message))


def watch(
    symbols: Annotated[
        list[str], typer.Argument(help="Symbols, each with @EXCHANGE (or EXCHANGE: before it) unless it is on NSE.")
    ],
    mode: Annotated[str, typer.Option(help="LTP, QUOTE or DEPTH.")] = "LTP",
    depth: Annotated[int, typer.Option(min=1, help="Levels of depth, in DEPTH mode.")] = 5,
    url: Annotated[str | None, typer.Option(help="The server; default: WEBSOCKET_URL of the settings.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File that holds the API key; default: TICKMUX_API_KEY, or a prompt.")
    ] = None,
    duration: Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds.")] = None,
) -> None:
    """Watch live prices in the terminal.

    The API key comes from the environment variable TICKMUX_API_KEY, from --key-file, or from a prompt.

    Examples:

        tickmux watch SBIN NIFTY@NSE_INDEX --mode QUOTE

        tickmux watch BSE:RELIANCE --mode DEPTH --depth 20

    Stop it with Ctrl-C.
    """
    try:
        rows = dict(_row(text) for text in symbols)
        wanted = parse_mode(mode)
    except RequestError as error:
        raise Misused(str(error)) from None
    target = _server(url, Settings.load())
    with suppress(KeyboardInterrupt):
        uvloop.run(_watch(target, _key(key_file), rows, wanted, depth, duration))


def _row(text: str) -> tuple[tuple[str, str], _Row]:
    """`SBIN`, `SBIN@NSE` or `NSE:SBIN`."""
    symbol, exchange = split_exchange(text.strip().upper())
    if not exchange and "@" in symbol:
        symbol, _, exchange = symbol.rpartition("@")  # one that there is not: `parse_exchange` says which there are
    row = _Row(symbol, parse_exchange(exchange or "NSE"))
    return (row.symbol, row.exchange), row


def _server(given: str | None, settings: Settings) -> str:
    """The WebSocket address that is meant. Raises Misused for the web app's."""
    if given is None:
        return settings.websocket_url
    url = given.strip()
    if "://" not in url:
        url = f"ws://{url}"
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise Misused(f"{given} is no address of a server: give one such as {settings.websocket_url}")
    if parts.port == settings.web_port:
        raise Misused(f"{given} is the web app's address: the server for programs is at {settings.websocket_url}")
    return parts._replace(scheme=scheme).geturl()


def _key(key_file: Path | None) -> str:
    if key_file is not None:
        try:
            return key_file.read_text().strip()
        except OSError as error:
            raise Misused(f"{key_file}: {error.strerror}") from None
    key = os.environ.get("TICKMUX_API_KEY", "").strip()
    if key:
        return key
    if not sys.stdin.isatty():
        raise Refused("no API key: `tickmux apikey create` makes one; then `export TICKMUX_API_KEY=…`")
    return str(typer.prompt("API key", hide_input=True)).strip()


async def _watch(
    url: str, key: str, rows: dict[tuple[str, str], _Row], mode: Mode, depth: int, duration: float | None
) -> None:
    ends = time.monotonic() + duration if duration is not None else None
    attempt = 0
    with _last_line_ended(), Live(refresh_per_second=_REFRESH, console=Console()) as live:
        while ends is None or time.monotonic() < ends:
            session = _Watch(key, rows, mode, depth)
            try:
                transport, _ = await picows.ws_connect(lambda session=session: session, url, logger_name="watch")
            except picows.WSHandshakeError as error:
                status = error.response.status if error.response is not None else "no WebSocket"
                raise Failed(
                    f"{url} answers {status}: it is no address for programs, or does not let this one in; "
                    f"by default that is {Settings.load().websocket_url}"
                ) from None
            except (OSError, picows.WSError) as error:
                if attempt == 0 and not any(row.ticks for row in rows.values()):
                    reason = getattr(error, "strerror", None) or type(error).__name__
                    raise Failed(f"no server at {url} ({reason}): start one with `tickmux serve`") from None
                session.feed = "server unreachable"
            else:
                attempt = 0
                await _show(live, session, transport, rows, mode, ends)
                if session.failure is not None:
                    raise session.failure
                if ends is not None and time.monotonic() >= ends:
                    return
                session.feed = "connection lost"
            live.update(_screen(session, rows, mode, live.console.width))
            await asyncio.sleep(_RETRY[min(attempt, len(_RETRY) - 1)])
            attempt += 1


@contextmanager
def _last_line_ended() -> Iterator[None]:
    """Where output is no terminal, `Live` ends without a newline, and an error would stand on the last line."""
    try:
        yield
    finally:
        if not sys.stdout.isatty():
            print(flush=True)


async def _show(
    live: Live,
    session: _Watch,
    transport: WSTransport,
    rows: dict[tuple[str, str], _Row],
    mode: Mode,
    ends: float | None,
) -> None:
    """Redraws the table until the connection ends, or the time is up."""
    gone = owned_task.start(_gone(transport), "end of the connection")
    while not gone.done() and (ends is None or time.monotonic() < ends):
        live.update(_screen(session, rows, mode, live.console.width))
        await asyncio.wait([gone], timeout=1 / _REFRESH)
    live.update(_screen(session, rows, mode, live.console.width))
    transport.disconnect(False)
    await asyncio.wait([gone])


async def _gone(transport: WSTransport) -> None:
    await transport.wait_disconnected()


def _screen(session: _Watch, rows: dict[tuple[str, str], _Row], mode: Mode, width: int) -> Group:
    now = time.monotonic()
    table = Table(expand=False, header_style="bold")
    for name in ("symbol", "exchange"):
        table.add_column(name, no_wrap=True)
    columns = _columns(mode, width)
    for name in (*columns, "time (IST)", "ticks"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows.values():
        table.add_row(
            row.symbol, row.exchange, *(_cell(row, name, now) for name in columns), _time(row), f"{row.ticks}"
        )
    books = [_ladder(row) for row in rows.values() if row.data.get("depth")] if mode == Mode.DEPTH else []
    notes = [Text(f"{row.symbol}@{row.exchange}: {row.note}", style="red") for row in rows.values() if row.note]
    good = session.feed.startswith("live")
    status = Text.assemble("feed ", (session.broker, "bold"), " ", (session.feed, "green" if good else "yellow"))
    return Group(table, *books, *notes, status)


def _columns(mode: Mode, width: int) -> tuple[str, ...]:
    """What a terminal of this width has room for, the most wanted first to stay."""
    if mode == Mode.LTP:
        return ("ltp",)
    if width >= 140:
        return ("ltp", "change", "%", "open", "high", "low", "close", "volume", "oi")
    return ("ltp", "change", "%", "high", "low", "volume") if width >= 110 else ("ltp", "change", "%")


def _cell(row: _Row, name: str, now: float) -> Text:
    data = row.data
    if name == "%":
        value = data.get("change_percent")
        return Text("" if value is None else f"{value:+.2f}", style=_colour(value))
    value = data.get(name)
    if value is None:
        return Text("")
    if name == "change":
        return Text(f"{value:+,.2f}", style=_colour(value))
    if name in ("volume", "oi"):
        return Text(f"{value:,}")
    style = ""
    if name == "ltp" and now - row.moved_at < _FLASH:
        style = "bold green" if row.moved > 0 else "bold red"
    return Text(_price(value), style=style)


def _ladder(row: _Row) -> Table:
    book = row.data["depth"]
    table = Table(title=f"{row.symbol}@{row.exchange}", title_justify="left")
    for name in ("orders", "bid qty", "bid", "ask", "ask qty", "orders"):
        table.add_column(name, justify="right")
    for number in range(max(len(book["buy"]), len(book["sell"]))):
        table.add_row(*_side(book["buy"], number, reverse=True), *_side(book["sell"], number, reverse=False))
    return table


def _side(levels: list[dict[str, Any]], number: int, *, reverse: bool) -> list[str]:
    if number >= len(levels):
        return ["", "", ""]
    level = levels[number]
    cells = [_price(level["price"]), f"{level['quantity']:,}", str(level.get("orders", ""))]
    return cells[::-1] if reverse else cells


def _price(value: float) -> str:
    """Two decimals, or four where the price has them (currency)."""
    return f"{value:,.2f}" if round(value, 2) == value else f"{value:,.4f}"


def _time(row: _Row) -> str:
    stamp = row.data.get("timestamp")
    return datetime.fromtimestamp(stamp / 1000, IST).strftime("%H:%M:%S") if isinstance(stamp, (int, float)) else ""


def _colour(value: float | None) -> str:
    return "" if not value else "green" if value > 0 else "red"
