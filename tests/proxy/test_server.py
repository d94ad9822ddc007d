"""The proxy over real sockets: what clients say and hear."""

import asyncio
import json
import socket
import struct

import msgspec
import pytest
import uvloop
import websockets

from support.servers import connected, eventually, publisher, running_proxy
from tickmux.websocket_proxy.port_check import PortTaken, check_port


def run(main):
    return uvloop.run(main())


def tick(ltp, symbol="SBIN", exchange="NSE", **more):
    return {"symbol": symbol, "exchange": exchange, "ltp": ltp, "timestamp": 1_705_294_800_000, **more}


def test_authentication_says_success_early_and_names_broker_and_features():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            await client.send(action="authenticate", api_key="good", request_id="a1")
            raw = await client.socket.recv()
            assert "success" in raw[:1024]
            assert ": " not in raw.split('"message"')[0], "compact JSON"
            answer = json.loads(raw)
            assert answer["type"] == "auth"
            assert answer["user_id"] == "bob"
            assert answer["request_id"] == "a1"
            assert answer["supported_features"]["depth"] is True

    run(main)


def test_there_is_no_greeting():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            assert await client.nothing_before_pong() == []

    run(main)


def test_a_bad_key_may_be_corrected():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            bad = await client.ask(action="authenticate", api_key="wrong-secret")
            assert (bad["type"], bad["status"], bad["code"]) == ("auth", "error", "AUTHENTICATION_ERROR")
            assert "wrong-secret" not in json.dumps(bad)
            good = await client.ask(action="authenticate", api_key="good")
            assert good["status"] == "success"

    run(main)


def test_too_many_bad_keys_close_the_connection():
    async def main():
        async with running_proxy(auth_attempts=3) as proxy, connected(proxy, key=None) as client:
            for _ in range(3):
                await client.send(action="authenticate", api_key="wrong")
            assert (await client.closed())[0] == 4401

    run(main)


def test_who_does_not_authenticate_in_time_is_closed():
    async def main():
        async with running_proxy(auth_grace=0.05) as proxy, connected(proxy, key=None) as client:
            assert (await client.closed())[0] == 4401
            await eventually(lambda: not proxy.clients)

    run(main)


def test_requests_before_authentication_are_refused_but_ping_is_answered():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            refused = await client.ask(action="subscribe", symbols=["NSE:SBIN"], request_id=1)
            assert refused["code"] == "NOT_AUTHENTICATED"
            assert "type" not in refused
            assert refused["request_id"] == 1
            pong = await client.ask(action="ping", timestamp=7, _pingId="p")
            assert (pong["type"], pong["client_timestamp"], pong["_pingId"]) == ("pong", 7, "p")

    run(main)


def test_bare_ping_is_answered_with_bare_pong():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            await client.socket.send("ping")
            assert await client.socket.recv() == "pong"

    run(main)


def test_requests_sent_while_authentication_is_running_are_carried_out_in_order():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            await client.send(action="authenticate", api_key="good")
            await client.send(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            await client.send(action="list_subscriptions")
            answers = [await client.receive() for _ in range(3)]
            assert [answer["type"] for answer in answers] == ["auth", "subscribe", "subscriptions"]
            assert answers[2]["subscriptions"][0]["symbol"] == "SBIN"

    run(main)


def test_market_data_has_the_documented_bytes():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client, publisher(proxy) as source:
            await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode="LTP")
            source.publish("NSE_SBIN_LTP", tick(625.0))
            assert await client.socket.recv() == (
                '{"type":"market_data","symbol":"SBIN","exchange":"NSE","mode":1,"broker":"external",'
                '"data":{"symbol":"SBIN","exchange":"NSE","mode":"ltp","ltp":625,"timestamp":1705294800000}}'
            )

    run(main)


@pytest.mark.parametrize(
    ("topic", "symbol", "exchange", "mode"),
    [
        ("NSE_SBIN_LTP", "SBIN", "NSE", "LTP"),
        ("NSE_INDEX_NIFTY_QUOTE", "NIFTY", "NSE_INDEX", "QUOTE"),
        ("CRYPTO_SOL_INR_LTP", "SOL_INR", "CRYPTO", "LTP"),
        ("NSE_M&M_DEPTH", "M&M", "NSE", "DEPTH"),
    ],
)
def test_openalgo_topics_reach_their_subscribers(topic, symbol, exchange, mode):
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client, publisher(proxy) as source:
            await client.ask(action="subscribe", symbol=symbol, exchange=exchange, mode=mode)
            source.publish(topic, tick(1.5, symbol, exchange))
            message = await client.data()
            assert (message["symbol"], message["exchange"], message["data"]["ltp"]) == (symbol, exchange, 1.5)

    run(main)


