"""What the members' adapters share: channel, streams, handshake, rules about closes (specification, 3 to 7)."""

from collections.abc import Mapping
from typing import ClassVar

import httpx

from tickmux.broker._noren.noren_codec import DEPTH, EXCHANGES, REFUSAL, TOUCHLINE, NorenCodec
from tickmux.broker._noren.session_memory import SessionMemory
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import (
    AuthRejected,
    BaseBrokerWebSocketAdapter,
    Channel,
    Endpoint,
    Stream,
    Unavailable,
)

_EVICTED_WAIT = 60.0


def noren_channel(*, symbols: int = 1000, max_symbols: int = 3000, batch: int = 100, pause: float = 0.0) -> Channel:
    """One connection per user id. Where no limit is published, 1000 scrips are the default and 3000 the most.

    The codec beats every 30 s; it is asked every 10 s, since it also looks after snapshots that do not come.
    """
    return Channel(
        symbols=symbols,
        connections=1,
        max_symbols=max_symbols,
        batch=batch,
        frame_gap=0.1,
        heartbeat_interval=10.0,
        ping_interval=30.0,
        stall_after=45.0,  # a ping and 10 s for its pong
        quiet_after=120.0,
        backoff=(5.0, 60.0),
        pause=pause,
    )


class NorenAdapter(BaseBrokerWebSocketAdapter):
    """A member sets names, URLs (`feed` at least) and what differs: `codec_class`, `channels`, `spare_refusals`."""

    transport = "WebSocket, JSON with deltas (Noren)"
    exchanges: ClassVar[tuple[str, ...]] = EXCHANGES
    token_life = "one trading day"  # noqa: S105
    channels = {"main": noren_channel()}
    omits_exchange = True
    codec_class: ClassVar[type[NorenCodec]] = NorenCodec
    evictions: ClassVar[int] = 4
    """Sessions in a row, each ended by the broker within seconds, that another program with this user id explains."""

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self.memory = SessionMemory()

    def spare_refusals(self, credentials: Credentials) -> int:
        """How many refusals in a row are no proof against these credentials."""
        return 0

    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        return (Stream("main", DEPTH if mode is Mode.DEPTH else TOUCHLINE),)

    def codec(self, channel: str) -> FeedCodec:
        return self.codec_class(self.memory, self.channels[channel].symbol_limit, self.lone_tokens)

    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        self.memory.attempt(credentials, self.spare_refusals(credentials))
        return Endpoint(self.urls["feed"])

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        failure = super().handshake_failure(status, reason, headers, body)
        return AuthRejected(REFUSAL) if isinstance(failure, AuthRejected) else failure

    def close_failure(self, code: int, reason: str) -> Exception | None:
        self.memory.ended(by_broker=True)
        if self.memory.short_lives >= self.evictions:
            return Unavailable(
                "the broker ends every session within seconds: another program seems to use this user id",
                _EVICTED_WAIT,
            )
        return None


class FamilyAdapter(NorenAdapter):
    """The protocol without a broker, for frames of the family."""

    name = "_noren"
    display_name = "Noren"
    default_urls = {"feed": "wss://localhost/NorenWSAPI/"}
