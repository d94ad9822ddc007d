"""What runs, in numbers: for Prometheus, and for the dashboard. Reads counters, counts nothing itself.

Called from the web server's threads while the event loop counts: every reading is of single attributes, so that it
may be a moment old but never torn.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tickmux.runtime import Runtime
from tickmux.websocket_proxy.feed_state import FeedCounters, FeedState

_FEED_HELP = {
    "connects": "Connections to the broker that were established.",
    "reconnects": "Connections that were lost or refused.",
    "frames": "Frames received from the broker.",
    "bytes": "Bytes received from the broker.",
    "ticks": "Ticks decoded.",
    "heartbeats": "Heartbeats received.",
    "malformed": "Frames that could not be decoded.",
    "unknown": "Messages of an unknown kind.",
    "unrouted": "Packets about an instrument that is not subscribed, or not unique.",
    "broker_errors": "Errors that the broker reported.",
    "auth_failures": "Refused credentials.",
    "stalls": "Connections replaced because they were silent.",
    "resubscribed": "Instruments subscribed again on the same connection because they ought to tick and did not.",
    "refused": "Instruments that the broker would not subscribe.",
    "bus_dropped": "Ticks that found the bus full.",
    "ignored": "Messages of publishers that are no market data.",
    "crossed_books": "Books whose best bid was above the best ask in continuous trading; passed on.",
    "price_jumps": "Prices more than 20 % from the last one and outside the circuit limits; passed on.",
}


class RuntimeMetrics:
    """A Prometheus collector of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def collect(self) -> Iterable[Metric]:
        yield from self._proxy()
        yield from self._bus()
        yield from self._feeds()

    def _proxy(self) -> Iterable[Metric]:
        proxy = self._runtime.proxy
        dispatcher, counters = proxy.dispatcher, proxy.counters
        for name, text, value in (
            ("received", "Payloads taken from the bus.", dispatcher.received),
            ("delivered", "Frames handed to clients.", dispatcher.delivered),
            ("conflated", "Payloads that a newer one replaced.", dispatcher.conflated),
            ("unrouted", "Payloads that nobody subscribes to.", dispatcher.unrouted),
            ("malformed", "Bus messages that are none.", dispatcher.malformed),
            ("connections", "Clients that have connected.", counters.connections),
            ("requests", "Requests of clients.", counters.requests),
            ("bad_requests", "Requests that made no sense.", counters.bad_requests),
            ("auth_failures", "Keys that were not valid.", counters.auth_failures),
            ("rate_limited", "Requests and subscriptions beyond the limits.", counters.rate_limited),
            ("pauses", "Times that a client fell behind.", counters.pauses),
            ("bytes", "Bytes written to clients.", counters.bytes),
        ):
            yield CounterMetricFamily(f"tickmux_proxy_{name}", text, value=value)
        closes = CounterMetricFamily("tickmux_proxy_closes", "Clients that were closed.", labels=["code"])
        for code, count in tuple(counters.closes.items()):
            closes.add_metric([str(code)], count)
        yield closes
        refused = CounterMetricFamily("tickmux_proxy_refused", "Clients that were refused.", labels=["reason"])
        for reason, count in tuple(proxy.refusals.counts.items()):
            refused.add_metric([reason], count)
        yield refused
        yield GaugeMetricFamily("tickmux_proxy_clients", "Clients connected now.", value=len(proxy.clients))
        yield GaugeMetricFamily(
            "tickmux_proxy_unauthenticated", "Connections that have shown no key yet.", value=proxy.unauthenticated
        )
        yield GaugeMetricFamily("tickmux_proxy_subscriptions", "Subscriptions held.", value=proxy.index.subscriptions)

    def _bus(self) -> Iterable[Metric]:
        door, remote = self._runtime.door, self._runtime.remote_bus
        for name, text, value in (
            ("connections", "Connections to the bus' port.", door.connections if door else 0),
            ("admitted", "Connections that were let in.", door.admitted if door else 0),
            ("stale", "Messages of the feed process that were too old, and dropped.", remote.stale if remote else 0),
        ):
            yield CounterMetricFamily(f"tickmux_bus_{name}", text, value=value)

    def _feeds(self) -> Iterable[Metric]:
        labels = ["broker", "account"]
        feeds = [(feed, feed.info()) for feed in self._runtime.running_feeds()]
        for name, text in _FEED_HELP.items():
            family = CounterMetricFamily(f"tickmux_feed_{name}", text, labels=labels)
            for feed, info in feeds:
                family.add_metric([feed.broker, feed.account], getattr(info.counters, name, 0))
            yield family
        symbols = GaugeMetricFamily("tickmux_feed_symbols", "Instruments subscribed upstream.", labels=labels)
        states = GaugeMetricFamily(
            "tickmux_feed_state", "1 for the state that a feed is in.", labels=[*labels, "state"]
        )
        for feed, info in feeds:
            symbols.add_metric([feed.broker, feed.account], info.symbols)
            for state in FeedState:
                states.add_metric([feed.broker, feed.account, state.value], float(feed.status.state == state))
        yield symbols
        yield states


class ServerMetrics:
    """A Prometheus collector of the web server's numbers: name -> (what it counts, how many)."""

    def __init__(self, numbers: Mapping[str, tuple[str, int]]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterable[Metric]:
        for name, (text, value) in self._numbers.items():
            yield CounterMetricFamily(f"tickmux_web_{name}", text, value=value)


def exposition(runtime: Runtime, web: Mapping[str, tuple[str, int]]) -> bytes:
    """All metrics in Prometheus' text format; `web` are the web server's, empty where it is somebody else's."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RuntimeMetrics(runtime))
    registry.register(ServerMetrics(web))
    return bytes(generate_latest(registry))


assert set(_FEED_HELP) == set(FeedCounters.__struct_fields__)  # noqa: S101 - a counter without help would go unseen
