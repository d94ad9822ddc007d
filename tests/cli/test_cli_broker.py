"""`tickmux broker`: logins through browser, paste and stdin; nothing secret is shown."""

import json
import os
import pty
import re
import time
import urllib.error
import urllib.request

import pytest

from tickmux.broker._login_state import login_state
from tickmux.codec import Credentials
from tickmux.config import Settings
from tickmux.database import BrokerSessions, Database

FIELDS = "api_key=kite-key\napi_secret=hunter2\n"


@pytest.fixture
def stored(home):
    """What is stored of a user's session: its values, and what is remembered of the login."""

    def look(user="trader", broker="zerodha"):
        settings = Settings.load()
        with Database.open(settings) as database:
            sessions = BrokerSessions(database, settings.tickmux_secret)
            found = sessions.get(user, broker)
            return found and dict(found.credentials.values), sessions.login_values(user, broker)

    return look


def redirect_address(process):
    """The address that the broker redirects to, and the state that it brings back, out of what a login says."""
    for line in process.stderr:
        if found := re.search(r"tickmux_state%3D(\w+)", line):
            state = found[1]
        if match := re.search(r"redirects to (\S+)", line):
            return match[1], state
    raise AssertionError("the login named no address")


def pasted(port, token):
    """What a browser ends at after a login with `FIELDS`, which had this redirect port."""
    state = login_state("kite-key", "hunter2", f"http://127.0.0.1:{port}/zerodha/callback")
    return f"http://x/?request_token={token}&tickmux_state={state}\n"


