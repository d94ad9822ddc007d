"""The instruments and feeds that all parts of the benchmark agree on."""

from collections.abc import Callable, Sequence

from tickmux.codec import Credentials
from tickmux.errors import RequestError
from tickmux.feeds.local_feed import Listed
from tickmux.feeds.session_keeper import Session
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Grant, StatusListener, Want, topic_name
from tickmux.websocket_proxy.feed_state import FeedInfo, FeedState, FeedStatus, InstrumentListener
from tickmux.websocket_proxy.subscription_index import TopicKey

FEED_ID = "bench:bus"
_NSE_SEGMENT = 1


def symbol(number: int) -> str:
    """The name under which the load client subscribes to an instrument."""
    return f"S{number:04d}"


def token(number: int) -> int:
    """A Kite instrument token on NSE."""
    return number << 8 | _NSE_SEGMENT


def bus_topic(number: int) -> bytes:
    """The LTP topic of an instrument in `BusFeed`."""
    return topic_name(TopicKey(FEED_ID, "NSE", symbol(number), Mode.LTP, 0))


class BusFeed:
    """A feed whose ticks another process publishes on the bus, in tickmux's own format."""

    id = FEED_ID
    broker, account = FEED_ID.split(":")
    has_orders = False
    status = FeedStatus(FeedState.LIVE, 0, "", 0)

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        keys = [TopicKey(self.id, want.exchange, want.symbol, want.mode, 0) for want in wants]
        return [Grant(key, topic_name(key)) for key in keys]

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        pass

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return lambda: None

    def instrument_status(self, symbol: str, exchange: str) -> None:
        return None

    def listen_to_instruments(self, listener: InstrumentListener) -> Callable[[], None]:
        return lambda: None

    def info(self) -> FeedInfo:
        return FeedInfo({}, (), 0, None)

    async def stop(self) -> None:
        pass


class KiteInstruments:
    """An instrument list that has every `S0000` on NSE."""

    async def resolve(self, names: Sequence[tuple[str, str]]) -> Listed:
        return Listed(1, [Instrument(name, exchange, str(token(int(name[1:])))) for name, exchange in names])

    def generation(self) -> int:
        return 1

    async def warning(self) -> str:
        return ""


class KiteSessions:
    """A session that every server accepts."""

    def version(self) -> int:
        return 1

    async def read(self) -> Session:
        return Session(Credentials({"api_key": "benchmark", "access_token": "benchmark"}), 1)
