"""The traffic of clients that cannot be run here, as the protocol file describes it, replayed on raw sockets."""

import asyncio
import json
import re

import uvloop
import websockets

from support.servers import connected, publisher, running_proxy

TICK = {"symbol": "SBIN", "exchange": "NSE", "ltp": 625.0, "volume": 10.0, "timestamp": 1_705_294_800_000.0}


def run(main):
    return uvloop.run(main())


def test_excel_keeps_alive_with_a_bare_ping_and_knows_errors_by_the_missing_type():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            await client.socket.send("ping")
            assert await client.socket.recv() == "pong"
            error = await client.ask(action="subscribe", symbols=5)
            assert error["status"] == "error"
            assert "type" not in error

    run(main)


def test_charts_subscribe_before_they_have_the_answer_to_authenticate():
    async def main():
        async with running_proxy() as proxy, publisher(proxy) as source:
            async with websockets.connect(f"ws://127.0.0.1:{proxy.port}/charts?v=1") as socket:
                await socket.send('{"action":"authenticate","api_key":"good"}')
                await socket.send('{"action":"subscribe","symbol":"SBIN","exchange":"NSE","mode":2}')
                assert json.loads(await socket.recv())["type"] == "auth"
                assert json.loads(await socket.recv())["status"] == "success"
                source.publish("NSE_SBIN_QUOTE", TICK)
                assert json.loads(await socket.recv())["data"]["ltp"] == 625

    run(main)


def test_amibroker_finds_fields_by_substrings_of_compact_json():
    async def main():
        async with running_proxy() as proxy, connected(proxy, key=None) as client, publisher(proxy) as source:
            await client.send(action="authenticate", apikey="good")
            assert "success" in (await client.socket.recv())[:1024]
            await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode="QUOTE")
            source.publish("NSE_SBIN_QUOTE", TICK)
            text = await client.socket.recv()
            assert '"type":"market_data"' in text
            assert '"symbol":"SBIN"' in text
            assert re.search(r'"ltp":([0-9.]+)', text)[1] == "625"
            assert re.search(r'"volume":([0-9.]+)', text)[1] == "10"

    run(main)


def test_typed_clients_get_integers_for_whole_numbers():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client, publisher(proxy) as source:
            await client.ask(action="subscribe", symbol="SBIN", exchange="NSE", mode="QUOTE")
            source.publish("NSE_SBIN_QUOTE", TICK)
            data = (await client.data())["data"]
            assert {name: type(data[name]) for name in ("ltp", "volume", "timestamp")} == {
                "ltp": int, "volume": int, "timestamp": int,
            }  # fmt: skip

    run(main)


def test_no_unsolicited_frame_has_an_error_status_and_every_frame_is_whole():
    async def main():
        async with running_proxy() as proxy, connected(proxy, feed_status=True) as client:
            await client.send(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            for message in await client.nothing_before_pong():
                assert message.get("status") != "error"

    run(main)


def test_a_client_that_answers_pings_with_pong_messages_is_not_answered():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            await client.send(type="pong")
            assert await client.nothing_before_pong() == []

    run(main)


def test_protocol_level_pings_are_answered():
    async def main():
        async with running_proxy() as proxy, connected(proxy) as client:
            await asyncio.wait_for(await client.socket.ping(b"payload"), 5)

    run(main)
