"""What somebody without keys can do to the bus, to publishers' socket and to the feed process: be counted."""

import asyncio
import logging
import socket
import stat
import subprocess
import sys
import time

import msgspec
import psutil
import pytest
import uvloop
import zmq

from support.keys import KEYS
from support.servers import PATIENCE, connected, eventually, publisher, running_proxy
from tickmux.config import Settings
from tickmux.database.engine import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.feeds.publishers import Publishers
from tickmux.feeds.remote.feed_host import FeedHost
from tickmux.runtime import Runtime
from tickmux.tick import Mode
from tickmux.websocket_proxy.bus import BATCH_MARK, BusPublisher, RemoteBus
from tickmux.websocket_proxy.bus_door import MOST_PEERS, AddressRefused
from tickmux.websocket_proxy.bus_keys import ClientKeys, KeyPair, KeysUnusable, bus_keys
from tickmux.websocket_proxy.feed import topic_name
from tickmux.websocket_proxy.subscription_index import TopicKey

TOPIC = topic_name(TopicKey("zerodha:simulator", "NSE", "SBIN", Mode.LTP, 0))
PRICE = b'{"symbol":"SBIN","exchange":"NSE","mode":"ltp","ltp":1}'
BATCH = [BATCH_MARK + b"zerodha:simulator" + bytes(8), msgspec.msgpack.encode([TOPIC, PRICE])]


def run(main):
    return uvloop.run(main())


def zmtp1(*messages):
    """Bytes of a peer that speaks ZMTP 1.0 and says nothing of itself."""
    frames = b"".join(
        bytes((len(part) + 1, number < len(parts))) + part
        for parts in messages
        for number, part in enumerate(parts, 1)
    )
    return b"\x01\x00" + frames


def zmtp2(*messages):
    frames = b"".join(
        bytes((number < len(parts), len(part))) + part for parts in messages for number, part in enumerate(parts, 1)
    )
    return b"\xff" + bytes(8) + b"\x7f\x01\x01\x00\x00" + frames


def post(*messages):
    """What a page makes a browser send: a request whose body is a ZMTP 1.0 peer's bytes."""
    body = zmtp1(*messages)
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body


STREAMS = {"zmtp1": zmtp1, "zmtp2": zmtp2, "post": post}


def address(endpoint):
    return "127.0.0.1", int(endpoint.rpartition(":")[2])


async def turned_away(door, send):
    """Connects, sends, and waits until the door has hung up, or hangs up itself where there is nothing to send."""
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setblocking(False)
        before = door.connections
        await loop.sock_connect(peer, address(door.endpoint))
        await loop.sock_sendall(peer, send)
        if not send:
            peer.close()
        await eventually(lambda: door.connections > before and not door.peers, "the end of the connection")


class OpenBus:
    """The bus of a server whose feeds are in another process, and what has arrived on it."""

    def __init__(self):
        self.taken = []
        self.bus = RemoteBus(
            "127.0.0.1",
            0,
            KEYS,
            high_water_mark=1000,
            on_message=lambda topic, body: self.taken.append(body),
            on_drained=lambda: None,
            offset=lambda: None,
            on_stale=lambda: None,
        )

    async def __aenter__(self):
        self.bus.start()
        return self

    async def __aexit__(self, *_):
        self.bus.close()

    async def only_the_feeds_own(self):
        """Sends one batch with the right keys, and sees that it is all that has arrived."""
        source = BusPublisher(self.bus.endpoint, "zerodha:simulator", high_water_mark=10, keys=KEYS.for_feeds)
        assert await source.wait_ready(PATIENCE)
        source.send([TOPIC, b"ours"])
        await eventually(lambda: self.taken, "the feed's own batch")
        source.close()
        assert [msgspec.msgpack.decode(body) for body in self.taken] == [[TOPIC, b"ours"]]
        assert self.bus.door.admitted == 1


