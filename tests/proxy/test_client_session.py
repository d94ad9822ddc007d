"""One client's session: names, encodings, bounds, pings, its end."""

import asyncio
import json

import msgspec
import pytest
import uvloop

from support.raw_client import frame, raw_client
from support.servers import PATIENCE, connected, eventually, publisher, running_proxy
from tickmux.errors import ErrorCode, RequestError
from tickmux.websocket_proxy.feed_state import FeedState, FeedStatus


def run(main):
    return uvloop.run(main())


def tick(ltp, symbol="TCS"):
    return {"symbol": symbol, "exchange": "NSE", "ltp": ltp, "timestamp": 1_705_294_800_000}


def test_a_symbol_with_levels_is_a_subscription_of_its_own_under_its_own_name():
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, connected(proxy) as client, publisher(proxy) as source:
            both = await client.ask(action="subscribe", symbols=["NSE:TCS", "NSE:TCS:50"], mode="LTP")
            assert [entry["symbol"] for entry in both["subscriptions"]] == ["TCS", "TCS:50"]
            assert proxy.index.subscriptions == 2
            source.publish("NSE_TCS_LTP", tick(1))
            got = [await client.data() for _ in range(2)]
            assert sorted((one["symbol"], one["data"]["symbol"], one["data"]["ltp"]) for one in got) == [
                ("TCS", "TCS", 1),
                ("TCS:50", "TCS:50", 1),
            ]
            listed = (await client.ask(action="list_subscriptions"))["subscriptions"]
            assert [entry["symbol"] for entry in listed] == ["TCS", "TCS:50"]
            again = await client.ask(action="subscribe", symbols=["NSE:TCS:50"], mode="LTP")
            assert again["status"] == "success"
            assert (await client.data())["snapshot"] is True
            gone = await client.ask(action="unsubscribe", symbols=["NSE:TCS:50"])
            assert [entry["symbol"] for entry in gone["successful"]] == ["TCS:50"]
            source.publish("NSE_TCS_LTP", tick(2))
            assert (await client.data())["symbol"] == "TCS"
            assert await client.nothing_before_pong() == []

    run(main)


@pytest.mark.parametrize("options", [{"format": "flat"}, {"sequence": True}, {}])
def test_the_name_with_levels_is_in_every_format(options):
    async def main():
        async with running_proxy() as proxy, connected(proxy, **options) as client, publisher(proxy) as source:
            await client.ask(action="subscribe", symbols=["NSE:TCS:50"], mode="DEPTH")
            source.publish("NSE_TCS_DEPTH", {**tick(1), "depth": {"buy": [], "sell": []}})
            message = await client.receive()
            assert message["symbol"] == "TCS:50"
            assert message.get("data", message)["symbol"] == "TCS:50"

    run(main)


def test_levels_count_in_depth_mode_and_the_name_is_free_for_each_mode():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            answer = await client.ask(
                action="subscribe",
                symbols=[{"symbol": "TCS:20", "exchange": "NSE", "mode": mode} for mode in (1, 2, 3)],
            )
            assert [(one["symbol"], one["depth"] > 0) for one in answer["subscriptions"]] == [
                ("TCS:20", False),
                ("TCS:20", False),
                ("TCS:20", True),
            ]
            assert len((await client.ask(action="unsubscribe", symbols=["NSE:TCS:20"]))["successful"]) == 3

    run(main)


@pytest.mark.parametrize("request_id", [2**64, 2**70, -(2**80), 10**400])
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_huge_request_id_is_answered_and_so_is_the_next_request(encoding, request_id):
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client:
            decode = json.loads if encoding == "json" else msgspec.msgpack.decode
            await client.send(action="authenticate", api_key="good", options={"encoding": encoding})
            await client.socket.recv()
            for message in ({"action": "ping"}, {"action": "subscribe", "symbols": ["NSE:TCS"]}, {"action": "fly"}):
                await client.send(**message, request_id=request_id)
                assert decode(await client.socket.recv())["request_id"] == str(request_id)[:256]
            await client.send(action="ping", request_id=1)
            assert decode(await client.socket.recv())["request_id"] == 1

    run(main)


def test_data_comes_behind_the_answer_of_a_request_that_takes_several_slices():
    async def main():
        async with running_proxy(throttle_ms=0) as proxy, connected(proxy) as client, connected(proxy) as other:
            async with publisher(proxy) as source:
                names = [f"S{number}" for number in range(450)]
                await other.ask(action="subscribe", symbols=[f"NSE:{name}" for name in names], mode="LTP")
                stop = asyncio.Event()

                async def market():
                    price = 0
                    while not stop.is_set():
                        price += 1
                        for name in names:
                            source.publish(f"NSE_{name}_LTP", tick(price, name))
                        await asyncio.sleep(0.002)

                task = asyncio.create_task(market())
                await other.data()
                await client.send(action="subscribe", symbols=[f"NSE:{name}" for name in names], mode="LTP")
                assert (await client.receive())["type"] == "subscribe"
                seen = set()
                while len(seen) < len(names):
                    seen.add((await client.data())["symbol"])
                stop.set()
                await task

    run(main)