def test_a_login_catches_the_redirect_and_stores_the_session(spawn, kite, stored):
    process = spawn("broker", "login", "zerodha", "--redirect-port", 0)
    process.stdin.write(FIELDS)
    process.stdin.flush()
    address, state = redirect_address(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/zerodha/callback", address)
    with pytest.raises(urllib.error.HTTPError, match="404"):  # browsers ask for more than they are told to
        urllib.request.urlopen(address.replace("/zerodha/callback", "/favicon.ico"))
    with urllib.request.urlopen(
        f"{address}?request_token=rt&action=login&status=success&tickmux_state={state}"
    ) as page:
        body = page.read().decode()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "may close this page" in body
    assert "rt" not in re.findall(r"\w+", body)
    assert "trader's session with zerodha is stored, good until" in err
    assert "hunter2" not in err
    assert "sesame" not in err
    assert kite.requests[0][2].startswith("api_key=kite-key&request_token=rt&checksum=")
    values, remembered = stored()
    assert values == {"api_key": "kite-key", "access_token": "sesame", "user_id": "AB1234"}
    assert remembered == {"api_key": "kite-key", "api_secret": "hunter2"}


def test_a_pasted_address_ends_the_login_too(spawn, kite, stored):
    process = spawn("broker", "login", "zerodha", "--redirect-port", 0, "--user", "alice")
    process.stdin.write(FIELDS)
    process.stdin.flush()
    _, state = redirect_address(process)
    address = f"https://my.site/cb?request_token=rt&status=success&tickmux_state={state}"
    process.stdin.write(f"what is this?\n{address}\n")
    process.stdin.flush()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "that address carries no login" in err
    assert stored("alice")[0]["access_token"] == "sesame"


def test_a_second_login_knows_what_stays_the_same(run, kite, stored):
    port = kite.server_port  # taken, which does not matter to pasted addresses
    run("broker", "login", "zerodha", "--redirect-port", port, input=FIELDS + pasted(port, "rt"))
    result = run("broker", "login", "zerodha", "--redirect-port", port, input="\n" + pasted(port, "rt2"))
    assert result.exit_code == 0
    assert "request_token=rt2" in kite.requests[-1][2]


def test_a_taken_redirect_port_leaves_the_paste(run, kite):
    port = kite.server_port
    result = run("broker", "login", "zerodha", "--redirect-port", port, input=FIELDS + pasted(port, "r"))
    assert result.exit_code == 0
    assert f"port {port} is taken" in result.stderr


def test_a_refused_login_is_exit_code_4_and_stores_nothing(run, kite, stored):
    kite.answers["/session/token"] = (403, '{"status":"error","error_type":"TokenException","message":"no"}')
    port = kite.server_port
    result = run("broker", "login", "zerodha", "--redirect-port", port, input=FIELDS + pasted(port, "r"))
    assert result.exit_code == 4
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "hunter2" not in result.stderr
    assert stored() == (None, {})


def test_an_address_of_another_login_buys_no_session(run, kite, stored):
    result = run("broker", "login", "zerodha", "--redirect-port", 0, input=FIELDS + "http://x/?request_token=r\n")
    assert result.exit_code == 4
    assert "belongs to another login" in result.stderr
    assert (kite.requests, stored()) == ([], (None, {}))


def test_the_redirect_address_is_shown_before_there_are_keys(run):
    result = run("broker", "login", "fyers", "--show-redirect")
    assert (result.exit_code, result.stdout) == (0, "http://127.0.0.1:5001/fyers/callback\n")
    assert run("broker", "login", "angel", "--show-redirect").exit_code == 2
    assert run("broker", "login", "fyers", "--show-redirect", "--redirect-port", 0).exit_code == 2


def test_a_name_that_is_not_asked_for_never_becomes_the_value_of_another_field(run):
    lines = "access_token=c\nmobile=9\nmpin=1\nclient_code=AB123\ntotp=123456\n"
    result = run("broker", "login", "kotak", input=lines)
    assert result.exit_code == 2
    assert "'client_code'" in result.stderr
    assert "ucc" in result.stderr
    assert "AB123" not in result.stderr


def test_a_login_that_never_comes_ends(run, kite):
    result = run("broker", "login", "zerodha", "--redirect-port", 0, "--timeout", 1, input=FIELDS)
    assert result.exit_code == 4
    assert "no login came within 1 seconds" in result.stderr


def test_a_login_without_its_fields_is_wrong_usage(run):
    result = run("broker", "login", "zerodha", input="api_key=kite-key\n")
    assert result.exit_code == 2
    assert "does not say api_secret" in result.stderr


def test_an_unknown_broker_is_exit_code_3(run):
    for command in ("login", "token"):
        result = run("broker", command, "zerodah")
        assert result.exit_code == 3
        assert "did you mean zerodha?" in result.stderr


# -- tokens ------------------------------------------------------------------------------------------------


def test_a_token_comes_alone_from_stdin(run, stored):
    result = run("broker", "token", "zerodha", input="kite-key:sesame==\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "sesame" not in result.stderr
    assert stored()[0] == {"api_key": "kite-key", "access_token": "sesame=="}


def test_a_token_comes_as_named_lines_from_stdin(run, stored):
    assert run("broker", "token", "zerodha", input="api_key=kite-key\r\naccess_token = sesame==\n").exit_code == 0
    assert stored()[0] == {"api_key": "kite-key", "access_token": "sesame=="}


def test_a_key_that_is_known_from_before_need_not_be_said_again(run, stored):
    run("broker", "token", "zerodha", input="api_key=kite-key\naccess_token=one\n")
    assert run("broker", "token", "zerodha", input="two\n").exit_code == 0
    assert stored()[0] == {"api_key": "kite-key", "access_token": "two"}
    assert stored()[1] == {"api_key": "kite-key"}


@pytest.mark.parametrize("text", ["", "\n", "sesame\nhunter2\n", "sesame\n" * 200])
def test_input_that_makes_no_sense_is_wrong_usage_and_not_repeated(run, text):
    result = run("broker", "token", "zerodha", input=text)
    assert result.exit_code == 2
    assert "access_token" in result.stderr
    assert "sesame" not in result.stderr


def test_a_token_that_the_broker_could_not_have_made_is_exit_code_4(run):
    assert run("broker", "token", "zerodha", input="access_token=no key\n").exit_code == 4


def test_a_token_typed_at_a_terminal_is_not_echoed(spawn, stored):
    master, slave = pty.openpty()
    process = spawn("broker", "token", "zerodha", stdin=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    shown = ""
    # The hidden prompt ends in a blank, after which it throws away nothing that is typed.
    for prompt, answer in ((r"Access token.*: $", "kite-key:sesame\n"), (r"API key \(.*:$", "\n")):
        while not re.search(prompt, shown):
            shown += os.read(master, 1024).decode()
        os.write(master, answer.encode())
    assert process.wait(timeout=30) == 0
    while "is stored" not in shown:
        shown += os.read(master, 1024).decode()
    os.close(master)
    assert "sesame" not in shown
    assert stored()[0]["access_token"] == "sesame"


# -- what is stored ----------------------------------------------------------------------------------------


def test_status_shows_expiry_on_indian_clocks_and_no_secret(run):
    assert run("broker", "status").stderr.startswith("no broker session is stored")
    run("broker", "token", "zerodha", input="kite-key:sesame\n")
    table = run("broker", "status").stdout
    assert re.search(r"trader\s+zerodha\s+yes\s+not tried\s+\d{4}-\d\d-\d\d 06:00 IST", table)
    (row,) = json.loads(run("broker", "status", "--json").stdout)
    assert (row["user"], row["broker"], row["active"], row["state"]) == ("trader", "zerodha", True, "not tried")
    assert row["expires"].endswith("06:00:00+05:30")
    for secret in ("sesame", "kite-key"):
        assert secret not in table + str(row)


def test_a_token_is_not_tried_until_a_connection_with_it_has_been_taken(run, home):
    said = run("broker", "token", "zerodha", input="kite-key:sesame\n").stderr
    assert "not been tried yet" in said
    settings = Settings.load()
    with Database.open(settings) as database:
        sessions = BrokerSessions(database, settings.tickmux_secret)
        sessions.accepted("trader", "zerodha", 7)  # another version: of a session that has been replaced
        assert json.loads(run("broker", "status", "--json").stdout)[0]["state"] == "not tried"
        sessions.accepted("trader", "zerodha", 1)
    assert json.loads(run("broker", "status", "--json").stdout)[0]["state"] == "valid"


def test_status_says_what_has_expired(run, home):
    run("broker", "token", "zerodha", input="kite-key:sesame\n")
    settings = Settings.load()
    with Database.open(settings) as database:
        session = Credentials({"access_token": "sesame"}, time.time() - 1)
        BrokerSessions(database, settings.tickmux_secret).store("trader", "zerodha", session)
    assert json.loads(run("broker", "status", "--json").stdout)[0]["state"] == "expired"


def test_logout_forgets_session_and_login(run, stored):
    run("broker", "token", "zerodha", input="api_key=kite-key\naccess_token=one\n")
    assert run("broker", "logout", "zerodha").exit_code == 0
    assert stored() == (None, {})
    assert run("broker", "logout", "zerodha").exit_code == 3
