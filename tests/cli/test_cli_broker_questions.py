"""`tickmux broker login` where the broker asks for a code in the middle, at a terminal and without one."""

import os
import pty
import re
import urllib.request
from pathlib import Path

import pytest

from support.asking import CODE, HALF_SESSION, PHONE
from tickmux.config import Settings
from tickmux.database import BrokerSessions, Database

FIELDS = "client_code=C1\npin=9999\n"
STORED = {"client_code": "C1", "pin": "9999"}


@pytest.fixture(autouse=True)
def brokers(tmp_path, monkeypatch):
    """Two brokers of a package that somebody has installed."""
    package = tmp_path / "packages" / "asking-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: asking\nVersion: 1\n")
    points = [f"{name} = support.asking:{name}\n" for name in ("asking", "asking_page")]
    (package / "entry_points.txt").write_text("".join(["[tickmux.brokers]\n", *points]))
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}{os.pathsep}{Path(__file__).parents[1]}")


def stored(broker="asking"):
    settings = Settings.load()
    with Database.open(settings) as database:
        sessions = BrokerSessions(database, settings.tickmux_secret)
        found = sessions.get("trader", broker)
        return found and dict(found.credentials.values), sessions.login_values("trader", broker)


def said_until(process, pattern):
    for line in process.stderr:
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"nothing like {pattern} was said")


@pytest.mark.parametrize("answer", [f"code={CODE}", f" code = {CODE} ", CODE])
def test_the_next_line_of_standard_input_is_the_answer(spawn, answer):
    process = spawn("broker", "login", "asking")
    out, err = process.communicate(f"{FIELDS}{answer}\n", timeout=30)
    assert (process.returncode, out) == (0, ""), err
    assert PHONE in err
    assert not any(secret in err for secret in (CODE, HALF_SESSION, "9999"))
    assert stored() == ({"user_id": "C1", "token": "sesame"}, STORED), "never what the broker has asked"


def test_an_answer_may_come_when_the_question_has_been_read(spawn):
    process = spawn("broker", "login", "asking")
    process.stdin.write(FIELDS)
    process.stdin.flush()
    said_until(process, "a code was sent")
    process.stdin.write("code=1\n")
    process.stdin.flush()
    said_until(process, "that code is wrong")
    process.communicate(f"code={CODE}\n", timeout=30)
    assert process.returncode == 0
    assert stored()[0]["token"] == "sesame"


@pytest.mark.parametrize("rest", ["", "\n", f"otp={CODE}\n", "code=\n"])
def test_without_an_answer_the_login_fails_and_says_what_to_do(spawn, rest):
    process = spawn("broker", "login", "asking")
    _, err = process.communicate(FIELDS + rest, timeout=30)
    assert process.returncode == 2
    assert "the broker asks for Code: the next line of standard input has to be code=value" in err
    assert CODE not in err
    assert stored() == (None, {})


def test_a_broker_that_asks_without_end_is_given_up(spawn):
    process = spawn("broker", "login", "asking")
    _, err = process.communicate(FIELDS + "code=1\n" * 100, timeout=30)
    assert process.returncode == 4
    assert err.count("that code is wrong") == 4
    assert err.splitlines()[-1] == "error: the broker asks again and again: start the login again"


def test_a_refusal_after_the_answer_is_a_refused_login(spawn):
    process = spawn("broker", "login", "asking")
    _, err = process.communicate(f"{FIELDS}code=stop\n", timeout=30)
    assert process.returncode == 4
    assert "locked the account" in err
    assert stored() == (None, {})


def test_an_answer_may_follow_a_pasted_address(spawn):
    process = spawn("broker", "login", "asking_page", "--redirect-port", 0)
    _, err = process.communicate(f"{FIELDS}http://x/?ticket=t1\ncode={CODE}\n", timeout=30)
    assert process.returncode == 0, err
    assert stored("asking_page")[0] == {"user_id": "C1", "token": "sesame", "ticket": "t1"}


def test_an_answer_may_follow_a_redirect_that_was_caught(spawn):
    process = spawn("broker", "login", "asking_page", "--redirect-port", 0)
    process.stdin.write(FIELDS)
    process.stdin.flush()
    address = said_until(process, r"redirects to (\S+)")[1]
    urllib.request.urlopen(f"{address}?ticket=t1").close()
    said_until(process, "a code was sent")
    _, err = process.communicate(f"code={CODE}\n", timeout=30)
    assert process.returncode == 0, err
    assert stored("asking_page")[0]["ticket"] == "t1"


def test_input_that_ends_before_the_redirect_leaves_the_question_unanswered(spawn, tmp_path):
    (tmp_path / "input").write_text(FIELDS)
    with (tmp_path / "input").open() as stdin:
        process = spawn("broker", "login", "asking_page", "--redirect-port", 0, stdin=stdin)
    address = said_until(process, r"redirects to (\S+)")[1]
    urllib.request.urlopen(f"{address}?ticket=t1").close()
    said_until(process, "has to be code=value")
    assert process.wait(timeout=30) == 2


@pytest.mark.parametrize("broker", ["asking", "asking_page"])
def test_an_answer_typed_at_a_terminal_is_not_echoed(spawn, broker):
    master, slave = pty.openpty()
    process = spawn(
        "broker", "login", broker, "--no-browser", "--redirect-port", 0,
        stdin=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    shown = ""
    typed = [("Client code:$", "C1\n"), ("PIN: $", "9999\n")]
    typed += [("instead", "http://x/?ticket=t1\n")] if broker == "asking_page" else []
    typed += [(r"Code \(six digits\): $", "\n"), (r"\): \r?\nCode \(six digits\): $", f"{CODE}\n")]
    for prompt, text in typed:
        while not re.search(prompt, shown):
            shown += os.read(master, 1024).decode()
        os.write(master, text.encode())
    assert process.wait(timeout=30) == 0
    while "is stored" not in shown:
        shown += os.read(master, 1024).decode()
    os.close(master)
    assert PHONE in shown
    assert CODE not in shown
    assert "9999" not in shown
    assert stored(broker)[0]["token"] == "sesame"
