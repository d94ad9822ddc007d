"""One upstream connection's life on a virtual clock: no sockets, no waiting."""

import asyncio
import random

import pytest

from support.virtual_time import run_virtually
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, HttpRequest
from tickmux.feeds.backoff import Backoff
from tickmux.feeds.feed_connection import FeedConnection, LinkState
from tickmux.feeds.instrument_states import InstrumentStates
from tickmux.feeds.upstream import Closed, HandshakeRefused
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick
from tickmux.websocket_proxy.base_adapter import (
    AuthRejected,
    BaseBrokerWebSocketAdapter,
    Channel,
    Endpoint,
    Stream,
    Unavailable,
)
from tickmux.websocket_proxy.feed_state import FeedCounters

A, B, C = (Instrument(name, "NSE", name) for name in "ABC")


class Codec(FeedCodec):
    waits_for_ready = False

    def wire_key(self, instrument):
        if instrument.symbol == "UNNAMEABLE":
            raise ValueError("no token")
        return instrument.token

    def subscribe_frames(self, instruments, kind):
        return [f"+{kind}:{','.join(one.symbol for one in instruments)}"]

    def unsubscribe_frames(self, instruments, kind):
        return [f"-{kind}:{','.join(one.symbol for one in instruments)}"]

    def heartbeat_frames(self):
        return ["beat"]

    def close_frames(self):
        return ["bye"]

    def decode(self, frame):
        match frame:
            case "auth":
                return Decoded(event=Event.AUTH_ERROR, message="token dead")
            case "ready":
                return Decoded(ready=True)
            case "restart":
                return Decoded(restart=True, message="server restarts")
            case "restart later":
                return Decoded(restart=True, message="too many sessions", retry_after=60.0)
            case "crash":
                raise RuntimeError("a defect")
            case "refuse B":
                return Decoded(event=Event.ERROR, refused=[B], message="limit")
            case "ack me":
                return Decoded(replies=["ack"])
        found = self.routes.get(frame)
        return Decoded(ticks=[Tick(instrument=found, mode=Mode.LTP, ltp=1.0)]) if found else Decoded(unrouted=1)


class PatientCodec(Codec):
    waits_for_ready = True

    def open_frames(self, credentials):
        return [f"login {credentials['token']}"]


class RestCodec(Codec):
    def subscribe_frames(self, instruments, kind):
        return [HttpRequest("POST", "/sub", body=[one.symbol for one in instruments])]


class Adapter(BaseBrokerWebSocketAdapter):
    name = "test"
    display_name = "Test"
    transport = "none"
    exchanges = ("NSE",)
    token_life = "ever"
    default_urls = {}
    channels = {"main": Channel(symbols=10, connections=2, batch=2, heartbeat_interval=5.0, stall_after=12.0)}
    codec_type = Codec

    def streams(self, instrument, mode, depth):
        return (Stream("main", mode.name.lower()),)

    def codec(self, channel):
        return self.codec_type()

    async def endpoint(self, channel, credentials, http):
        return Endpoint("ws://test", rest_base="http://rest")

    def close_failure(self, code, reason):
        return AuthRejected(reason) if code == 4001 else None


class Link:
    def __init__(self, on_message, on_alive):
        self.receive = on_message
        self.alive = on_alive
        self.sent = []
        self.pings = 0
        self.closed = asyncio.get_running_loop().create_future()

    def send(self, frame):
        self.sent.append(frame)

    def ping(self):
        self.pings += 1

    def check(self):
        pass

    def close(self):
        if not self.closed.done():
            self.closed.set_result(Closed(1000, ""))


class Host:
    """A feed's part, with everything that it is told written down."""

    def __init__(self, adapter=None):
        self.adapter = adapter or Adapter()
        self.counters = FeedCounters()
        self.http = None
        self.token = "t1"
        self.refused = []
        self.accepted = 0
        self.sessions = []
        self.ticks = []
        self.states = []
        self.market_open = True
        self.instrument_states = InstrumentStates()
        self.ended = []
        self.renewed = asyncio.Event()

    async def credentials(self):
        while self.token in self.refused:
            await self.renewed.wait()
        return Credentials({"token": self.token})

    def credentials_refused(self, credentials, message, *, certain):
        self.refused.append(credentials["token"])

    def session_accepted(self):
        self.accepted += 1

    def session_begins(self, channel, instruments):
        self.sessions.append(list(instruments))

    def on_ticks(self, channel, ticks):
        self.ticks.extend(ticks)

    def connection_changed(self, connection):
        self.states.append(connection.state)

    def session_ends(self, channel, instruments):
        self.ended.append(list(instruments))

    def is_trading(self, instrument):
        return self.market_open