def test_hostile_messages_of_publishers_are_counted_and_reach_nobody():
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, connected(proxy) as client, publisher(proxy) as source:
            await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode="LTP")
            for payload in (b"", b"nonsense", b"[1]", b"\xff\xfe", b'{"a":' * 5000, b'{"symbol":"TCS","ltp":1}'):
                source.send_raw(b"NSE_SBIN_LTP", payload)
            source.send_raw(b"NSE_SBIN_LTP")
            source.send_raw(b"NSE_SBIN_LTP", b"{}", b"{}")
            source.send_raw(b"\0external:bus", b"\xc1garbage")
            source.send_raw(b"NSE_TCS_LTP", b"{}")
            source.publish("NSE_SBIN_LTP", tick(2.5))
            assert (await client.data())["data"]["ltp"] == 2.5
            counters = (await proxy.feed_of("bob")).info().counters
            assert (counters.malformed, counters.unknown, counters.unrouted) == (6, 1, 1)
            assert source.door.malformed == 2
            assert proxy.dispatcher.malformed == proxy.dispatcher.unrouted == 0

    run(main)


def test_every_item_gets_its_own_verdict_in_order():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            answer = await client.ask(
                action="subscribe",
                mode="QUOTE",
                symbols=["NSE:SBIN", {"symbol": "X"}, {"symbol": "TCS", "exchange": "NSE", "mode": "DEPTH"}],
                request_id="r",
            )
            assert answer["status"] == "partial"
            assert answer["request_id"] == "r"
            entries = answer["subscriptions"]
            assert [entry["status"] for entry in entries] == ["success", "error", "success"]
            assert [entry.get("mode") for entry in entries] == ["Quote", None, "Depth"]
            assert entries[1]["code"] == "INVALID_PARAMETERS"

    run(main)


def test_unsubscribing_one_mode_leaves_the_others_and_other_clients_alone():
    async def main():
        async with (
            running_proxy(throttle_ms=0) as proxy,
            connected(proxy) as a,
            connected(proxy, key="other") as b,
            publisher(proxy) as source,
        ):
            for client in (a, b):
                await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
                await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="QUOTE")
            gone = await a.ask(action="unsubscribe", symbols=["NSE:SBIN"], mode="LTP")
            assert gone["status"] == "success"
            assert gone["successful"][0]["mode"] == "LTP"
            source.publish("NSE_SBIN_LTP", tick(1))
            source.publish("NSE_SBIN_QUOTE", tick(2))
            assert (await a.data())["mode"] == 2
            assert (await b.data())["mode"] == 1
            assert (await b.data())["mode"] == 2

    run(main)


def test_unsubscribe_without_a_mode_ends_all_modes_and_what_was_not_held_is_no_failure():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="DEPTH")
            answer = await client.ask(action="unsubscribe", symbols=["NSE:SBIN", "NSE:TCS"])
            assert (answer["status"], answer["failed"]) == ("success", [])
            gone = [(entry["symbol"], entry["mode"]) for entry in answer["successful"]]
            assert gone == [("SBIN", "LTP"), ("SBIN", "Depth"), ("TCS", "Quote")]
            assert (await client.ask(action="list_subscriptions"))["subscriptions"] == []
            senseless = await client.ask(action="unsubscribe", symbols=["NSE:TCS", {"symbol": "X"}])
            assert (senseless["status"], senseless["failed"][0]["code"]) == ("partial", "INVALID_PARAMETERS")

    run(main)


def test_unsubscribe_all_and_the_empty_case():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:TCS"], mode="LTP")
            answer = await client.ask(action="unsubscribe_all", request_id=9)
            assert (answer["type"], answer["status"], answer["request_id"]) == ("unsubscribe", "success", 9)
            assert len(answer["successful"]) == 2
            assert proxy.index.by_name == {}
            assert (await client.ask(action="unsubscribe_all"))["status"] == "success"

    run(main)


def test_a_client_that_goes_away_gives_everything_back():
    async def main():
        async with running_proxy() as proxy:
            async with connected(proxy) as client:
                await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:TCS"], mode="LTP")
                assert proxy.index.subscriptions == 2
            await eventually(lambda: proxy.index.subscriptions == 0)
            assert proxy.index.by_name == {}

    run(main)


