"""The `openalgo` package from PyPI, unchanged, against tickmux as a user starts it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from openalgo import api

from support.running import served

INSTRUMENTS = [{"exchange": "NSE", "symbol": "SBIN"}, {"exchange": "NSE_INDEX", "symbol": "NIFTY"}]
PATIENCE = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("home"), "--simulate", "zerodha") as running:
        yield running


@pytest.fixture
def client(server):
    made = api(api_key=server.key, host="http://127.0.0.1:9", ws_url=server.url)
    assert made.connect()
    yield made
    made.disconnect()


class Inbox:
    """Collects what the SDK hands to its callback."""

    def __init__(self, wanted):
        self.messages = []
        self._wanted = wanted
        self._done = threading.Event()

    def __call__(self, message):
        self.messages.append(message)
        if {message["symbol"] for message in self.messages} >= self._wanted:
            self._done.set()

    def wait(self):
        assert self._done.wait(PATIENCE), self.messages
        return self.messages


def both():
    return Inbox({"SBIN", "NIFTY"})


def test_ltp(client):
    inbox = both()
    assert client.subscribe_ltp(INSTRUMENTS, on_data_received=inbox)
    for message in inbox.wait():
        assert message["data"]["ltp"] > 0
    stored = client.get_ltp()["ltp"]
    assert stored["NSE"]["SBIN"]["ltp"] > 0
    assert stored["NSE_INDEX"]["NIFTY"]["timestamp"] > 1_600_000_000_000


def test_quote(client):
    inbox = both()
    assert client.subscribe_quote(INSTRUMENTS, on_data_received=inbox)
    inbox.wait()
    quote = client.get_quotes()["quote"]["NSE"]["SBIN"]
    assert quote["low"] <= quote["ltp"] <= quote["high"]
    assert quote["volume"] > 0
    assert quote["close"] > 0


def test_depth(client):
    books = threading.Event()

    def on_data(message):
        if message["data"].get("depth", {}).get("buy"):
            books.set()

    assert client.subscribe_depth(INSTRUMENTS[:1], on_data_received=on_data)
    assert books.wait(PATIENCE)
    book = client.get_depth()["depth"]["NSE"]["SBIN"]
    assert len(book["buyBook"]) == 5
    assert book["buyBook"]["1"]["price"] < book["sellBook"]["1"]["price"]


def test_unsubscribe_ends_the_ticks(client):
    inbox = both()
    client.subscribe_ltp(INSTRUMENTS, on_data_received=inbox)
    inbox.wait()
    assert client.unsubscribe_ltp(INSTRUMENTS)
    marker = Inbox({"TCS"})
    client.subscribe_ltp([{"exchange": "NSE", "symbol": "TCS"}], on_data_received=marker)
    marker.wait()
    before = len(inbox.messages)
    again = Inbox({"INFY"})
    client.subscribe_ltp([{"exchange": "NSE", "symbol": "INFY"}], on_data_received=again)
    again.wait()
    assert len([m for m in marker.messages[1:] if m["symbol"] in ("SBIN", "NIFTY")]) == 0
    assert len(inbox.messages) == before


def test_a_wrong_key_is_told_as_such(server):
    made = api(api_key="tmx_wrongwrong00_" + "x" * 32, host="http://127.0.0.1:9", ws_url=server.url)
    assert not made.connect()
    made.disconnect()


def test_a_key_made_while_the_server_runs_works_at_once_and_a_revoked_one_no_longer(server):
    environment = {**os.environ, "TICKMUX_HOME": str(server.home)}

    def tickmux(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "tickmux", *arguments], env=environment, capture_output=True, text=True, check=True
        ).stdout

    key = tickmux("apikey", "create", "--user", "newcomer").strip()
    made = api(api_key=key, host="http://127.0.0.1:9", ws_url=server.url)
    assert made.connect()
    made.disconnect()
    tickmux("apikey", "revoke", key.split("_")[1])
    made = api(api_key=key, host="http://127.0.0.1:9", ws_url=server.url)
    assert not made.connect()
    made.disconnect()


def test_the_example_prints_ticks(server):
    example = Path(__file__).parents[2] / "examples" / "ltp_example.py"
    done = subprocess.run(
        [sys.executable, str(example), "SBIN", "NIFTY@NSE_INDEX"],
        env={**os.environ, "TICKMUX_API_KEY": server.key, "WEBSOCKET_URL": server.url, "TICKS": "6"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "NSE:SBIN" in done.stdout


def test_the_example_says_soon_which_symbol_has_no_price(server):
    example = Path(__file__).parents[2] / "examples" / "ltp_example.py"
    with subprocess.Popen(
        [sys.executable, str(example), "SBIN", "SBINN"],
        env={**os.environ, "TICKMUX_API_KEY": server.key, "WEBSOCKET_URL": server.url, "TICKS": "1000000"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert "no price of SBINN@NSE" in process.stderr.readline()
        process.kill()


def test_the_example_without_a_key_says_how_to_get_one(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "ltp_example.py"
    environment = {name: value for name, value in os.environ.items() if name != "TICKMUX_API_KEY"}
    done = subprocess.run([sys.executable, str(example)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "tickmux apikey create" in done.stderr


def test_watch_shows_a_table(server):
    done = subprocess.run(
        [
            sys.executable, "-m", "tickmux", "watch", "SBIN", "NIFTY@NSE_INDEX",
            "--mode", "QUOTE", "--url", server.url, "--duration", "3",
        ],
        env={**os.environ, "TICKMUX_HOME": str(server.home), "TICKMUX_API_KEY": server.key, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "SBIN" in done.stdout
    assert "feed zerodha live" in done.stdout


def test_watch_with_a_wrong_key_says_so(server):
    done = subprocess.run(
        [sys.executable, "-m", "tickmux", "watch", "SBIN", "--url", server.url],
        env={**os.environ, "TICKMUX_HOME": str(server.home), "TICKMUX_API_KEY": "nonsense-key"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 4
    assert "not valid" in done.stderr
    assert "nonsense-key" not in done.stderr + done.stdout