class World:
    """A connection with its host and the links that it opens; `refuse` answers the next attempts."""

    def __init__(self, adapter=None):
        self.host = Host(adapter)
        self.links = []
        self.attempts = []
        self.refuse = []
        loop = asyncio.get_running_loop()
        self.connection = FeedConnection(
            self.host, "main", 0, clock=loop.time, rng=random.Random(1), connect=self._connect
        )

    async def _connect(self, endpoint, on_message, on_alive):
        self.attempts.append(asyncio.get_running_loop().time())
        if self.refuse:
            raise self.refuse.pop(0)
        self.links.append(Link(on_message, on_alive))
        return self.links[-1]

    async def __aenter__(self):
        self.connection.start()
        return self

    async def __aexit__(self, *_):
        await self.connection.stop()

    @property
    def link(self):
        return self.links[-1]


def virtually(test):
    """Runs an async test on the virtual clock."""

    def runner():
        run_virtually(test())

    runner.__name__ = test.__name__
    return runner


async def settle(seconds=0.01):
    await asyncio.sleep(seconds)


@virtually
async def test_what_is_wanted_is_subscribed_in_batches():
    async with World() as world:
        for instrument in (A, B, C):
            world.connection.want(instrument, "ltp")
        await settle()
        assert world.link.sent == ["+ltp:A,B", "+ltp:C"]
        assert world.connection.state == LinkState.LIVE
        assert world.connection.subscribed == 3


@virtually
async def test_a_change_of_kind_and_an_end_send_only_the_difference():
    async with World() as world:
        world.connection.want(A, "ltp")
        world.connection.want(B, "ltp")
        await settle()
        world.link.sent.clear()
        world.connection.want(A, "quote")
        world.connection.drop(B)
        await settle()
        assert world.link.sent == ["-ltp:B", "+quote:A", "-ltp:A"]


@virtually
async def test_wishes_that_cancel_each_other_send_nothing():
    async with World() as world:
        await settle()
        world.connection.want(A, "ltp")
        world.connection.drop(A)
        await settle()
        assert world.link.sent == []
        assert world.connection.load["ltp"] == 0


@virtually
async def test_ticks_go_to_the_host_and_a_token_that_nobody_wants_is_counted():
    async with World() as world:
        world.connection.want(A, "ltp")
        await settle()
        world.link.receive("A")
        world.link.receive("B")
        assert [tick.instrument for tick in world.host.ticks] == [A]
        assert (world.host.counters.ticks, world.host.counters.unrouted) == (1, 1)


@virtually
async def test_where_each_change_sends_the_whole_list_wishes_are_collected_first():
    class Settling(Adapter):
        channels = {"main": Channel(symbols=10, connections=1, batch=10, settle=0.25)}

    async with World(Settling()) as world:
        await settle()
        for instrument in (A, B, C):
            world.connection.want(instrument, "ltp")
            await settle(0.1)
        assert world.link.sent == []
        await settle(0.3)
        assert world.link.sent == ["+ltp:A,B,C"]


@virtually
async def test_nothing_is_subscribed_before_the_broker_has_accepted_the_login():
    class Patient(Adapter):
        codec_type = PatientCodec

    async with World(Patient()) as world:
        world.connection.want(A, "ltp")
        await settle(1)
        assert world.link.sent == ["login t1"]
        assert world.connection.state == LinkState.CONNECTING
        world.link.receive("ready")
        await settle()
        assert world.link.sent == ["login t1", "+ltp:A"]


@virtually
async def test_a_login_without_an_answer_is_given_up_and_tried_again():
    class Patient(Adapter):
        codec_type = PatientCodec

    async with World(Patient()) as world:
        await settle(13)
        assert len(world.links) >= 2


