"""A feed without an upstream of ours: any symbol may be subscribed, ticks come from publishers on the bus."""

from collections.abc import Callable, Sequence

from tickmux.errors import RequestError
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Grant, Want
from tickmux.websocket_proxy.feed_state import FeedInfo, FeedState, FeedStatus, StatusListener
from tickmux.websocket_proxy.foreign import openalgo_topic
from tickmux.websocket_proxy.subscription_index import TopicKey


class ExternalFeed:
    """OpenAlgo's publishers as a feed. Its depth is what they send; it is `live` for as long as the proxy runs,
    since publishers on the bus come and go unseen."""

    foreign = True
    has_orders = False

    def __init__(self, now_ms: Callable[[], int], broker: str = "external", account: str = "bus") -> None:
        self.id = f"{broker}:{account}"
        self.broker = broker
        self.account = account
        self._demand: dict[TopicKey, int] = {}
        self._since = now_ms()
        self._stopped = False

    @property
    def status(self) -> FeedStatus:
        state = FeedState.STOPPED if self._stopped else FeedState.LIVE
        return FeedStatus(state, self._since, "ticks come from publishers on the bus", len(self._demand))

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        granted: list[Grant | RequestError] = []
        for want in wants:
            depth = want.depth if want.mode == Mode.DEPTH else 0
            key = TopicKey(self.id, want.exchange, want.symbol, want.mode, depth)
            self._demand[key] = self._demand.get(key, 0) + 1
            granted.append(Grant(key, openalgo_topic(key)))
        return granted

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        for key in keys:
            left = self._demand.get(key, 0) - 1
            if left > 0:
                self._demand[key] = left
            else:
                self._demand.pop(key, None)

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return lambda: None

    def info(self) -> FeedInfo:
        return FeedInfo({}, (), len(self._demand), None)

    async def stop(self) -> None:
        self._stopped = True
