"""Upstox's official SDK as a stranger: it reads the same values, and finds its way around the simulator."""

import asyncio
import functools
import queue
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.upstox.upstox_wire import OPTION_KEY
from support.sdk import import_path
from tickmux.broker.upstox import BROKER
from tickmux.broker.upstox.streaming.upstox_mapping import UpstoxCodec
from tickmux.instrument import Instrument
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.upstox import UpstoxSimulator
from tickmux.tick import Tick, tick_fields

import_path("upstox-python-sdk==2.30.0")  # it asks for a package that shadows a module of the standard library

import upstox_client  # type: ignore[import-untyped]  # noqa: E402
from upstox_client.feeder import market_data_feeder_v3  # type: ignore[import-untyped]  # noqa: E402
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as theirs  # type: ignore[import-untyped]  # noqa: E402

PATIENCE = 10.0


def meaning(feed: dict[str, Any]) -> dict[str, Any]:
    """The SDK's parsed feed in our terms, for one that is complete: no zeros, no empty sides of levels."""
    full = feed.get("fullFeed", {})
    body = full.get("marketFF") or full.get("indexFF") or feed.get("firstLevelWithGreeks") or feed
    last = body.get("ltpc", {})
    found = {
        "ltp": last.get("ltp"),
        "close": last.get("cp"),
        "ltt": int(last.get("ltt", 0)),
        "last_trade_quantity": int(last.get("ltq", 0)),
        "volume": int(body.get("vtt", 0)),
        "oi": int(body.get("oi", 0)),
    }
    if full:
        for candle in body.get("marketOHLC", {}).get("ohlc", []):
            if candle.get("interval") == "1d":
                found |= {name: candle.get(name) for name in ("open", "high", "low")}
                break
        found["avg_trade_price"] = body.get("atp")
    found = {name: value for name, value in found.items() if value}
    if "marketFF" in full:
        found["total_buy_quantity"] = int(body.get("tbq", 0))
        found["total_sell_quantity"] = int(body.get("tsq", 0))
        quotes = body.get("marketLevel", {}).get("bidAskQuote", [])
        found["depth"] = {
            side: [
                {"price": quote[price], "quantity": int(quote[quantity])}
                for quote in quotes
                if quote.get(price) and quote.get(quantity)
            ]
            for side, price, quantity in (("buy", "bidP", "bidQ"), ("sell", "askP", "askQ"))
        }
    return found


def ours(tick: Tick) -> dict[str, Any]:
    found = tick_fields(tick)
    found.pop("timestamp", None)
    return found


prices = st.floats(0.0025, 1e6) | st.just(0.0)
counts = st.integers(0, 2**53 - 2)  # one is added to some, and a float of 2**53 is no count


@st.composite
def responses(draw: st.DrawFn) -> Any:
    response = theirs.FeedResponse(type=draw(st.sampled_from((0, 1))), currentTs=draw(st.integers(0, 2**42)))
    feed = response.feeds[OPTION_KEY]
    kind = draw(st.sampled_from(("ltpc", "marketFF", "indexFF", "firstLevelWithGreeks")))
    if kind == "ltpc":
        ltpc = feed.ltpc
    elif kind == "firstLevelWithGreeks":
        body = feed.firstLevelWithGreeks
        body.vtt, body.oi, body.iv = draw(counts), float(draw(counts)), draw(prices)
        body.firstDepth.bidP, body.optionGreeks.delta = draw(prices), draw(prices)
        ltpc = body.ltpc
    else:
        full = getattr(feed.fullFeed, kind)
        for interval in draw(st.permutations(("1d", "I1"))):
            full.marketOHLC.ohlc.add(
                interval=interval, open=draw(prices), high=draw(prices), low=draw(prices), close=draw(prices), ts=1
            )
        ltpc = full.ltpc
        if kind == "marketFF":
            full.atp, full.vtt, full.oi = draw(prices), draw(counts), float(draw(counts))
            full.tbq, full.tsq = float(draw(counts)), float(draw(counts))
            full.marketLevel.SetInParent()
            for _ in range(draw(st.integers(0, 30))):
                full.marketLevel.bidAskQuote.add(
                    bidP=draw(prices), bidQ=draw(counts), askP=draw(prices), askQ=draw(counts)
                )
            # Only an empty side says that its total is zero; else zero is silence, of which the SDK knows nothing.
            book = full.marketLevel.bidAskQuote
            if any(level.bidP and level.bidQ for level in book):
                full.tbq += 1.0
            if any(level.askP and level.askQ for level in book):
                full.tsq += 1.0
    ltpc.ltp, ltpc.ltt, ltpc.ltq, ltpc.cp = draw(prices), draw(st.integers(0, 2**42)), draw(counts), draw(prices)
    return response