@virtually
async def test_after_a_reconnect_everything_is_subscribed_again_in_its_present_kind():
    async with World() as world:
        world.connection.want(A, "ltp")
        world.connection.want(B, "quote")
        await settle()
        world.connection.want(A, "quote")
        await settle()
        world.link.closed.set_result(Closed(1006, "connection lost"))
        await settle(3)
        assert len(world.links) == 2
        assert world.link.sent == ["+quote:A,B"]
        assert world.host.sessions[-1] == [A, B]
        assert world.host.counters.reconnects == 1


@virtually
async def test_a_subscription_made_while_there_is_no_connection_is_served_by_the_next_one():
    async with World() as world:
        world.refuse = [Unavailable("down")] * 3
        world.connection.want(A, "ltp")
        await settle(0.5)
        world.connection.want(B, "ltp")
        await settle(30)
        assert world.link.sent[0] == "+ltp:A,B"


@virtually
async def test_attempts_back_off_exponentially_with_jitter_up_to_the_longest_delay():
    async with World() as world:
        world.refuse = [Unavailable("down")] * 100
        await settle(600)
        gaps = [later - earlier for earlier, later in zip(world.attempts, world.attempts[1:], strict=False)]
        for number, gap in enumerate(gaps):
            nominal = min(60.0, 2.0**number)
            assert nominal / 2 <= gap <= nominal + 0.01
        assert len(set(gaps)) == len(gaps), "jitter"


@virtually
async def test_the_backoff_starts_afresh_after_thirty_seconds_of_health():
    async with World() as world:
        world.refuse = [Unavailable("down")] * 6
        await settle(100)
        keep_alive = asyncio.ensure_future(beat(world))
        await settle(31)
        world.link.closed.set_result(Closed(1006, ""))
        lost = asyncio.get_running_loop().time()
        await settle(2)
        keep_alive.cancel()
        assert world.attempts[-1] - lost <= 1.01


async def beat(world):
    while True:
        world.link.alive()
        await asyncio.sleep(1)


class HangingUp(Adapter):
    refuses_by_closing = True


@virtually
async def test_where_a_refusal_is_a_closed_connection_only_ticks_or_half_a_minute_prove_a_session():
    async with World(HangingUp()) as world:
        await settle(2)
        world.link.closed.set_result(Closed(1000, ""))
        await settle(3)
        assert (len(world.links), world.host.accepted) == (2, 0)
        world.connection.want(A, "ltp")
        await settle()
        world.link.receive("A")
        world.link.closed.set_result(Closed(1000, ""))
        await settle(5)
        assert (len(world.links), world.host.accepted) == (3, 1)
        keep_alive = asyncio.ensure_future(beat(world))
        await settle(40)
        keep_alive.cancel()
        assert (len(world.links), world.host.accepted) == (3, 2)


@virtually
async def test_a_session_that_dies_young_does_not_reset_the_backoff():
    async with World() as world:
        for _ in range(5):
            await settle(40)
            if not world.link.closed.done():
                world.link.closed.set_result(Closed(1006, ""))
        assert world.host.counters.reconnects >= 5


@virtually
async def test_the_broker_may_ask_for_a_longer_delay():
    async with World() as world:
        world.refuse = [Unavailable("too many", retry_after=120.0)]
        await settle(119)
        assert len(world.attempts) == 1
        await settle(2)
        assert len(world.attempts) == 2


@pytest.mark.parametrize("how", ["handshake", "frame", "close code"])
def test_refused_credentials_are_not_tried_again_until_they_change(how):
    async def main():
        async with World() as world:
            if how == "handshake":
                world.refuse = [HandshakeRefused(403, "Forbidden", {}, b"")]
            await settle()
            if how == "frame":
                world.link.receive("auth")
            elif how == "close code":
                world.link.closed.set_result(Closed(4001, "token dead"))
            await settle(3600)
            assert len(world.attempts) == 1
            assert world.host.refused == ["t1"]
            assert world.connection.state == LinkState.AUTH_EXPIRED
            assert world.host.counters.auth_failures == 1
            world.connection.want(A, "ltp")
            world.host.token = "t2"
            world.host.renewed.set()
            await settle()
            assert world.connection.state == LinkState.LIVE
            assert "+ltp:A" in world.link.sent

    run_virtually(main())


@virtually
async def test_a_server_error_at_the_handshake_is_no_authentication_failure():
    async with World() as world:
        world.refuse = [HandshakeRefused(502, "Bad Gateway", {}, b"")]
        await settle(3)
        assert world.host.refused == []
        assert len(world.links) == 1


