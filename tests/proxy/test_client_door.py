"""Who is let in, and what strangers may take: real sockets."""

import asyncio
import json
import logging
import resource

import pytest
import uvloop
import websockets

from support.raw_client import HELLO, frame, http_answer, raw_client
from support.servers import PATIENCE, connected, eventually, running_proxy
from tickmux.websocket_proxy.handshake import Origins


def run(main):
    return uvloop.run(main())


def changed(**headers):
    """The usual handshake with other values; None leaves a header out."""
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    kept = [(name, value) for name, value in HELLO if name.lower() not in named]
    return kept + [(name, value) for name, value in named.items() if value is not None]


@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        (changed(host=None), b"400", b"Host"),
        (changed(sec_websocket_version="8"), b"426", b"Sec-WebSocket-Version: 13"),
        (changed(sec_websocket_version="7"), b"426", b"version 13"),
        (changed(sec_websocket_version=None), b"426", b"version 13"),
        (changed(upgrade=None), b"426", b"ws://"),
        (changed(connection="keep-alive"), b"426", b"ws://"),
        (changed(sec_websocket_key=None), b"400", b"key"),
        (changed(origin="https://evil.example"), b"403", b"WS_ALLOWED_ORIGINS"),
        (changed(origin="null"), b"403", b"WS_ALLOWED_ORIGINS"),
        (changed(origin="http://localhost.evil.example"), b"403", b"WS_ALLOWED_ORIGINS"),
        ([*HELLO, ("Host", "other")], b"400", b"Host"),
        (changed(connection="keep-alive, Upgrade"), b"101", b""),
        (changed(origin="http://127.0.0.1:5000"), b"101", b""),
        (changed(origin="http://localhost:3000"), b"101", b""),
        (changed(origin="http://[::1]:5000"), b"101", b""),
    ],
)
def test_handshakes_are_judged_as_rfc_6455_says_and_by_their_origin(headers, status, says):
    async def main():
        async with running_proxy() as proxy:
            answer = await http_answer(proxy.port, headers)
            assert answer.split()[1] == status
            assert says.lower() in answer.lower()
            assert sum(proxy.refusals.counts.values()) == (status != b"101")

    run(main)


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "own", "good"),
    [
        (None, "x", (), "", True),
        ("https://charts.example.com", "x", ("https://charts.example.com",), "", True),
        ("https://charts.example.com/", "x", ("https://CHARTS.example.com",), "", True),
        ("https://charts.example.com:8443", "x", ("https://charts.example.com",), "", False),
        ("https://ticks.example.com", "x", (), "ticks.example.com", True),
        ("https://ticks.example.com", "ticks.example.com:8765", (), "", True),
        ("https://evil.example", "x", ("*",), "", True),
        ("null", "x", ("null",), "", True),
        ("file://", "x", (), "", False),
        ("http://[bad", "[bad", (), "", False),
        ("", "", (), "", False),
    ],
)
def test_which_origins_may_connect(origin, host, allowed, own, good):
    assert Origins(frozenset(allowed), own).allows(origin, host) is good


def test_frames_with_reserved_bits_are_a_protocol_error():
    async def main():
        async with running_proxy() as proxy:
            for bits in (0x40, 0x20, 0x10):
                async with raw_client(proxy.port) as client:
                    client.send(frame(b"ping", 0x81 | bits))
                    assert await client.close_code() == 1002

    run(main)


def test_before_authentication_a_message_has_four_kilobytes():
    async def main():
        async with running_proxy() as proxy:
            async with raw_client(proxy.port) as client:
                client.send(frame(b'{"action":"ping","pad":"' + b"x" * 4000 + b'"}'))
                assert (await client.receive())[0] == 1, "answered"
            async with raw_client(proxy.port) as client:
                client.send(frame(b"x" * 4097))
                assert await client.close_code() == 1009
            async with raw_client(proxy.port) as client:  # not even an end of it is waited for
                client.send(frame(b"x" * (1 << 20))[: 40 << 10])
                assert await client.close_code() == 1009
            async with raw_client(proxy.port) as client:  # nor can it be had in fragments
                for _ in range(5):
                    client.send(frame(b"x" * 1000, 0x01 if _ == 0 else 0x00))
                assert await client.close_code() == 1009
            async with connected(proxy) as client:
                many = [{"symbol": f"S{number}", "exchange": "NSE"} for number in range(9000)]
                assert (await client.ask(action="subscribe", symbols=many))["status"] == "success"

    run(main)


