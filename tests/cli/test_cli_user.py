"""`tickmux user`."""

import pytest

from tickmux.config import Settings
from tickmux.database import ApiKeys, Database, Users, WebSessions

PASSWORD = "correct horse battery"


@pytest.fixture
def database(home):
    with Database.open(Settings.load()) as opened:
        yield opened


def test_a_password_is_set_and_open_sessions_end(run, database):
    users, sessions = Users(database), WebSessions(database)
    token = sessions.begin(users.create_first("asha", PASSWORD))
    done = run("user", "passwd", "--user", "asha", input="another correct horse\n")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "password of asha is set" in done.stderr
    assert "correct" not in done.stderr
    assert users.verify("asha", PASSWORD) is None
    assert users.verify("asha", "another correct horse") is not None
    assert sessions.find(token) is None


def test_a_user_who_has_keys_only_may_get_a_password(run, database):
    ApiKeys(database, "pepper" * 8).create("trader")
    assert run("user", "passwd", input=PASSWORD).exit_code == 0
    assert Users(database).verify("trader", PASSWORD) is not None


def test_a_user_who_is_not_there_is_made_only_when_asked_for(run, database):
    refused = run("user", "passwd", "--user", "asah", input=PASSWORD)
    assert refused.exit_code == 3
    assert "there is no user 'asah'" in refused.stderr
    assert run("user", "passwd", "--user", "asah", "--create", input=PASSWORD).exit_code == 0
    assert Users(database).verify("asah", PASSWORD) is not None


@pytest.mark.parametrize("text", ["", "short\n", "x" * 257])
def test_a_password_of_a_wrong_length_is_refused_and_not_repeated(run, text):
    result = run("user", "passwd", "--create", input=text)
    assert (result.exit_code, result.stderr) == (2, "error: a password has 10 to 256 characters\n")


def test_the_setup_code_is_shown_until_there_is_a_user(run, database):
    code = run("user", "setup-code").stdout.strip()
    assert len(code) == 14
    assert run("user", "setup-code").stdout.strip() == code
    Users(database).create_first("asha", PASSWORD)
    assert run("user", "setup-code").exit_code == 3
