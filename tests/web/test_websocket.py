import pytest

from support.web import PASSWORD, Browser, settings_in
from tickmux.database import Database, Users, WebSessions
from tickmux.feeds.feed_directory import Upstream
from tickmux.web.app import build_app
from tickmux.web.session_keys import SessionKeys

HALF = 1800


@pytest.mark.parametrize(
    ("settings", "page", "url"),
    [
        ({"WEBSOCKET_PORT": "8765"}, "http://127.0.0.1:5000", "ws://127.0.0.1:8765"),
        ({"WEBSOCKET_PORT": "8765"}, "http://localhost:5000", "ws://localhost:8765"),
        ({"WEBSOCKET_PORT": "8765"}, "https://ticks.example", "wss://ticks.example:8765"),
        ({"WEBSOCKET_PORT": "8765"}, "http://[::1]:5000", "ws://[::1]:8765"),
        ({"WEBSOCKET_PORT": "9", "WEBSOCKET_HOST": "0.0.0.0"}, "http://10.1.2.3:5000", "ws://10.1.2.3:9"),
        ({"WEBSOCKET_PORT": "9", "WEBSOCKET_HOST": "10.9.9.9"}, "http://10.1.2.3:5000", "ws://10.9.9.9:9"),
        ({"WEBSOCKET_URL": "ws://feed.example/ws"}, "http://10.1.2.3:5000", "ws://feed.example/ws"),
        ({"WEBSOCKET_URL": "ws://feed.example/ws"}, "https://10.1.2.3", "wss://feed.example/ws"),
        ({"WEBSOCKET_URL": "wss://feed.example/ws"}, "http://10.1.2.3", "wss://feed.example/ws"),
    ],
)
def test_the_url_is_one_that_this_browser_can_reach(tmp_path, settings, page, url):
    with Database.open(found := settings_in(tmp_path, **settings)) as database:
        app = build_app(found, database, Upstream(), expects_proxy=False)
        token = WebSessions(database).begin(Users(database).create_first("asha", PASSWORD))
        answer = app.test_client(use_cookies=False).get(
            "/api/websocket/config", base_url=page, headers={"Cookie": f"tickmux_session={token}"}
        )
    assert answer.json["websocket_url"] == url
    assert answer.json["is_secure"] == url.startswith("wss:")
    assert answer.json["original_url"] == found.websocket_url


def test_without_a_session_there_is_no_key(browser, app):
    for path in ("/api/websocket/apikey", "/api/websocket/config"):
        answer = Browser(app).get(path)
        assert (answer.status_code, answer.json["code"]) == (401, "LOGIN_REQUIRED")


@pytest.fixture
def keys(settings):
    class Clock:
        now = 1_000_000.0 * HALF

    clock = Clock()
    with Database.open(settings) as database:
        sessions = WebSessions(database, lambda: clock.now)
        token = sessions.begin(Users(database).create_first("asha", PASSWORD))
        yield SessionKeys(sessions, "p" * 32, lambda: clock.now), sessions.find(token), sessions, clock


def test_a_key_is_given_again_while_half_its_life_is_left(keys):
    made, session, _, clock = keys
    first = made.issue(session.id)
    assert first.expires_at - clock.now == 2 * HALF
    clock.now += HALF - 1
    assert made.issue(session.id) == first
    clock.now += 1
    assert made.issue(session.id) != first
    assert made.owner(first.key).user == "asha"
    clock.now += HALF
    assert made.owner(first.key) is None


def test_a_key_ends_with_its_session(keys):
    made, session, sessions, _ = keys
    key = made.issue(session.id).key
    sessions.end(session.id)
    assert made.owner(key) is None


def test_another_process_with_the_same_pepper_knows_the_key_and_no_other(keys):
    made, session, sessions, clock = keys
    key = made.issue(session.id).key
    assert SessionKeys(sessions, "p" * 32, lambda: clock.now).owner(key).user == "asha"
    assert SessionKeys(sessions, "q" * 32, lambda: clock.now).owner(key) is None


def test_no_part_of_a_key_can_be_changed(keys):
    made, session, _, _ = keys
    key = made.issue(session.id).key
    _, number, expiry, signature = key.split("_")
    forged = [
        f"tmw_{int(number) + 1}_{expiry}_{signature}",
        f"tmw_{number}_{int(expiry) + 1}_{signature}",
        f"tmw_{number}_{expiry}_{'0' * 64}",
        f"{key}\n",
        "",
        "tmw___",
        "é" * 80,
    ]
    assert [one for one in forged if made.owner(one) is not None] == []
    assert made.owner(key) is not None