def test_a_stranger_who_does_not_finish_a_megabyte_costs_no_megabyte():
    async def main():
        async with running_proxy() as proxy:
            unfinished = frame(b"x" * (1 << 20))[:-1]
            readers = []
            for _ in range(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                writer.write(b"".join((_hello(), unfinished)))
                readers.append((reader, writer))
            for reader, writer in readers:
                data = await asyncio.wait_for(reader.read(-1), PATIENCE)
                assert b"\x03\xf1" in data, "1009 reaches it, though it goes on sending"
                writer.close()

    run(main)


def _hello():
    return b"GET / HTTP/1.1\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in HELLO) + b"\r\n"


def test_what_a_stranger_asks_for_is_not_looked_at_item_by_item():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            await client.socket.send('{"action":"subscribe","request_id":"r","symbols":[5,{"symbol":[]},"nonsense"]}')
            refused = await client.receive()
            assert (refused["code"], refused["request_id"]) == ("NOT_AUTHENTICATED", "r")
            await client.socket.send('{"action":"subscribe","symbols":"no list","mode":"BEST"}')
            assert (await client.receive())["code"] == "NOT_AUTHENTICATED"
            assert (await client.ask(action="get_supported_brokers"))["count"] == 2, "needs no user"

    run(main)


def test_requests_behind_a_key_that_is_being_verified_wait_for_it_though_they_are_long():
    async def main():
        async with running_proxy() as proxy, raw_client(proxy.port) as client:
            many = json.dumps({"action": "subscribe", "mode": "LTP", "symbols": [f"NSE:S{n}" for n in range(3000)]})
            client.send(frame(b'{"action":"authenticate","api_key":"good"}') + frame(many.encode()))
            kinds = []
            while len(kinds) < 2:
                opcode, payload = await asyncio.wait_for(client.receive(), PATIENCE)
                if opcode == 1:
                    kinds.append(json.loads(payload))
            assert [kind["type"] for kind in kinds] == ["auth", "subscribe"]
            assert len(kinds[1]["subscriptions"]) == 3000

    run(main)


def test_strangers_take_no_place_of_a_client_and_the_oldest_makes_room():
    async def main():
        async with running_proxy(max_unauthenticated=20, max_connections=3) as proxy:
            crowd = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(100)]
            async with connected(proxy) as a, connected(proxy) as b, connected(proxy) as c:
                for client in (a, b, c):
                    assert (await client.ask(action="ping"))["type"] == "pong"
                assert proxy.unauthenticated <= 10, "one address has half"
                async with connected(proxy, key=None) as late:
                    assert (await late.closed())[0] == 1013, "all places of clients are taken"
            assert proxy.refusals.counts["crowded_out"] >= 80
            for _, writer in crowd:
                writer.close()
            await eventually(lambda: not proxy.unauthenticated)

    run(main)


def test_two_that_authenticate_at_once_do_not_share_the_last_place():
    async def main():
        async with running_proxy(max_connections=1) as proxy:
            async with connected(proxy, key=None) as a, connected(proxy, key=None) as b:
                for client in (a, b):
                    await client.send(action="authenticate", api_key="good")
                first = [await client.receive() for client in (a,)]
                assert first[0]["status"] == "success"
                assert (await b.closed())[0] == 1013
            await eventually(lambda: not proxy.clients)
            async with connected(proxy):
                pass

    run(main)


def test_who_has_sent_a_key_is_not_sent_away_while_it_is_verified():
    async def main():
        waiting = asyncio.Event()
        async with running_proxy(max_unauthenticated=4) as proxy:
            verify = proxy._verify

            async def slow(key):
                await waiting.wait()
                return await verify(key)

            proxy._verify = slow
            async with connected(proxy, key=None) as client:
                await client.send(action="authenticate", api_key="good")
                await eventually(lambda: any(session.verifying for session in proxy.clients))
                crowd = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(10)]
                await eventually(lambda: proxy.refusals.counts.get("crowded_out", 0) >= 9)
                waiting.set()
                assert (await client.receive())["status"] == "success"
                for _, writer in crowd:
                    writer.close()

    run(main)


