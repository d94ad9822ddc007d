"""`tickmux watch` against a real server: spellings, addresses, unknown symbols."""

import os
import signal
import subprocess
import sys
import time

import pytest
import websockets.sync.client

from support.running import served


def watch(home, *arguments, key="", timeout=60):
    return subprocess.run(
        [sys.executable, "-m", "tickmux", "watch", *arguments],
        env={**os.environ, "TICKMUX_HOME": str(home), "TICKMUX_API_KEY": key, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("home"), "--simulate", "zerodha") as running:
        yield running


def test_every_spelling_of_a_symbol_and_of_the_address_is_understood(server):
    address = server.url.removeprefix("ws://")
    for url in (server.url, f"http://{address}", address):
        seen = watch(
            server.home, "NSE:SBIN", "NIFTY@NSE_INDEX", "tcs", "--url", url, "--duration", "3", key=server.key
        )
        assert seen.returncode == 0, seen.stderr
        for name in ("SBIN", "NIFTY", "NSE_INDEX", "TCS"):
            assert name in seen.stdout


def test_an_unknown_symbol_is_said_at_once_and_nothing_else_is_waited_for(server):
    began = time.monotonic()
    seen = watch(server.home, "NOSUCHSHARE", "--url", server.url, key=server.key)
    assert seen.returncode == 3
    assert "NOSUCHSHARE" in seen.stderr
    assert seen.stdout.endswith("\n"), "the error stands on a line of its own"
    assert time.monotonic() - began < 20, "it did not wait for a duration"


def test_the_web_apps_address_is_recognised(server):
    seen = watch(server.home, "SBIN", "--url", "http://127.0.0.1:5000", key=server.key)
    assert seen.returncode == 2
    assert "web app" in seen.stderr
    assert "ws://127.0.0.1:8765" in seen.stderr
    other_port = watch(server.home, "SBIN", "--url", server.web, key=server.key)
    assert other_port.returncode == 1
    assert "no address for programs" in other_port.stderr


def test_without_a_key_it_says_how_to_get_one(server):
    seen = watch(server.home, "SBIN", "--url", server.url)
    assert seen.returncode == 4
    assert "tickmux apikey create" in seen.stderr
    assert "export TICKMUX_API_KEY" in seen.stderr


def test_an_unknown_exchange_or_address_is_wrong_usage(server):
    for arguments in (["SBIN@MOON"], ["SBIN", "--url", "ftp://x"]):
        seen = watch(server.home, *arguments, key=server.key)
        assert seen.returncode == 2, seen.stderr


def test_a_hang_up_ends_the_server_in_good_order(tmp_path):
    with served(tmp_path, "--simulate", "zerodha") as running:
        with websockets.sync.client.connect(running.url) as client:
            running.process.send_signal(signal.SIGHUP)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                client.recv(30)
            assert closed.value.rcvd.code == 1001
        assert running.process.wait(30) == 0


def test_a_server_that_a_script_has_started_in_the_background_ends_by_sigint(tmp_path):
    """Shells without job control start such processes with SIGINT ignored; whoever sends it all the same means it."""
    ignoring = ("sh", "-c", 'trap "" INT; exec "$0" -m tickmux "$@"', sys.executable)
    with served(tmp_path, "--simulate", "zerodha", program=ignoring):
        pass  # `served` ends it by SIGINT, and fails when that takes too long