def test_information_commands():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            info = await client.ask(action="get_broker_info")
            assert (info["type"], info["broker"], info["feed_state"]) == ("broker_info", "external", "live")
            brokers = await client.ask(action="get_supported_brokers")
            assert (brokers["brokers"], brokers["count"]) == (["angel", "zerodha"], 2)
            orders = await client.ask(action="subscribe_orders", request_id=4)
            assert (orders["status"], orders["available"], orders["request_id"]) == ("success", False, 4)
            assert info["adapter_status"] == "connected"

    run(main)


def test_the_last_known_value_follows_the_acknowledgement_as_a_snapshot():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as a, publisher(proxy) as source:
            await a.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            source.publish("NSE_SBIN_LTP", tick(5))
            await a.data()
            async with connected(proxy, key="other") as b:
                await b.send(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
                assert (await b.receive())["type"] == "subscribe"
                snapshot = await b.receive()
                assert snapshot["snapshot"] is True
                assert snapshot["data"]["ltp"] == 5
            assert await a.nothing_before_pong() == [], "nobody else gets it"

    run(main)


def test_throttle_sends_the_first_at_once_and_the_newest_at_the_end_of_the_interval():
    async def main():
        async with running_proxy(throttle_ms=100) as proxy, connected(proxy) as client, publisher(proxy) as source:
            await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            loop = asyncio.get_running_loop()
            source.publish("NSE_SBIN_LTP", tick(0))
            assert (await client.data())["data"]["ltp"] == 0
            first_at = loop.time()
            for price in range(1, 50):
                source.publish("NSE_SBIN_LTP", tick(price))
            assert (await client.data())["data"]["ltp"] == 49
            assert loop.time() - first_at >= 0.08
            assert await client.nothing_before_pong() == []
            assert proxy.dispatcher.conflated == 48

    run(main)


def test_a_throttle_of_zero_gives_every_tick_to_the_client_that_asked():
    async def main():
        async with running_proxy(throttle_ms=10_000) as proxy, connected(proxy) as a, connected(proxy) as b:
            async with publisher(proxy) as source:
                await a.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP", throttle_ms=0)
                await b.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
                for price in range(100):
                    source.publish("NSE_SBIN_LTP", tick(price))
                assert [(await a.data())["data"]["ltp"] for _ in range(100)] == list(range(100))
                assert (await b.data())["data"]["ltp"] == 0
                assert await b.nothing_before_pong() == []

    run(main)


def test_sequence_numbers_show_what_was_conflated():
    async def main():
        async with running_proxy(throttle_ms=50) as proxy, connected(proxy, sequence=True) as client:
            async with publisher(proxy) as source:
                await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
                for price in range(10):
                    source.publish("NSE_SBIN_LTP", tick(price))
                assert [(await client.data())["seq"] for _ in range(2)] == [1, 10]

    run(main)


def test_flat_format_is_the_data_alone_with_indian_time():
    async def main():
        async with running_proxy() as proxy, connected(proxy, format="flat") as client, publisher(proxy) as source:
            await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            source.publish("NSE_SBIN_LTP", tick(625.5))
            assert await client.receive() == {
                "symbol": "SBIN", "exchange": "NSE", "ltp": 625.5, "timestamp": "2024-01-15T10:30:00.000+05:30",
            }  # fmt: skip

    run(main)


def test_msgpack_messages_are_binary_and_say_the_same():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client, publisher(proxy) as source:
            await client.send(action="authenticate", api_key="good", options={"encoding": "msgpack"})
            assert msgspec.msgpack.decode(await client.socket.recv())["status"] == "success"
            await client.send(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            assert msgspec.msgpack.decode(await client.socket.recv())["type"] == "subscribe"
            source.publish("NSE_SBIN_LTP", tick(625.5))
            message = msgspec.msgpack.decode(await client.socket.recv())
            assert (message["type"], message["mode"], message["data"]["ltp"]) == ("market_data", 1, 625.5)

    run(main)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "INVALID_JSON"),
        ("[]", "INVALID_JSON"),
        (b"\x00\x01binary", "INVALID_JSON"),
        ("[" * 200_000, "INVALID_JSON"),
        ('{"action":"fly"}', "INVALID_ACTION"),
        ('{"action":"subscribe","symbols":5}', "INVALID_PARAMETERS"),
        ('{"action":"subscribe","symbols":["NSE:SBIN"],"mode":9}', "INVALID_MODE"),
        ('{"action":"subscribe","symbols":["NSE:SBIN"],"depth":"x"}', "UNSUPPORTED_DEPTH_LEVEL"),
        (json.dumps({"action": "subscribe", "symbols": ["NSE:SBIN"] * 10_001}), "SUBSCRIPTION_LIMIT"),
    ],
)
def test_malformed_requests_get_their_code_and_the_connection_lives(frame, code):
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            await client.socket.send(frame)
            answer = await client.receive()
            assert (answer["status"], answer["code"]) == ("error", code)
            assert "type" not in answer
            assert (await client.ask(action="ping"))["type"] == "pong"
            assert proxy.counters.bad_requests == 1

    run(main)


