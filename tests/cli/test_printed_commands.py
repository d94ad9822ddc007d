"""Commands that `serve` and `feed` print, run in another shell, in another folder, as they are printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.running import served
from support.web import settings_in
from tickmux.cli.announce import command
from tickmux.codec import Credentials
from tickmux.database import BrokerSessions, Database

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "tickmux"


@pytest.fixture
def spaced(tmp_path):
    """A folder whose path has a space, and in it a way to the program and a folder for data."""
    folder = tmp_path / "my folder"
    folder.mkdir()
    (folder / "tickmux").symlink_to(PROGRAM)
    return folder


def shell(command, folder, **environment):
    """Runs a command line in a shell that knows nothing of the server's variables."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TICKMUX", "WEB", "ZMQ"))}
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**plain, "COLUMNS": "200", "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_serve_prints_runs_as_printed_whatever_port_folder_and_path(spaced, tmp_path):
    with served(spaced / "data", "--simulate", "zerodha", program=[str(spaced / "tickmux")]) as running:
        (export,) = re.findall(r"^  (export .*)$", running.said, re.M)
        (watch,) = re.findall(r"^  (.* watch .*)$", running.said, re.M)
        (create,) = re.findall(r"more with `(.*)`", running.said)
        seen = shell(f"{export}\n{watch} --duration 4", tmp_path)
        assert seen.returncode == 0, seen.stderr
        assert re.search(r"SBIN .*NSE .*\d+\.\d\d", seen.stdout)
        assert "live" in seen.stdout
        key = shell(create, tmp_path)
        assert key.returncode == 0, key.stderr
        seen = shell(f"{watch} --duration 4", tmp_path, TICKMUX_API_KEY=key.stdout.strip())
        assert seen.returncode == 0, seen.stderr
        assert re.search(r"SBIN .*NSE .*\d+\.\d\d", seen.stdout)


def test_the_console_shows_what_the_readme_and_the_web_page_show(tmp_path):
    def names(text):
        return re.findall(r"^  (setup code|API key|\w+) +\S", text, re.M)

    with served(tmp_path, "--simulate", "zerodha") as running:
        shown = names(running.said.partition("Try,")[0])
        (heading,) = re.findall(r"^tickmux \S+  (.*)$", running.said, re.M)
    (block,) = re.findall(r"```\n(tickmux .*?)```", (ROOT / "README.md").read_text(), re.S)
    assert names(block) == shown
    assert heading in block
    (block,) = re.findall(r"```\n(  web .*?)```", (ROOT / "docs" / "web.md").read_text(), re.S)
    assert names(block) == shown[: len(names(block))]


def test_serving_a_broker_without_a_session_says_at_once_what_to_run(spaced, tmp_path):
    with served(spaced / "data", "--broker", "zerodha", program=[str(spaced / "tickmux")]) as running:
        assert "Nobody is logged in to zerodha" in running.said
        (login,) = re.findall(r"no data yet: `(.*?)`", running.said)
        tried = shell(login.replace(" login ", " token "), tmp_path)
        assert tried.returncode == 2  # nothing on standard input, and the right place to store it
        assert shell(f"{login} --help", tmp_path).returncode == 0


def test_serving_a_broker_whose_session_has_expired_says_so(tmp_path):
    settings = settings_in(tmp_path)
    with Database.open(settings) as database:
        BrokerSessions(database, settings.tickmux_secret).store(
            "trader", "zerodha", Credentials({"api_key": "a"}, 1.0)
        )
    with served(tmp_path, "--broker", "zerodha") as running:
        assert "session with zerodha has expired" in running.said


def test_without_any_broker_it_says_how_to_choose_one(tmp_path):
    with served(tmp_path) as running:
        assert "No broker is chosen" in running.said
        assert running.web in running.said.split("No broker is chosen")[1]


@pytest.mark.parametrize("option", ["--broker", "--simulate"])
def test_an_unknown_broker_is_called_so(option, tmp_path):
    failed = shell(f"{PROGRAM} serve {option} zerodhaa", tmp_path, TICKMUX_HOME=str(tmp_path))
    assert failed.returncode == 2
    assert "no broker is called 'zerodhaa'; did you mean zerodha?" in failed.stderr


def test_commands_name_the_folder_of_the_data_only_where_it_is_not_the_usual_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/my tools/tickmux"])
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    usual = settings_in(tmp_path / "tickmux")
    assert command(usual, "apikey", "list") == "'/opt/my tools/tickmux' apikey list"
    other = settings_in(tmp_path / "a b")
    assert command(other, "serve", FEED_PORT="1") == (
        f"TICKMUX_HOME='{tmp_path}/a b' FEED_PORT=1 '/opt/my tools/tickmux' serve"
    )
