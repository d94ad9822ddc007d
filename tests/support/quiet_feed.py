"""A real LocalFeed whose sockets are none, for races on a virtual clock: nothing here waits for anything real."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from tickmux.codec import Credentials, Decoded, FeedCodec
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.feed_connection import FeedConnection
from tickmux.feeds.local_feed import Listed, LocalFeed
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.session_keeper import Session
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter, Channel, Endpoint, Stream
from tickmux.websocket_proxy.connection_manager import PoolLimits
from tickmux.websocket_proxy.feed import Want


class SilentBus:
    """Takes everything."""

    dropped = 0

    def __init__(self) -> None:
        self.closed = False

    async def wait_ready(self, timeout: float) -> bool:
        return True

    def send(self, parts: Sequence[bytes]) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class PlainCodec(FeedCodec):
    def wire_key(self, instrument: Instrument) -> str:
        return instrument.token

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Any]:
        return [f"+{','.join(one.token for one in instruments)}"]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Any]:
        return [f"-{','.join(one.token for one in instruments)}"]

    def decode(self, frame: bytes | str) -> Decoded:
        return Decoded()


class PlainAdapter(BaseBrokerWebSocketAdapter):
    """One channel; an instrument called ODD is a defect of the adapter's."""

    name = "zerodha"
    display_name = "Plain"
    transport = ""
    token_life = ""
    exchanges = ("NSE", "NFO")
    channels = {"main": Channel(symbols=10_000, connections=3)}
    default_urls: dict[str, str] = {}

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        if instrument.symbol == "ODD":
            raise ValueError("no such segment")
        return (Stream("main", "quote"),)

    def codec(self, channel: str) -> PlainCodec:
        return PlainCodec()

    async def endpoint(self, channel: str, credentials: Credentials, http: Any) -> Endpoint:
        return Endpoint("ws://127.0.0.1:9")


class QuietLink:
    """A socket that takes everything and says nothing."""

    def __init__(self) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self.sent: list[Any] = []

    def send(self, frame: Any) -> None:
        self.sent.append(frame)

    def ping(self) -> None:
        pass

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


class SlowList:
    """An instrument list whose answers take `delay` seconds, as it was when they were asked for."""

    def __init__(self, *symbols: str) -> None:
        self.rows = {(symbol, "NSE"): Instrument(symbol, "NSE", symbol) for symbol in symbols}
        self.version = 1
        self.delay = 0.0
        self.failing = False

    def replace(self, **tokens: str) -> None:
        """A new list: symbol -> token."""
        self.rows = {(symbol, "NSE"): Instrument(symbol, "NSE", token) for symbol, token in tokens.items()}
        self.version += 1

    async def resolve(self, names: Sequence[tuple[str, str]]) -> Listed:
        missing = RequestError(ErrorCode.SYMBOL_NOT_FOUND, "not listed")
        listed = Listed(self.version, [self.rows.get(name, missing) for name in names])
        await asyncio.sleep(self.delay)
        if self.failing:
            raise OSError("server closed the connection")
        return listed

    def generation(self) -> int:
        return self.version

    async def warning(self) -> str:
        return ""


class StoredOnce:
    def version(self) -> int:
        return 1

    async def read(self) -> Session:
        return Session(Credentials({"token": "a"}), 1)


def quiet_feed(
    instruments: SlowList, adapter: BaseBrokerWebSocketAdapter | None = None, account: str = "u"
) -> LocalFeed:
    """The feed, in the running loop."""
    feed = LocalFeed(
        adapter or PlainAdapter(),
        account,
        bus=SilentBus(),  # type: ignore[arg-type]
        instruments=instruments,
        sessions=StoredOnce(),
        limits=PoolLimits(),
        hours=MarketHours(always_open=True),
        rng=random.Random(1),
    )

    async def connect(*_: Any) -> Any:
        return QuietLink()

    feed.pool._open = lambda channel, number: FeedConnection(
        feed, channel, number, clock=asyncio.get_running_loop().time, rng=random.Random(1), connect=connect
    )
    return feed


def want(symbol: str, mode: Mode = Mode.LTP) -> Want:
    return Want(symbol, "NSE", mode, 0)