@virtually
async def test_silence_ends_a_connection_and_any_sign_of_life_prevents_that():
    async with World() as world:
        await settle(11)
        world.link.alive()
        await settle(11)
        assert len(world.links) == 1
        await settle(3)
        assert world.links[0].closed.done()
        assert world.host.counters.stalls == 1
        await settle(2)
        assert len(world.links) == 2


@pytest.mark.parametrize("market_open", [True, False])
def test_missing_ticks_end_a_connection_only_while_a_market_is_open(market_open):
    class Quiet(Adapter):
        channels = {"main": Channel(symbols=10, connections=1, stall_after=1e6, quiet_after=90.0)}

    async def main():
        async with World(Quiet()) as world:
            world.host.market_open = market_open
            world.connection.want(A, "ltp")
            await settle()
            world.link.receive("A")
            await settle(85)
            assert len(world.links) == 1
            await settle(30)
            assert len(world.links) == (2 if market_open else 1)

    run_virtually(main())


@virtually
async def test_heartbeats_and_pings_go_out_on_time():
    async with World() as world:
        keep_alive = asyncio.ensure_future(beat(world))
        await settle(60.5)
        keep_alive.cancel()
        assert world.link.sent.count("beat") == 12
        assert world.link.pings == 3


@virtually
async def test_a_greeting_that_comes_with_the_handshake_is_answered():
    class Greeted(World):
        async def _connect(self, endpoint, on_message, on_alive):
            on_message("ack me")
            return await super()._connect(endpoint, on_message, on_alive)

    async with Greeted() as world:
        world.connection.want(A, "ltp")
        await settle()
        assert world.link.sent == ["ack", "+ltp:A"]


@virtually
async def test_replies_go_out_at_once():
    async with World() as world:
        await settle()
        world.link.receive("ack me")
        assert world.link.sent == ["ack"]


@virtually
async def test_a_codec_that_raises_loses_its_frame_and_nothing_else():
    async with World() as world:
        world.connection.want(A, "ltp")
        await settle()
        world.link.receive("crash")
        world.link.receive("A")
        assert world.host.counters.malformed == 1
        assert len(world.host.ticks) == 1
        assert len(world.links) == 1


@virtually
async def test_a_server_that_says_goodbye_is_left_for_a_new_connection():
    async with World() as world:
        await settle()
        world.link.receive("restart")
        await settle(2)
        assert len(world.links) == 2


@virtually
async def test_a_server_that_asks_for_a_delay_gets_it():
    async with World() as world:
        await settle()
        world.link.receive("restart later")
        await settle(59)
        assert len(world.links) == 1
        await settle(2)
        assert len(world.links) == 2


@virtually
async def test_what_the_broker_refuses_is_counted_and_not_asked_for_again_in_this_session():
    async with World() as world:
        world.connection.want(A, "ltp")
        world.connection.want(B, "ltp")
        await settle()
        world.link.receive("refuse B")
        world.connection.want(C, "ltp")
        await settle()
        assert world.host.counters.refused == 1
        assert world.link.sent == ["+ltp:A,B", "+ltp:C"]


@virtually
async def test_an_instrument_that_the_wire_cannot_name_does_not_keep_the_others_from_being_served():
    async with World() as world:
        world.connection.want(Instrument("UNNAMEABLE", "NSE", ""), "ltp")
        world.connection.want(A, "ltp")
        await settle()
        assert world.link.sent == ["+ltp:A"]
        assert world.host.counters.refused == 1


@virtually
async def test_stopping_says_goodbye_and_leaves_no_task():
    before = asyncio.all_tasks()
    async with World() as world:
        await settle()
    assert world.link.sent[-1] == "bye"
    assert world.link.closed.done()
    assert world.connection.state == LinkState.STOPPED
    assert asyncio.all_tasks() == before


@virtually
async def test_stopping_does_not_wait_for_a_backoff():
    async with World() as world:
        world.refuse = [Unavailable("down")] * 20
        await settle(200)
        began = asyncio.get_running_loop().time()
        await world.connection.stop()
        assert asyncio.get_running_loop().time() == began


def test_backoff_delays_are_bounded_for_ever():
    backoff = Backoff(1.0, 60.0, random.Random(3))
    assert all(0.5 <= backoff.next() <= 60.0 for _ in range(5000))