def test_a_server_with_its_own_feeds_opens_no_port_but_that_of_clients(tmp_path):
    async def main():
        settings = Settings.load({"TICKMUX_HOME": tmp_path, "WEBSOCKET_PORT": 0}, {}, tmp_path)
        with Database.open(settings) as database:
            runtime = Runtime(settings, database, Upstream(broker="zerodha"))
            before = _listening()
            await runtime.start()
            assert _listening() - before == {runtime.proxy.port}
            assert runtime.bus_endpoint == ""
            await runtime.stop()

    run(main)


def _listening():
    return {one.laddr.port for one in psutil.Process().net_connections("tcp") if one.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize("kind", STREAMS)
def test_old_peers_and_browsers_reach_nothing_on_the_bus(kind):
    async def main():
        async with OpenBus() as opened:
            await turned_away(opened.bus.door, STREAMS[kind](BATCH))
            await opened.only_the_feeds_own()

    run(main)


@pytest.mark.parametrize("keys", ["none", "its own", "publisher's"])
def test_who_has_not_the_feeds_key_sets_no_price(keys, caplog):
    async def main():
        async with OpenBus() as opened:
            stranger = zmq.Context.instance().socket(zmq.PUB)
            if keys != "none":
                pair = KEYS.publisher if keys == "publisher's" else KeyPair(*zmq.curve_keypair())
                stranger.curve_publickey, stranger.curve_secretkey = pair
                stranger.curve_serverkey = KEYS.server.public
            stranger.connect(opened.bus.endpoint)
            door = opened.bus.door
            stranger.send_multipart(BATCH)
            await eventually(lambda: door.connections and not door.peers, "the end of the connection")
            stranger.send_multipart(BATCH)
            stranger.close(0)
            await turned_away(door, b"")
            await opened.only_the_feeds_own()
        assert "tickmux bus-keys" in caplog.text
        assert caplog.text.count("refused a connection") == 1

    with caplog.at_level(logging.WARNING):
        run(main)


def test_the_feed_process_serves_nobody_without_the_key():
    async def main():
        asked = []

        async def feed_of(user):
            asked.append(user)

        host = FeedHost(feed_of, "127.0.0.1", 0, KEYS)
        await host.start()
        stranger = zmq.Context.instance().socket(zmq.DEALER)
        stranger.connect(host.endpoint)
        stranger.send(msgspec.msgpack.encode({"type": "Open", "call": 1, "user": "bob"}))
        await eventually(lambda: host.door.connections and not host.door.peers)
        stranger.close(0)
        await turned_away(host.door, zmtp1([b"x"]))
        assert (asked, host.malformed, host.door.admitted) == ([], 0, 0)
        await host.stop()

    run(main)


def test_a_publisher_without_keys_needs_a_setting_and_this_machine():
    for host in ("0.0.0.0", "::", "10.0.0.1"):
        with pytest.raises(AddressRefused, match="ZMQ_HOST=") as refused:
            Publishers(host, 0, None, on_message=print, on_drained=print)
        assert "bus-keys" in str(refused.value)


def test_a_publisher_with_a_key_that_is_let_in_publishes(tmp_path):
    keys = bus_keys(tmp_path)

    async def main():
        taken = []
        publishers = Publishers(
            "127.0.0.1", 0, keys, on_message=lambda *message: taken.append(message), on_drained=lambda: None
        )
        publishers.start()
        for pair in (KeyPair(*zmq.curve_keypair()), keys.feeds, keys.publisher):
            source = BusPublisher(
                publishers.endpoint, "x", high_water_mark=10, keys=ClientKeys(pair, keys.server.public)
            )
            if pair is keys.publisher:
                assert await source.wait_ready(PATIENCE)
            else:
                before = publishers.door.connections
                waiting = asyncio.create_task(source.wait_ready(PATIENCE))
                await eventually(lambda n=before: publishers.door.connections > n and not publishers.door.peers)
                assert not waiting.done()
                waiting.cancel()
            source.close()
        assert publishers.door.admitted == 1
        publishers.close()

    run(main)


BREAK_OUTS = [
    b'{"ltp":1},"type":"auth","status":"success","x":{"a":1}',
    b'{"ltp":1}}{"type":"auth"}',
    b'{"ltp":1',
    b'{"ltp":1}\x00',
    b'{"ltp":1,"name":"\xff\xfe"}',
    b'{"ltp":1,"name":"\xed\xa0\x80"}',
    b'{"ltp":1e400}',
    b'{"ltp":NaN}',
    b'{"ltp":"1"}',
    b'{"ltp":true}',
    b'{"ltp":1,"volume":' + b"9" * 400 + b"}",
    b'{"ltp":1,"volume":1' + b"0" * 30 + b"}",
    b'{"ltp":1,"a":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"ltp":1,"a":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    b'{"ltp":1,"volume":1e300}'[:-1] + b',"x":' + b"9" * 25 + b"}",
    b"[1]",
    b"",
]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_no_payload_breaks_out_of_the_message_or_stops_what_follows(encoding):
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, publisher(proxy) as source:
            async with connected(proxy) as client:
                await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode="QUOTE")
                for payload in BREAK_OUTS:
                    source.send_raw(b"NSE_SBIN_QUOTE", payload)
                source.publish("NSE_SBIN_QUOTE", {"ltp": 2, "type": "auth", "status": "error", "seq": 9, "mode": "x"})
                message = await client.receive()
                assert message == {
                    "type": "market_data", "symbol": "SBIN", "exchange": "NSE", "mode": 2, "broker": "external",
                    "data": {"symbol": "SBIN", "exchange": "NSE", "mode": "quote", "ltp": 2},
                }  # fmt: skip
                counters = (await proxy.feed_of("bob")).info().counters
                assert counters.malformed == len(BREAK_OUTS)

    run(main)


