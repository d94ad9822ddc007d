"""`tickmux apikey`."""

import json
import re

import pytest

from tickmux.config import Settings
from tickmux.database import ApiKeys, Database

KEY = re.compile(r"tmx_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}\n")


@pytest.fixture
def verify(home):
    def check(key):
        settings = Settings.load()
        with Database.open(settings) as database:
            user = ApiKeys(database, settings.api_key_pepper).verify(key)
        return user and user.name

    return check


def test_create_prints_the_key_alone_on_stdout(spawn, verify):
    process = spawn("apikey", "create", "--user", "alice", "--name", "charts")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert KEY.fullmatch(out)
    assert verify(out.strip()) == "alice"


def test_the_user_is_a_setting_when_left_out(run, verify, monkeypatch):
    assert verify(run("apikey", "create").stdout.strip()) == "trader"
    monkeypatch.setenv("TICKMUX_USER", "bob")
    assert verify(run("apikey", "create").stdout.strip()) == "bob"


def test_a_user_name_that_cannot_be_is_refused(run):
    result = run("apikey", "create", "--user", "a\nb")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_list_shows_everything_but_keys(run):
    secret = run("apikey", "create", "--name", "charts").stdout.strip()
    key_id = secret.split("_")[1]
    table = run("apikey", "list").stdout
    assert key_id in table
    assert "charts" in table
    (row,) = json.loads(run("apikey", "list", "--json").stdout)
    assert (row["key_id"], row["user"], row["name"], row["revoked"]) == (key_id, "trader", "charts", None)
    assert row["created"].endswith("+05:30")
    assert secret not in table
    assert "hash" not in row


def test_revoke_ends_a_key_once(run, verify):
    key = run("apikey", "create").stdout.strip()
    key_id = key.split("_")[1]
    assert verify(key) == "trader"
    assert run("apikey", "revoke", key_id).exit_code == 0
    assert verify(key) is None
    again = run("apikey", "revoke", key_id)
    assert again.exit_code == 3
    assert again.stderr.startswith("error: no key in use")
    assert json.loads(run("apikey", "list", "--json").stdout)[0]["revoked"]


def test_import_reads_the_key_from_stdin(run, verify):
    key = "0123456789abcdef" * 4
    result = run("apikey", "import", "--user", "carol", input=key + "\n")
    assert result.exit_code == 0
    assert verify(key) == "carol"
    assert run("apikey", "revoke", result.stdout.strip()).exit_code == 0
    assert verify(key) is None


@pytest.mark.parametrize("text", ["", "short", "x" * 600])
def test_import_refuses_what_cannot_be_a_key_without_repeating_it(run, text):
    result = run("apikey", "import", input=text)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: an API key has")
    assert not text or text not in result.stderr


def test_import_refuses_a_key_that_is_there(run):
    run("apikey", "import", input="0123456789abcdef")
    assert run("apikey", "import", input="0123456789abcdef").exit_code == 2