def test_invalid_utf8_in_a_text_frame_gets_an_error_and_the_connection_lives():
    async def main():
        async with running_proxy() as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            for payload in (b'{"action":"\xff\xfe"}', b"ping"):
                writer.write(bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload)
            _, length = struct.unpack("BB", await reader.readexactly(2))
            if length == 126:
                (length,) = struct.unpack(">H", await reader.readexactly(2))
            assert json.loads(await reader.readexactly(length))["code"] == "INVALID_JSON"
            assert await reader.readexactly(6) == b"\x81\x04pong"
            writer.close()

    run(main)


def test_a_fragmented_request_is_put_together():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            await client.socket.send(['{"action":', '"pi', 'ng"}'])
            assert (await client.receive())["type"] == "pong"

    run(main)


@pytest.mark.parametrize("fragmented", [False, True])
def test_a_frame_that_is_too_large_closes_only_its_own_connection(fragmented):
    async def main():
        async with running_proxy(max_message=4096) as proxy, connected(proxy) as other, connected(proxy) as client:
            large = ["x" * 3000] * 4 if fragmented else "x" * 10_000_000
            try:
                await client.socket.send(large)
            except websockets.ConnectionClosed:
                pass
            assert (await client.closed())[0] == 1009
            assert (await other.ask(action="ping"))["type"] == "pong"

    run(main)


def test_requests_beyond_the_rate_wait_and_those_beyond_the_queue_are_refused_and_counted():
    async def main():
        async with running_proxy(rate=50, burst=5, max_waiting=10) as proxy, connected(proxy) as client:
            loop = asyncio.get_running_loop()
            began = loop.time()
            for number in range(40):
                await client.send(action="ping", request_id=number)
            answers = [await client.receive() for _ in range(40)]
            done = [answer["request_id"] for answer in answers if answer.get("type") == "pong"]
            refused = sum(answer.get("code") == "RATE_LIMITED" for answer in answers)
            assert len(done) + refused == 40
            assert done == sorted(done), "in order"
            assert len(done) >= 10, "what fits into the queue waits and is done"
            assert loop.time() - began >= (len(done) - 5) / 50 - 0.02, "at the rate, after the burst"
            assert proxy.counters.rate_limited == refused

    run(main)


def test_thousands_of_single_subscriptions_at_the_start_are_all_carried_out():
    async def main():
        async with running_proxy(rate=20_000, burst=10) as proxy, connected(proxy) as client:
            for number in range(3000):
                await client.send(action="subscribe", symbol=f"S{number}", exchange="NSE", mode="LTP")
            answers = [await client.receive() for _ in range(3000)]
            assert all(answer["status"] == "success" for answer in answers)
            assert proxy.index.subscriptions == 3000

    run(main)


def test_a_request_about_many_instruments_costs_more_than_one():
    async def main():
        async with running_proxy(rate=10, burst=3) as proxy, connected(proxy) as client:
            await client.ask(action="subscribe", symbols=[f"NSE:S{number}" for number in range(500)], mode="LTP")
            loop = asyncio.get_running_loop()
            began = loop.time()
            await client.ask(action="ping")
            assert loop.time() - began >= 0.7, "ten requests' worth, at ten a second"

    run(main)


def test_subscriptions_of_one_client_are_limited():
    async def main():
        async with running_proxy(max_subscriptions=2) as proxy, connected(proxy) as client:
            await client.ask(action="subscribe", symbols=["NSE:A"], mode="LTP")
            answer = await client.ask(action="subscribe", symbols=["NSE:A", "NSE:B"], mode="LTP")
            assert answer["status"] == "success", "one of them was held already"
            refused = await client.ask(action="subscribe", symbols=["NSE:C"], mode="LTP")
            assert refused["subscriptions"][0]["code"] == "SUBSCRIPTION_LIMIT"

    run(main)


def test_connections_beyond_the_limit_are_told_to_come_back_later():
    async def main():
        async with running_proxy(max_connections=1) as proxy, connected(proxy) as first:
            async with websockets.connect(f"ws://127.0.0.1:{proxy.port}") as socket_:
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await socket_.recv()
                assert closed.value.rcvd.code == 1013
            assert (await first.ask(action="ping"))["type"] == "pong"

    run(main)


