"""Broker sessions: encrypted, versioned, one in use for each user."""

import pytest
from sqlalchemy import text

from tickmux.codec import Credentials
from tickmux.database import BrokerSessions, SessionUnreadable

FIRST = Credentials({"api_key": "kite-key", "access_token": "sesame-one"}, 5000.0)
SECOND = Credentials({"access_token": "sesame-two"})


def test_a_session_comes_back_as_it_was_stored(sessions):
    version = sessions.store("trader", "zerodha", FIRST)
    found = sessions.get("trader", "zerodha")
    assert (found.broker, found.version) == ("zerodha", version)
    assert dict(found.credentials.values) == dict(FIRST.values)
    assert found.credentials.expires_at == 5000.0


def test_the_session_stored_last_is_the_active_one(sessions):
    sessions.store("trader", "zerodha", FIRST)
    sessions.store("trader", "angel", SECOND)
    assert sessions.get("trader").broker == "angel"
    assert sessions.get("trader", "zerodha").broker == "zerodha"
    assert {one.broker: one.active for one in sessions.list()} == {"zerodha": False, "angel": True}


def test_users_do_not_see_each_other(sessions):
    sessions.store("one", "zerodha", FIRST)
    sessions.store("two", "zerodha", SECOND)
    assert sessions.get("one").credentials["access_token"] == "sesame-one"
    assert sessions.get("two").credentials["access_token"] == "sesame-two"
    assert sessions.get("three") is None
    assert [(one.user, one.active) for one in sessions.list()] == [("one", True), ("two", True)]
    assert [one.user for one in sessions.list("two")] == ["two"]


def test_no_secret_is_readable_in_the_database(sessions, rows):
    sessions.store("trader", "zerodha", FIRST, {"api_secret": "hunter2"})
    dump = rows()
    for secret in ("kite-key", "sesame-one", "hunter2"):
        assert secret not in dump
        assert secret not in repr(sessions.get("trader"))
        assert secret not in repr(sessions.list())


def test_every_store_makes_a_new_version(sessions):
    versions = [sessions.store("trader", "zerodha", FIRST) for _ in range(3)]
    assert versions == sorted(set(versions))


def test_a_version_is_not_used_again_after_deletion(sessions):
    first = sessions.store("trader", "zerodha", FIRST)
    assert sessions.delete("trader", "zerodha")
    assert sessions.store("trader", "zerodha", FIRST) > first


def test_deletion_leaves_no_secret_and_no_session(sessions, database):
    sessions.store("trader", "zerodha", FIRST, {"api_secret": "hunter2"})
    assert sessions.delete("trader", "zerodha") is True
    assert sessions.get("trader") is None
    assert sessions.get("trader", "zerodha") is None
    assert sessions.list() == []
    assert sessions.login_values("trader", "zerodha") == {}
    assert sessions.delete("trader", "zerodha") is False
    with database.reading() as session:
        stored = session.execute(text("SELECT credentials, login_values FROM broker_sessions")).all()
    assert stored == [(None, None)]


def test_versions_are_those_of_all_sessions_that_there_are(sessions):
    first = sessions.store("trader", "zerodha", FIRST)
    other = sessions.store("other", "zerodha", FIRST)
    sessions.store("trader", "upstox", FIRST)
    sessions.delete("trader", "upstox")
    assert sessions.versions() == {("trader", "zerodha"): first, ("other", "zerodha"): other}
    assert sessions.store("trader", "zerodha", FIRST) == sessions.versions()["trader", "zerodha"] != first


def test_login_values_are_kept_until_they_are_replaced(sessions):
    sessions.store("trader", "zerodha", FIRST, {"api_key": "a"})
    sessions.store("trader", "zerodha", SECOND)
    assert sessions.login_values("trader", "zerodha") == {"api_key": "a"}
    sessions.store("trader", "zerodha", SECOND, {"api_key": "b"})
    assert sessions.login_values("trader", "zerodha") == {"api_key": "b"}


def test_another_secret_reads_nothing_and_says_what_to_do(sessions, database):
    sessions.store("trader", "zerodha", FIRST, {"api_key": "a"})
    others = BrokerSessions(database, "another" * 8)
    with pytest.raises(SessionUnreadable, match="log in again"):
        others.get("trader")
    assert others.login_values("trader", "zerodha") == {}
    others.store("trader", "zerodha", SECOND)
    assert others.get("trader").credentials["access_token"] == "sesame-two"
