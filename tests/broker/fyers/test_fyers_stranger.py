"""FYERS' official SDK as a stranger: it finds its way around the simulator, and reads what our codecs read."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from broker.fyers.test_fyers_simulator import Market, market, read
from support.sdk import official_sdk
from support.stranger import Teller
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick

SDK = "fyers-apiv3==3.2.0"


@pytest.fixture
def sdk() -> Path:
    """Where the SDK is."""
    return official_sdk(SDK)


class Stranger(Teller):
    """The SDK's process and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__(process)
        self.said: list[tuple[str, Any]] = []

    def take(self, kind: str, content: Any) -> None:
        self.said.append((kind, content))

    def ticks(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Its market data as (ticker, topic, fields in our terms)."""
        found = []
        for kind, content in self.said:
            if kind == "tbt":
                found.append((content["ticker"], "tbt", deep_book(content)))
            elif kind == "hsm" and content["type"] in ("sf", "if"):
                found.append((content["symbol"], "quote", quote(content)))
            elif kind == "hsm" and content["type"] == "dp":
                found.append((content["symbol"], "dp", book(content)))
        return found


_PRICES = {
    "ltp": "ltp", "open": "open_price", "high": "high_price", "low": "low_price", "close": "prev_close_price",
    "avg_trade_price": "avg_trade_price",
}  # fmt: skip
_TIMES = {"ltt": "last_traded_time", "timestamp": "exch_feed_time"}
_QUANTITIES = {
    "volume": "vol_traded_today", "last_trade_quantity": "last_traded_qty", "total_buy_quantity": "tot_buy_qty",
    "total_sell_quantity": "tot_sell_qty",
}  # fmt: skip


def quote(message: dict[str, Any]) -> dict[str, Any]:
    """Without open interest and circuits, which the SDK hides."""
    return (
        {ours: message[theirs] for ours, theirs in _PRICES.items() if message.get(theirs)}
        | {ours: message[theirs] * 1000 for ours, theirs in _TIMES.items() if message.get(theirs)}
        | {ours: message[theirs] for ours, theirs in _QUANTITIES.items() if theirs in message}
    )


def book(message: dict[str, Any]) -> dict[str, Any]:
    return {
        side: [
            (message[f"{name}_price{i}"], message[f"{name}_size{i}"], message[f"{name}_order{i}"])
            for i in range(1, 6)
            if message[f"{name}_price{i}"] and message[f"{name}_size{i}"]
        ]
        for side, name in (("buy", "bid"), ("sell", "ask"))
    }


def deep_book(message: dict[str, Any]) -> dict[str, Any]:
    sides = {
        side: [
            level
            for level in zip(message[f"{name}price"], message[f"{name}qty"], message[f"{name}ordn"], strict=True)
            if level[0] and level[1]
        ]
        for side, name in (("buy", "bid"), ("sell", "ask"))
    }
    return {**sides, "totals": (message["tbq"], message["tsq"]), "timestamp": message["timestamp"] * 1000}


def ours(tick: Tick, deep: bool) -> tuple[str, str, dict[str, Any]]:
    ticker = tick.instrument.brsymbol
    if tick.mode is Mode.QUOTE:
        names = (*_PRICES, *_TIMES, *_QUANTITIES)
        fields = {name: getattr(tick, name) for name in names if getattr(tick, name) is not None}
        return ticker, "quote", fields
    assert tick.depth is not None
    sides: dict[str, Any] = {
        side: [(level.price, level.quantity, level.orders) for level in levels]
        for side, levels in (("buy", tick.depth.buy), ("sell", tick.depth.sell))
    }
    if not deep:
        return ticker, "dp", sides
    totals = (tick.total_buy_quantity, tick.total_sell_quantity)
    return ticker, "tbt", {**sides, "totals": totals, "timestamp": tick.timestamp}


def by_topic(ticks: list[tuple[str, str, dict[str, Any]]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The order of instruments within a message is arbitrary in the SDK; that of one instrument's ticks is not."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for ticker, topic, fields in ticks:
        found.setdefault((ticker, topic), []).append(fields)
    return found


def chosen(here: Market) -> tuple[list[Instrument], list[Instrument]]:
    """One instrument of every exchange, and those of them that have fifty levels."""
    first = {each.exchange: each for each in reversed(here.listed)}
    quoted = [*first.values(), here.find("SBIN", "NSE")]
    return quoted, [each for each in quoted if each.exchange in ("NSE", "NFO")]


def test_the_sdk_reads_what_we_read(sdk: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with market() as here:
            quoted, deep = chosen(here)
            credentials = here.simulator.credentials
            options = {
                "sdk": str(sdk),
                "urls": here.simulator.urls,
                "token": f"{credentials['app_id']}:{credentials['access_token']}",
                "quotes": [each.brsymbol for each in quoted],
                "books": [each.brsymbol for each in quoted if not each.is_index],
                "deep": [each.brsymbol for each in deep],
            }
            script = Path(__file__).with_name("fyers_sdk_client.py")
            async with Stranger.started(script, options, tmp_path) as stranger:
                topics = len(quoted) + len(options["books"]) + len(deep)
                await stranger.hear(lambda: len(stranger.ticks()) == topics)
                quotes, quote_codec = await here.connect("hsm")
                quotes.send(*quote_codec.subscribe(quoted, "depth"))
                books, book_codec = await here.connect("tbt")
                books.send(*book_codec.subscribe(deep, "depth50"))
                found: list[tuple[str, str, dict[str, Any]]] = []
                for _ in range(60):
                    found += [ours(tick, False) for tick in await read(quotes, quote_codec)]
                    found += [ours(tick, True) for tick in await read(books, book_codec)]
                    here.simulator.exchange.step(100)
                found += [ours(tick, False) for tick in await read(quotes, quote_codec)]
                found += [ours(tick, True) for tick in await read(books, book_codec)]
                await stranger.hear(lambda: len(stranger.ticks()) >= len(found))
                theirs = by_topic(stranger.ticks())
                assert len(found) > 5 * topics
                assert theirs == by_topic(found)
                quote_clients = [client for client in here.simulator.clients if client.endpoint == "hsm"]
                assert [client.session.acknowledged > 0 for client in quote_clients] == [True, True]

    asyncio.run(run())
