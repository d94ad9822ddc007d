"""What survives what: frames, changes of channel, ends of subscriptions and reconnects in any order, held against the
plain model; and what the members' adapters make of the ends of connections."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker._noren import plain_model
from tickmux.broker._noren.noren_adapter import NorenAdapter
from tickmux.broker._noren.noren_codec import DEPTH, TOUCHLINE
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable
from tickmux.websocket_proxy.broker_factory import load_broker

MEMBERS = ("shoonya", "flattrade", "zebu", "tradesmart", "definedge", "aliceblue")
SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045", brexchange="NSE")
USDINR = Instrument(symbol="USDINR26SEP25FUT", exchange="CDS", token="3045", brexchange="CDS")
KINDS = {"t": TOUCHLINE, "d": DEPTH}

members = pytest.mark.parametrize("name", MEMBERS)


def adapter(name: str) -> Any:
    return load_broker(name).adapter()


# -- nothing leaks ---------------------------------------------------------------------------------------

TEXTS = {
    "lp": st.sampled_from(["812.35", "813", "0.00"]),
    "o": st.sampled_from(["809.00", "-"]),
    "v": st.sampled_from(["0", "75", ""]),
    "bp1": st.sampled_from(["812.30", "0"]),
    "bq1": st.sampled_from(["5", "0"]),
    "ft": st.sampled_from(["1756103084", "0"]),
    "ltt": st.sampled_from(["11:54:43", "05:30:00"]),
}
FRAMES = st.lists(
    st.tuples(
        st.sampled_from([SBIN, SBIN, USDINR]),
        st.sampled_from("td"),
        st.sampled_from("kff"),
        st.fixed_dictionaries({}, optional=TEXTS),
    ),
    min_size=1,
    max_size=4,
)
EPISODES = st.lists(
    st.tuples(
        st.sampled_from(
            [("change",), ("change", "change"), ("leave", "join"), ("leave",), ("join",), ("reconnect",)]
        ),
        FRAMES,
    ),
    min_size=2,
    max_size=6,
)


class Played:
    """A codec of an adapter, and beside it the frames that count: those since the state had to be empty."""

    def __init__(self, feed: NorenAdapter) -> None:
        self.feed = feed
        self.wanted: dict[Instrument, str] = {}
        self.codec: FeedCodec = feed.codec("main")
        self.counted: dict[tuple[Instrument, str], list[dict[str, Any]]] = {}

    def join(self, instrument: Instrument) -> None:
        if instrument not in self.wanted:
            self.wanted[instrument] = "t"
            self.codec.subscribe([instrument], TOUCHLINE)

    def leave(self, instrument: Instrument) -> None:
        if channel := self.wanted.pop(instrument, None):
            self.codec.unsubscribe([instrument], KINDS[channel])
            self.counted = {key: frames for key, frames in self.counted.items() if key[0] != instrument}

    def change(self, instrument: Instrument) -> None:
        if old := self.wanted.get(instrument):
            new = self.wanted[instrument] = "d" if old == "t" else "t"
            self.codec.change([instrument], KINDS[old], KINDS[new])
            self.counted.pop((instrument, new), None)  # the old channel's late frames still count

    def reconnect(self, _: Instrument) -> None:
        self.codec = self.feed.codec("main")
        self.counted.clear()
        for instrument, channel in self.wanted.items():
            self.codec.subscribe([instrument], KINDS[channel])

    def frame(self, instrument: Instrument, kind: str, fields: dict[str, Any]) -> None:
        sent = {"t": kind, "e": instrument.brexchange, "tk": instrument.token, **fields}
        decoded = self.codec.decode(json.dumps(sent))
        assert decoded.unrouted == (instrument not in self.wanted)
        expected = None
        if instrument in self.wanted:
            frames = self.counted.setdefault((instrument, kind[0]), [])
            frames.append(sent)
            expected = plain_model.ticks(frames, kind[0])[-1]
        found = [(tick.instrument, tick_fields(tick)) for tick in decoded.ticks]
        assert found == ([] if expected is None else [(instrument, expected)])


@settings(max_examples=200, deadline=None)
@given(EPISODES)
def test_a_state_knows_what_came_since_it_began_and_nothing_else(episodes: list[Any]) -> None:
    played = Played(adapter("shoonya"))
    played.join(SBIN)
    played.join(USDINR)
    for steps, frames in episodes:
        for step in steps:
            getattr(played, step)(SBIN)
        for instrument, channel, end, fields in frames:
            played.frame(instrument, channel + end, fields)


@members
def test_a_new_connection_knows_nothing_of_the_old_one(name: str) -> None:
    feed = adapter(name)
    old = feed.codec("main")
    old.subscribe([SBIN], DEPTH)
    old.decode('{"t":"dk","e":"NSE","tk":"3045","lp":"812.35","o":"809.00","v":"5","bp1":"812.30","bq1":"5"}')
    new = feed.codec("main")
    assert new.decode('{"t":"df","e":"NSE","tk":"3045","lp":"812.40"}').unrouted == 1
    new.subscribe([SBIN], DEPTH)
    assert new.decode('{"t":"df","e":"NSE","tk":"3045","v":"6"}').ticks == []
    (tick,) = new.decode('{"t":"df","e":"NSE","tk":"3045","lp":"812.40"}').ticks
    assert tick_fields(tick) == {"ltp": 812.4, "volume": 6}


# -- limits and ends of connections ----------------------------------------------------------------------


@members
def test_a_member_has_one_connection_and_its_own_limits(name: str) -> None:
    ((_, channel),) = adapter(name).channels.items()
    narrow = name in ("tradesmart", "definedge")
    assert (channel.connection_limit, channel.symbol_limit) == (1, 500 if narrow else 3000)
    assert (channel.batch, channel.frame_gap) == (50 if name == "tradesmart" else 100, 0.1)
    assert (channel.ping_interval, channel.quiet_after, channel.ready_timeout) == (30.0, 120.0, 10.0)
    assert (channel.backoff, channel.pause) == ((5.0, 60.0), 5.0 if name == "flattrade" else 0.0)


@pytest.mark.parametrize("name", ["tradesmart", "definedge"])
def test_a_full_connection_changes_a_channel_without_exceeding_the_limit(name: str) -> None:
    codec = adapter(name).codec("main")
    many = [Instrument(symbol=f"S{n}", exchange="NSE", token=str(n)) for n in range(500)]
    codec.subscribe(many, TOUCHLINE)
    assert codec.change(many[:1], TOUCHLINE, DEPTH) == ['{"t":"u","k":"NSE|0"}', '{"t":"d","k":"NSE|0"}']
    codec.unsubscribe(many[1:2], TOUCHLINE)
    assert codec.change(many[2:3], TOUCHLINE, DEPTH) == ['{"t":"d","k":"NSE|2"}', '{"t":"u","k":"NSE|2"}']


@members
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_refused_handshake_is_a_refused_session_or_a_bad_day(name: str, status: int) -> None:
    failure = adapter(name).handshake_failure(status, "", {}, b"")
    assert isinstance(failure, AuthRejected if status in (401, 403) else Unavailable)
    assert ("address" in str(failure)) == (status in (401, 403))


def test_flattrade_forgives_three_refusals_within_a_minute_of_a_good_session() -> None:
    clock = [1000.0]
    feed = adapter("flattrade")
    feed.memory._clock = lambda: clock[0]
    session = Credentials({"user_id": "FZ1", "token": "t"})

    def answered(text: str) -> tuple[str | None, bool]:
        async def attempt() -> None:
            async with httpx.AsyncClient() as http:
                await feed.endpoint("main", session, http)

        asyncio.run(attempt())
        decoded = feed.codec("main").decode(text)
        return decoded.event, decoded.restart

    refusal, good = '{"t":"ak","s":"Not_Ok"}', '{"t":"ak","s":"Ok"}'
    assert answered(refusal) == ("auth_error", False), "a token that was never good"
    for spare, later in ((3, 5.0), (0, 61.0)):
        answered(good)
        clock[0] += 100.0
        feed.close_failure(1000, "")
        clock[0] += later
        assert [answered(refusal) for _ in range(spare)] == [("error", True)] * spare
        assert answered(refusal) == ("auth_error", False)


@members
def test_nothing_is_subscribed_before_the_login_has_been_answered(name: str) -> None:
    codec = adapter(name).codec("main")
    assert codec.waits_for_ready
    assert not codec.decode('{"t":"hk"}').ready