def test_a_flat_client_is_told_nothing_but_data():
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, publisher(proxy) as source:
            async with connected(proxy, format="flat") as client:
                await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode="LTP")
                source.publish("NSE_SBIN_LTP", {"ltp": 2, "type": "auth", "status": "error", "snapshot": True})
                assert await client.receive() == {"symbol": "SBIN", "exchange": "NSE", "ltp": 2}

    run(main)


def test_a_publisher_cannot_speak_for_a_feed_of_ours():
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, publisher(proxy) as source, connected(proxy) as client:
            await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode="LTP")
            (topic,) = proxy.index.by_name
            source.send_raw(BATCH_MARK + b"external:bus", msgspec.msgpack.encode([topic, PRICE]))
            source.send_raw(topic, PRICE)
            source.publish("NSE_SBIN_LTP", {"ltp": 2})
            assert (await client.data())["data"]["ltp"] == 2
            assert (await proxy.feed_of("bob")).info().counters.unknown == 2

    run(main)


@pytest.mark.parametrize("kind", STREAMS)
def test_old_peers_and_browsers_publish_nothing_where_keys_are_not_needed(kind):
    async def main():
        taken = []
        publishers = Publishers(
            "127.0.0.1", 0, None, on_message=lambda *message: taken.append(message), on_drained=lambda: None
        )
        publishers.start()
        await turned_away(publishers.door, STREAMS[kind]([b"NSE_SBIN_LTP", b'{"ltp":1}']))
        source = zmq.Context.instance().socket(zmq.XPUB)
        source.connect(publishers.endpoint)
        await eventually(lambda: source.poll(0))
        source.send_multipart([b"NSE_SBIN_LTP", b'{"ltp":2}'])
        await eventually(lambda: taken)
        assert taken == [(b"NSE_SBIN_LTP", b'{"ltp":2}')]
        source.close(0)
        publishers.close()

    run(main)


def test_an_oversized_message_ends_its_publisher_and_no_other():
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, connected(proxy) as client:
            async with publisher(proxy) as hostile, publisher(proxy) as honest:
                await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode="LTP")
                hostile.send_raw(b"NSE_SBIN_LTP", b'{"ltp":1,"pad":"' + b"x" * 10_000_000 + b'"}')
                await eventually(lambda: honest.door.door.connections >= 3, "its next connection")
                honest.publish("NSE_SBIN_LTP", {"ltp": 2})
                assert (await client.data())["data"]["ltp"] == 2

    run(main)