def test_the_time_for_authentication_stops_when_a_key_has_come():
    async def main():
        async with running_proxy(auth_grace=1.0) as proxy:
            verify = proxy._verify

            async def slow(key):
                await asyncio.sleep(0.15)
                return await verify(key)

            proxy._verify = slow
            clients = [connected(proxy, key=None) for _ in range(20)]
            entered = []
            for client in clients:
                entered.append(await client.__aenter__())
                await entered[-1].send(action="authenticate", api_key="good")
            answers = [await client.receive() for client in entered]
            assert [answer["status"] for answer in answers] == ["success"] * 20
            for client in clients:
                await client.__aexit__(None, None, None)

    run(main)


def test_after_a_wrong_key_the_time_runs_again():
    async def main():
        async with running_proxy(auth_grace=0.2) as proxy, connected(proxy, key=None) as client:
            assert (await client.ask(action="authenticate", api_key="bad"))["code"] == "AUTHENTICATION_ERROR"
            assert (await client.closed())[0] == 4401

    run(main)


def test_a_key_that_is_revoked_while_its_feed_is_made_gets_nothing():
    async def main():
        async with running_proxy() as proxy:
            feed_of, verify = proxy.feed_of, proxy._verify
            revoked = []

            async def slow(user):
                revoked.append(user)
                return await feed_of(user)

            async def checked(key):
                return None if revoked else await verify(key)

            proxy.feed_of, proxy._verify = slow, checked
            async with connected(proxy, key=None) as client:
                answer = await client.ask(action="authenticate", api_key="good")
                assert (answer["type"], answer["code"]) == ("auth", "AUTHENTICATION_ERROR")
                assert (await client.ask(action="list_subscriptions"))["code"] == "NOT_AUTHENTICATED"

    run(main)


def test_accepting_pauses_when_descriptors_run_out_says_so_once_and_goes_on(caplog):
    async def main():
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with running_proxy() as proxy, connected(proxy) as good:
            resource.setrlimit(resource.RLIMIT_NOFILE, (170, hard))
            try:
                crowd = []
                while not proxy.refusals.counts.get("descriptors"):
                    try:
                        crowd.append(await asyncio.open_connection("127.0.0.1", proxy.port))
                    except OSError:
                        break
                await eventually(lambda: proxy.refusals.counts.get("descriptors"))
                assert (await good.ask(action="ping"))["type"] == "pong"
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            async with connected(proxy) as later:
                assert (await later.ask(action="ping"))["type"] == "pong"
            for _, writer in crowd:
                writer.close()
        told = [line for line in caplog.messages if "reason=descriptors" in line]
        assert len(told) == 1

    caplog.set_level(logging.WARNING)
    run(main)


def test_the_operator_reads_one_line_for_many_refusals_and_never_a_key(caplog):
    async def main():
        async with running_proxy(auth_attempts=1) as proxy:
            for _ in range(20):
                async with connected(proxy, key=None) as client:
                    await client.send(action="authenticate", api_key="tmx_secret_wrong_key")
                    await client.closed()
            assert proxy.refusals.counts["authentication"] == 20

    caplog.set_level(logging.DEBUG)
    run(main)
    lines = [line for line in caplog.messages if "reason=authentication" in line]
    assert len(lines) == 1
    assert "address=127.0.0.1" in lines[0]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("tickmux", "picows"))]
    assert not any("tmx_secret" in line for line in ours)


def test_it_listens_on_ipv6_too():
    async def main():
        async with running_proxy() as proxy:
            try:
                port = await proxy._door.open("::1", 0)
            except OSError:
                pytest.skip("this machine has no IPv6")
            async with websockets.connect(f"ws://[::1]:{port}") as client:
                await client.send("ping")
                assert await client.recv() == "pong"

    run(main)


def test_a_port_on_every_address_of_a_host_is_the_same_one():
    async def main():
        async with running_proxy() as proxy:
            port = await proxy._door.open("localhost", 0)
            async with websockets.connect(f"ws://localhost:{port}") as client:
                await client.send("ping")
                assert await client.recv() == "pong"

    run(main)