@settings(max_examples=200, deadline=None)
@given(responses())
def test_the_official_parser_reads_the_same_ticks(response: Any) -> None:
    codec = UpstoxCodec()
    codec.subscribe([Instrument(symbol="X", exchange="NFO", token=OPTION_KEY)], "full")
    found = codec.decode(response.SerializeToString())
    assert found.event is None
    message = json_format.MessageToDict(response)
    wanted = meaning(message["feeds"][OPTION_KEY])
    if found.ticks:
        (tick,) = found.ticks
        assert ours(tick) == wanted
        assert tick.timestamp == (int(message.get("currentTs", 0)) or None)
    else:
        assert not {"ltp", "open", "volume", "depth"} & wanted.keys()


class RecordingStreamer(upstox_client.MarketDataStreamerV3):  # type: ignore[misc]
    """The SDK's streamer, which also shows the bytes that it parsed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pairs: queue.Queue[tuple[bytes, dict[str, Any]]] = queue.Queue()
        self.auto_reconnect(False)
        self.errors: list[object] = []
        self.on("error", self.errors.append)

    def handle_message(self, ws: object, message: bytes) -> None:
        parsed = json_format.MessageToDict(self.decode_protobuf(message))
        self.pairs.put((message, parsed))
        super().handle_message(ws, message)

    async def next(self) -> tuple[bytes, dict[str, Any]]:
        return await asyncio.to_thread(self.pairs.get, timeout=PATIENCE)


def test_the_official_streamer_runs_against_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK connects to its hard-coded address, so only the socket's constructor is told another one."""
    websocket = market_data_feeder_v3.websocket

    async def run() -> None:
        simulator = UpstoxSimulator(Exchange(seed=5))
        await simulator.start()
        address = simulator.urls["feed"]

        @functools.wraps(websocket.WebSocketApp)
        def connect(url: str, **options: Any) -> Any:
            assert url == "wss://api.upstox.com/v3/feed/market-data-feed"
            return websocket.WebSocketApp(address, **options)

        stand_in = type("websocket", (), {"WebSocketApp": staticmethod(connect), "ABNF": websocket.ABNF})
        monkeypatch.setattr(market_data_feeder_v3, "websocket", stand_in)
        closed: queue.Queue[object] = queue.Queue()
        configuration = upstox_client.Configuration()
        configuration.access_token = simulator.credentials["access_token"]
        ((filename, content),) = simulator.instrument_dump()
        instruments = [
            one
            for one in BROKER.instruments().parse(content, filename)
            if one.exchange in ("NSE", "NFO", "NSE_INDEX")
        ]
        keys = [one.token for one in instruments]
        streamer = RecordingStreamer(upstox_client.ApiClient(configuration), keys, "full")
        streamer.on("close", lambda code, words: closed.put(code))
        try:
            streamer.connect()
            _, status = await streamer.next()
            assert status["type"] == "market_info"
            assert status["marketInfo"]["segmentStatus"]["NSE_FO"] == "NORMAL_OPEN"
            codec = UpstoxCodec()
            codec.subscribe(instruments, "full")
            seen = compare(codec, *await streamer.next())
            assert seen == set(keys)
            for mode in ("full_d30", "option_greeks", "ltpc"):
                streamer.change_mode(keys[:40], mode)
                assert compare(codec, *await streamer.next()) == set(keys[:40])
            for _ in range(3):
                simulator.exchange.step(50)
                assert compare(codec, *await streamer.next()) <= set(keys)
            assert streamer.errors == []
        finally:
            simulator.disconnect_all(1000)  # the SDK takes this for the end, and its thread ends
            await asyncio.to_thread(closed.get, timeout=PATIENCE)
            await simulator.stop()

    asyncio.run(run())


def compare(codec: UpstoxCodec, frame: bytes, parsed: dict[str, Any]) -> set[str]:
    """Asserts that our ticks are the SDK's, and gives the instrument keys that the frame is about."""
    found = codec.decode(frame)
    assert found.event is None
    assert {tick.instrument.token for tick in found.ticks} == parsed["feeds"].keys()
    for tick in found.ticks:
        assert tick.timestamp == int(parsed["currentTs"])
        assert ours(tick) == meaning(parsed["feeds"][tick.instrument.token])
    return set(parsed["feeds"])