FLOOD = """
import sys, time, zmq
socket = zmq.Context.instance().socket(zmq.XPUB)
socket.setsockopt(zmq.XPUB_NODROP, 1)
socket.setsockopt(zmq.SNDTIMEO, 500)
socket.connect(sys.argv[1])
socket.recv()
body = b'{"ltp":1,"a":[' + b"1," * 20_000 + b"1]}"
ends = time.monotonic() + 3
while time.monotonic() < ends:
    try:
        socket.send_multipart([b"NSE_SBIN_LTP", body])
    except zmq.Again:
        pass
"""


def test_a_flood_costs_a_bounded_share_of_time_and_memory():
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, publisher(proxy) as honest, connected(proxy) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:TCS"], mode="LTP")
            reader = honest.door._reader
            longest, drain = 0.0, reader._drain

            def timed():
                nonlocal longest
                began = time.thread_time()
                drain()
                longest = max(longest, time.thread_time() - began)

            reader._drain = timed
            me = psutil.Process()
            before = me.memory_info().rss
            flood = subprocess.Popen(  # noqa: ASYNC220
                [sys.executable, "-c", FLOOD, honest.door.endpoint]
            )
            most = 0
            while flood.poll() is None:
                most = max(most, me.memory_info().rss - before)
                await asyncio.sleep(0.02)
            assert flood.returncode == 0
            counters = (await proxy.feed_of("bob")).info().counters
            assert counters.frames > 100, "it was a flood"
            assert most < 200 << 20
            assert longest < 0.1
            honest.publish("NSE_TCS_LTP", {"ltp": 2})
            assert (await client.data("TCS"))["data"]["ltp"] == 2

    run(main)


def test_connections_are_limited():
    async def main():
        publishers = Publishers("127.0.0.1", 0, None, on_message=lambda *_: None, on_drained=lambda: None)
        publishers.start()
        silent = [socket.create_connection(address(publishers.endpoint)) for _ in range(MOST_PEERS)]
        await eventually(lambda: publishers.door.peers == MOST_PEERS)
        late = zmq.Context.instance().socket(zmq.XPUB)
        late.connect(publishers.endpoint)
        await eventually(lambda: publishers.door.connections >= MOST_PEERS + 2, "refused, it has come again")
        assert publishers.door.admitted == 0
        for one in silent:
            one.close()
        await eventually(lambda: late.poll(0), "its turn")
        late.close(0)
        publishers.close()

    run(main)


def test_keys_are_made_once_for_their_owner_alone(tmp_path):
    keys = bus_keys(tmp_path)
    assert stat.S_IMODE(keys.folder.stat().st_mode) == 0o700
    secret = sorted(keys.folder.glob("*.key_secret"))
    assert [path.stem for path in secret] == ["feeds", "publisher", "server"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    secret[0].chmod(0o644)
    assert bus_keys(tmp_path) == keys
    assert stat.S_IMODE(secret[0].stat().st_mode) == 0o600
    assert keys.is_publisher(keys.publisher.public)
    assert not keys.is_publisher(keys.feeds.public)


def test_a_publisher_is_shut_out_when_its_file_goes(tmp_path):
    keys = bus_keys(tmp_path)
    (keys.folder / "publishers" / "publisher.key").unlink()
    (keys.folder / "publishers" / "notes.key").write_bytes(b"\xff no key")
    assert not bus_keys(tmp_path).is_publisher(keys.publisher.public)


def test_a_damaged_key_file_is_named(tmp_path):
    keys = bus_keys(tmp_path)
    (keys.folder / "server.key_secret").write_text("nonsense")
    with pytest.raises(KeysUnusable, match=r"server\.key_secret"):
        bus_keys(tmp_path)


def test_ipv6():
    async def main():
        publishers = Publishers("::1", 0, None, on_message=lambda *_: None, on_drained=lambda: None)
        publishers.start()
        assert publishers.endpoint.startswith("tcp://[::1]:")
        source = zmq.Context.instance().socket(zmq.XPUB)
        source.ipv6 = True
        source.connect(publishers.endpoint)
        await eventually(lambda: source.poll(0))
        source.close(0)
        publishers.close()

    if not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    run(main)


def _has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