def test_a_failure_in_the_middle_of_a_long_request_is_a_verdict_of_its_slice():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client, publisher(proxy) as source:
            feed = await proxy.feed_of("bob")
            real, calls = feed.subscribe, []

            async def failing(wants):
                calls.append(len(wants))
                if len(calls) == 2:
                    raise RequestError(ErrorCode.BROKER_CONNECTION_ERROR, "the feed process does not answer")
                return await real(wants)

            feed.subscribe = failing
            answer = await client.ask(action="subscribe", symbols=[f"NSE:S{n}" for n in range(250)], mode="LTP")
            assert answer["status"] == "partial"
            assert [one["status"] for one in answer["subscriptions"]] == (
                ["success"] * 100 + ["error"] * 100 + ["success"] * 50
            )
            source.publish("NSE_S0_LTP", tick(1, "S0"))
            assert (await client.data())["symbol"] == "S0"

    run(main)


@pytest.mark.parametrize(("size", "good"), [(5000, True), (5001, False)])
def test_fragments_may_have_the_longest_message_and_not_a_byte_more(size, good):
    async def main():
        async with running_proxy(max_message=5000) as proxy, connected(proxy) as client:
            text = '{"action":"ping","pad":"'
            text += "x" * (size - len(text) - 2) + '"}'
            await client.socket.send([text[:3000], text[3000:]])
            if good:
                assert (await client.receive())["type"] == "pong"
            else:
                assert (await client.closed())[0] == 1009

    run(main)


def test_a_session_whose_connection_has_gone_can_be_closed_asked_and_told_all_the_same():
    async def main():
        async with running_proxy() as proxy:
            async with connected(proxy, feed_status=True) as client:
                await client.until(lambda message: message.get("type") == "feed_status")
                (session,) = proxy.clients
            await eventually(lambda: not proxy.clients)
            assert session.write_buffer_size() == 0
            written = session.bytes
            session.news._show_status(FeedStatus(FeedState.STALLED, 0, "late", 0))
            session.close(4408, "late")
            session.look_after(1e9)
            assert session.bytes == written
            assert proxy.counters.closes == {}

    run(main)


def test_a_quiet_client_is_pinged_and_one_that_does_not_answer_but_whose_machine_does_stays():
    async def main():
        async with running_proxy(ping_interval=0.05, ping_timeout=0.1) as proxy, raw_client(proxy.port) as client:
            client.send(frame(b'{"action":"authenticate","api_key":"good"}'))
            pings = 0
            while pings < 2:
                opcode, payload = await asyncio.wait_for(client.receive(), PATIENCE)
                pings += opcode == 9
                if opcode == 9 and pings == 1:
                    client.send(frame(payload, 0x8A))
            await asyncio.sleep(0.6)  # the time-out has passed several times over
            client.send(frame(b"ping"))
            while (await asyncio.wait_for(client.receive(), PATIENCE)) != (1, b"pong"):
                pass
            assert len(proxy.clients) == 1

    run(main)


def test_a_client_whose_machine_acknowledges_nothing_is_let_go(monkeypatch):
    monkeypatch.setattr("tickmux.websocket_proxy.client_session.silent_for", lambda transport: 1.0)
    monkeypatch.setattr("tickmux.websocket_proxy.client_session.unacknowledged", lambda transport: 10)

    async def main():
        async with running_proxy(ping_interval=0.05, ping_timeout=0.1) as proxy, raw_client(proxy.port) as client:
            client.send(frame(b'{"action":"authenticate","api_key":"good"}'))
            await eventually(lambda: proxy.counters.connections and not proxy.clients)
            assert proxy.refusals.counts["vanished"] == 1

    run(main)


def test_no_pings_where_they_are_turned_off():
    async def main():
        async with running_proxy(ping_interval=0.0) as proxy, raw_client(proxy.port) as client:
            client.send(frame(b'{"action":"authenticate","api_key":"good"}'))
            assert (await client.receive())[0] == 1
            await asyncio.sleep(0.6)
            client.send(frame(b"ping"))
            assert await client.receive() == (1, b"pong")

    run(main)


def test_sockets_are_kept_alive_by_tcp_and_hold_little_back():
    import socket

    async def main():
        async with running_proxy() as proxy, connected(proxy):
            (session,) = proxy.clients
            kernel = session._transport.underlying_transport.get_extra_info("socket")
            assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
            assert kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 64 << 10

    run(main)


def closed(transport):
    """Whether writing to it fails."""
    try:
        transport.write(b"")
    except RuntimeError:
        return True
    return False


def test_a_socket_that_the_loop_has_closed_costs_the_other_clients_nothing():
    """Between the end of a socket and the loop's word of it, a drain may still write to it."""

    async def main():
        async with running_proxy() as proxy, connected(proxy):
            (gone,) = proxy.clients
            async with connected(proxy) as staying:
                (alive,) = proxy.clients - {gone}
                transport = gone._transport.underlying_transport
                transport.abort()
                while not closed(transport):
                    await asyncio.sleep(0)
                for session in (gone, alive):
                    session.append(b"\x81\x02{}")
                    session.flush()
                assert await staying.receive() == {}
                await eventually(lambda: gone not in proxy.clients)

    run(main)
