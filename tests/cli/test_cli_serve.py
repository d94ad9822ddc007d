"""`tickmux serve` as a user starts it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time

import pytest
import uvloop
import zmq

from support.running import feeds, free_port, served
from support.servers import connected, eventually
from tickmux.websocket_proxy.port_check import check_port


def serve(home, *arguments, **environment):
    return run_command(home, "serve", *arguments, **environment)


def run_command(home, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tickmux", *arguments],
        env={**os.environ, "TICKMUX_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


class At:
    """Where a served WebSocket is, as the client of the other tests wants it."""

    def __init__(self, running):
        self.port = int(running.url.rpartition(":")[2])


def test_external_serves_any_symbol_from_publishers_on_the_bus(tmp_path):
    async def main(running):
        async with connected(At(running), running.key) as client:
            answer = await client.ask(action="subscribe", symbols=["CRYPTO:SOL_INR"], mode="LTP")
            assert answer["status"] == "success"
            socket = zmq.Context.instance().socket(zmq.XPUB)
            socket.connect(running.bus)
            await eventually(lambda: socket.poll(0))
            socket.recv()
            socket.send_multipart([b"CRYPTO_SOL_INR_LTP", json.dumps({"ltp": 15000.5}).encode()])
            assert (await client.data())["data"]["ltp"] == 15000.5
            socket.close(0)

    with served(tmp_path, "--external", ZMQ_PLAIN="loopback") as running:
        uvloop.run(main(running))


def test_a_taken_port_is_one_line_that_names_port_setting_and_process(tmp_path):
    with served(tmp_path, "--external") as running:
        port = running.url.rpartition(":")[2]
        failed = serve(tmp_path, "--external", "--port", port, "--zmq-port", "0", "--web-port", "0")
        assert failed.returncode == 1
        (line,) = failed.stderr.strip().splitlines()
        assert f"port {port}" in line
        assert "WEBSOCKET_PORT" in line
        assert f"pid {running.process.pid}" in line


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--simulate", "nosuch"], {}, "nosuch"),
        (["--simulate", "zerodha", "--external"], {}, "choose one"),
        (["--broker", "zerodhaa"], {}, "zerodha"),
        (["--port", "70000"], {}, "65535"),
        (["--external"], {"MESSAGE_THROTTLE_MS": "fast"}, "MESSAGE_THROTTLE_MS"),
        (["--simulate", "zerodha", "--rate", "1000000"], {}, "50000"),
    ],
)
def test_wrong_options_and_settings_end_with_code_2_and_say_what_is_allowed(tmp_path, arguments, environment, words):
    failed = serve(tmp_path, *arguments, **environment)
    assert failed.returncode == 2
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_key_is_shown_at_the_first_start_only_and_the_ports_are_free_after_the_end(tmp_path):
    with served(tmp_path, "--simulate", "zerodha") as first:
        assert first.key.startswith("tmx_")
        ended = time.monotonic()
    check_port("WEBSOCKET_PORT", "127.0.0.1", int(first.url.rpartition(":")[2]))
    assert first.bus == "", "feeds of the server's own process need no port"
    assert time.monotonic() - ended < 4
    with served(tmp_path, "--simulate", "zerodha") as second:
        assert second.key == "made earlier"


def test_without_a_broker_session_authentication_says_what_to_do(tmp_path):
    async def main(running):
        async with connected(At(running), None) as client:
            refused = await client.ask(action="authenticate", api_key=running.key)
            assert refused["code"] == "BROKER_ERROR"
            assert "tickmux broker login" in refused["message"]

    with served(tmp_path) as running:
        uvloop.run(main(running))


def test_the_proxy_apart_serves_without_the_web_app(tmp_path):
    async def main(running):
        async with connected(At(running), running.key) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            assert (await client.data())["data"]["ltp"] > 0

    with served(tmp_path, "--simulate", "zerodha", command="proxy") as running:
        assert running.web == ""
        uvloop.run(main(running))


def test_feeds_in_a_process_of_their_own_serve_a_client_and_come_back_after_a_restart(tmp_path):
    async def price(client):
        return (await client.data())["data"]["ltp"]

    async def live(client):
        while (await client.receive()).get("state") != "live":
            pass

    async def main(running, first):
        async with connected(At(running), running.key, feed_status=True) as client:
            await client.send(action="subscribe", symbol="SBIN", exchange="NSE", mode="LTP")
            assert (await client.until(lambda one: one.get("type") == "subscribe"))["status"] == "success"
            await live(client)
            assert await price(client) > 0
            await asyncio.to_thread(first.__exit__, None, None, None)
            while (status := await client.receive()).get("state") != "reconnecting":
                pass
            assert "tickmux feed" in status["message"]
            with feeds(tmp_path, bus, port):
                await live(client)
                assert await price(client) > 0

    bus = free_port()
    first = feeds(tmp_path, bus)
    port = first.__enter__()
    with served(tmp_path, "--zmq-port", bus, FEED_PROCESS="true", FEED_PORT=port) as running:
        uvloop.run(main(running, first))


def test_a_broker_is_named_to_the_process_that_has_the_feeds(tmp_path):
    failed = serve(tmp_path, "--simulate", "zerodha", FEED_PROCESS="true")
    assert failed.returncode == 2
    assert "--simulate zerodha" in failed.stderr
    assert "tickmux feed" in failed.stderr


def test_a_second_server_on_one_data_folder_says_who_has_it(tmp_path):
    with served(tmp_path, "--simulate", "zerodha") as running:
        ports = ("--port", "0", "--zmq-port", "0", "--web-port", "0")
        for arguments in (("serve", "--external", *ports), ("feed", "--simulate", "angel", "--port", "0")):
            failed = run_command(tmp_path, *arguments)
            assert failed.returncode == 1
            (line,) = failed.stderr.strip().splitlines()
            assert f"pid {running.process.pid}" in line
            assert "serve --port 0" in line
            assert "--simulate zerodha" in line
            assert str(tmp_path) in line
            assert "TICKMUX_HOME" in line
    with served(tmp_path, "--external"):
        pass  # the folder is free once the first has ended


def test_the_start_says_which_brokers_addresses_are_replaced(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that it ends by itself, a moment later
        port = str(taken.getsockname()[1])
        arguments = ("--external", "--web-port", "0", "--zmq-port", "0", "--port", port)
        ended = serve(tmp_path, *arguments, BROKER_URLS="zerodha.feed=ws://127.0.0.1:9", COLUMNS="200")
    assert ended.returncode == 1
    assert "BROKER_URLS: zerodha's feed is at ws://127.0.0.1:9" in ended.stderr


def test_a_wrong_name_of_an_address_ends_the_start_with_the_right_ones(tmp_path):
    failed = serve(tmp_path, "--external", BROKER_URLS="zerodha.nosuch=ws://127.0.0.1:9")
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "it has api, feed, login" in failed.stderr