def test_a_thousand_connections_that_never_authenticate_are_shaken_off():
    async def main():
        async with running_proxy(auth_grace=0.3) as proxy, connected(proxy) as client:
            hello = (
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            crowd = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(1000)]
            for number, (_, writer) in enumerate(crowd):
                if number % 2:  # the others never even finish the hand-shake
                    writer.write(hello)
            assert (await client.ask(action="ping"))["type"] == "pong"
            for reader, writer in crowd:
                await asyncio.wait_for(reader.read(-1), 10)
                writer.close()
            await eventually(lambda: len(proxy.clients) == 1)
            assert (await client.ask(action="ping"))["type"] == "pong"

    run(main)


def _deaf_socket():
    """A client below all libraries, with a small receive buffer, so that it can stop reading."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    return raw


def test_a_client_that_does_not_read_gets_the_newest_values_and_costs_the_others_nothing():
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, connected(proxy) as quick, publisher(proxy) as source:
            raw = _deaf_socket()
            loop = asyncio.get_running_loop()
            await loop.sock_connect(raw, ("127.0.0.1", proxy.port))
            async with websockets.connect("ws://x", sock=raw, max_queue=1, ping_interval=None) as slow:
                await slow.send('{"action":"authenticate","api_key":"good"}')
                await slow.recv()
                await slow.send('{"action":"subscribe","symbols":["NSE:A","NSE:B"],"mode":"LTP"}')
                await slow.recv()
                await quick.ask(action="subscribe", symbols=["NSE:A", "NSE:B"], mode="LTP")
                padding = "x" * 2000
                sent = 0
                while not proxy.counters.pauses:
                    for symbol in "AB":
                        source.publish(f"NSE_{symbol}_LTP", tick(sent, symbol, pad=padding))
                    assert (await quick.data("B"))["data"]["ltp"] == sent
                    sent += 1
                (session,) = [client for client in proxy.clients if client.paused]
                held = session.write_buffer_size()
                for _ in range(500):
                    for symbol in "AB":
                        source.publish(f"NSE_{symbol}_LTP", tick(sent, symbol, pad=padding))
                    assert (await quick.data("B"))["data"]["ltp"] == sent
                    sent += 1
                assert session.write_buffer_size() <= held, "nothing piles up for a client that does not read"
                assert session.pending == []
                newest, count = {}, 0
                while newest.get("A") != sent - 1 or newest.get("B") != sent - 1:
                    message = json.loads(await asyncio.wait_for(slow.recv(), 10))
                    newest[message["symbol"]] = message["data"]["ltp"]
                    count += 1
                assert count < 2 * sent - 500, "the backlog was conflated"

    run(main)


def test_a_client_that_reads_nothing_for_too_long_is_closed():
    async def main():
        async with running_proxy(throttle_ms=0, slow_consumer=0.2) as proxy, publisher(proxy) as source:
            raw = _deaf_socket()
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", proxy.port))
            async with websockets.connect("ws://x", sock=raw, max_queue=1, ping_interval=None) as slow:
                await slow.send('{"action":"authenticate","api_key":"good"}')
                await slow.recv()
                await slow.send('{"action":"subscribe","symbols":["NSE:A"],"mode":"LTP"}')
                await slow.recv()
                while proxy.clients:
                    source.publish("NSE_A_LTP", tick(1, "A", pad="x" * 50_000))
                    await asyncio.sleep(0.001)
                assert proxy.counters.closes == {4408: 1}

    run(main)


def test_shutdown_says_goodbye_and_frees_the_port():
    async def main():
        async with running_proxy() as proxy:
            async with connected(proxy) as client:
                loop = asyncio.get_running_loop()
                began = loop.time()
                await proxy.stop()
                assert loop.time() - began < 2
                assert (await client.closed())[0] == 1001
            await eventually(lambda: is_free(proxy.port), f"port {proxy.port} is free")
            assert loop.time() - began < 2

    run(main)


def is_free(port):
    try:
        check_port("ANY_PORT", "127.0.0.1", port)
    except PortTaken:
        return False
    return True


def test_a_taken_port_is_named_with_the_process_that_has_it():
    async def main():
        async with running_proxy() as proxy:
            with pytest.raises(PortTaken) as taken:
                check_port("WEBSOCKET_PORT", "127.0.0.1", proxy.port)
            assert str(proxy.port) in str(taken.value)
            assert "WEBSOCKET_PORT" in str(taken.value)
            assert "pid" in str(taken.value)

    run(main)
