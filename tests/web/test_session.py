from dataclasses import replace

import pytest

from support.web import PASSWORD, Browser
from tickmux.database import Database, Users, WebSessions
from tickmux.feeds.feed_directory import Upstream
from tickmux.web.app import build_app
from tickmux.web.context import EXTENSION
from tickmux.web.errors import ApiError
from tickmux.web.rate_limit import LoginLimits, network

WRONG = "not the password"


def test_the_first_start_asks_for_a_user_and_logs_him_in(app):
    browser = Browser(app)
    before = browser.session().json
    assert before["setup_required"]
    assert before["suggested_username"] == "trader"
    assert (before["authenticated"], before["username"]) == (False, None)
    made = browser.set_up()
    assert made.status_code == 201
    assert (made.json["authenticated"], made.json["username"]) == (True, "asha")
    assert browser.get("/api/keys").status_code == 200


def test_set_up_works_once(app):
    Browser(app).set_up()
    again = Browser(app).set_up("mallory")
    assert (again.status_code, again.json["code"]) == (409, "ALREADY_SET_UP")


STRANGERS = [
    ("http://tickmux.example:5000", {"REMOTE_ADDR": "203.0.113.9"}),
    ("http://127.0.0.1:5000", {"REMOTE_ADDR": "203.0.113.9"}),
    ("http://rebound.example:5000", {}),
    ("http://127.0.0.1:5000", {"SERVER_PROTOCOL": "HTTP/1.0"}),  # nginx, proxy_pass and nothing else
    ("http://127.0.0.1:5000", {"HTTP_ORIGIN": "https://tickmux.example"}),  # a browser through a bare TCP proxy
    ("http://127.0.0.1:5000", {"HTTP_ORIGIN": "null"}),
    ("http://127.0.0.1:5000", {"SERVER_NAME": "0.0.0.0"}),  # gunicorn -b 0.0.0.0:5000
    *(
        ("http://127.0.0.1:5000", {header: value})
        for header, value in {
            "HTTP_X_FORWARDED_FOR": "127.0.0.1",
            "HTTP_X_FORWARDED_HOST": "127.0.0.1",
            "HTTP_X_FORWARDED_PREFIX": "/",
            "HTTP_X_FORWARDED_SERVER": "edge",
            "HTTP_X_REAL_IP": "127.0.0.1",
            "HTTP_X_ORIGINAL_HOST": "127.0.0.1",
            "HTTP_VIA": "1.1 edge",
            "HTTP_FORWARDED": "for=127.0.0.1",
            "HTTP_CF_CONNECTING_IP": "127.0.0.1",
            "HTTP_TRUE_CLIENT_IP": "127.0.0.1",
            "HTTP_X_CLIENT_IP": "127.0.0.1",
            "HTTP_CDN_LOOP": "edge",
        }.items()
    ),
]


@pytest.mark.parametrize(("base_url", "environ"), STRANGERS)
def test_set_up_from_elsewhere_or_through_a_proxy_asks_for_the_setup_code(app, base_url, environ):
    browser = Browser(app, base_url, **environ)
    assert browser.session().json["setup_code_required"]
    for code, said in (({}, "missing"), ({"code": "AAAA-BBBB-CCCC"}, "wrong"), ({"code": "é"}, "wrong")):
        refused = browser.set_up(**code)
        assert (refused.status_code, refused.json["code"]) == (403, "SETUP_FORBIDDEN")
        assert said in refused.json["fields"]["code"]
        assert "console" in refused.json["message"]
    assert browser.session().json["setup_required"]
    code = app.extensions[EXTENSION].setup_code
    assert code not in refused.text
    assert browser.set_up(code=f" {code.replace('-', ' ').lower()}").status_code == 201
    assert app.extensions[EXTENSION].setup_code is None, "it is worth nothing any more"


def test_a_server_on_all_interfaces_asks_its_own_machine_for_the_setup_code_too(settings):
    with Database.open(settings) as database:
        public = replace(settings, web_host="0.0.0.0")
        browser = Browser(build_app(public, database, Upstream(), expects_proxy=False))
        assert browser.session().json["setup_code_required"]
        assert browser.set_up().status_code == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:5000", "http://localhost:5173", "http://[::1]:5000"])
def test_a_page_on_this_machine_needs_no_setup_code(app, origin):
    browser = Browser(app, HTTP_ORIGIN=origin)
    assert not browser.session().json["setup_code_required"]
    assert browser.set_up().status_code == 201


def test_setup_codes_are_guessed_at_a_limited_rate(app):
    browser = Browser(app, REMOTE_ADDR="203.0.113.9")
    answers = [browser.set_up(code="AAAA-BBBB-CCCC").status_code for _ in range(11)]
    assert answers == [403] * 10 + [429]
    assert Browser(app).set_up().status_code == 201


def test_before_the_first_user_everything_else_says_so(app):
    for path in ("/api/keys", "/api/brokers", "/api/feeds", "/api/symbols?q=x"):
        answer = Browser(app).get(path)
        assert (answer.status_code, answer.json["code"]) == (409, "SETUP_REQUIRED")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "a b", "password": PASSWORD}, "username"),
        ({"username": "", "password": PASSWORD}, "username"),
        ({"username": "asha\n", "password": PASSWORD}, "username"),
        ({"username": "asha", "password": "short"}, "password"),
        ({"username": "asha", "password": "x" * 257}, "password"),
        ({"username": "asha"}, "password"),
        ({"username": 7, "password": PASSWORD}, "username"),
        ([], "body"),
    ],
)
def test_wrong_inputs_are_named(app, body, field):
    browser = Browser(app)
    browser.session()
    refused = browser.post("/api/setup", body)
    assert (refused.status_code, refused.json["code"]) == (422, "INVALID_PARAMETERS")
    assert list(refused.json["fields"]) == [field]
    assert "short" not in refused.text


def test_a_body_that_is_no_json_is_refused(app):
    browser = Browser(app)
    browser.session()
    refused = browser.send("POST", "/api/login", data=b"{nonsense", content_type="application/json")
    assert (refused.status_code, refused.json["code"]) == (400, "INVALID_JSON")


def test_a_body_that_is_too_long_is_refused(app):
    browser = Browser(app)
    browser.session()
    refused = browser.post("/api/login", {"username": "x" * 70_000, "password": "y"})
    assert (refused.status_code, refused.json["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_unknown_user_and_wrong_password_sound_the_same(browser, app):
    answers = [Browser(app).log_in("asha", WRONG), Browser(app).log_in("nobody", WRONG)]
    assert {(answer.status_code, answer.json["code"]) for answer in answers} == {(401, "INVALID_CREDENTIALS")}
    assert answers[0].json == answers[1].json


def test_log_in_is_rate_limited_and_says_when_to_come_back(browser, app):
    guesser = Browser(app)
    answers = [guesser.log_in("asha", WRONG) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert answers[-1].json["code"] == "RATE_LIMITED"
    assert 0 < answers[-1].json["retry_after"] <= 30
    assert int(answers[-1].headers["Retry-After"]) <= 30


def test_a_stranger_who_guesses_does_not_lock_the_owner_out(browser, app):
    stranger = Browser(app, REMOTE_ADDR="203.0.113.9")
    assert [stranger.log_in("asha", WRONG).status_code for _ in range(12)][-1] == 429
    assert Browser(app, REMOTE_ADDR="198.51.100.7").log_in().status_code == 200


def test_a_stranger_behind_the_owners_address_does_not_lock_his_known_browser_out(browser, app):
    browser.log_out()
    stranger = Browser(app)
    assert [stranger.log_in("asha", WRONG).status_code for _ in range(12)][-1] == 429
    assert Browser(app).log_in().status_code == 429
    assert [browser.log_in("asha", WRONG).status_code for _ in range(3)] == [401] * 3
    assert browser.log_in().status_code == 200


def test_a_known_browser_has_few_tries_and_those_for_its_own_user_only(browser, app):
    browser.log_out()
    stranger = Browser(app)
    for name in ("asha", "bob"):
        assert [stranger.log_in(name, WRONG).status_code for _ in range(12)][-1] == 429
    assert [browser.log_in("asha", WRONG).status_code for _ in range(6)] == [401] * 5 + [429]
    assert browser.log_in("bob", WRONG).status_code == 429


def test_an_address_that_tries_many_names_is_limited_and_ipv6_counts_as_networks():
    limits = LoginLimits(lambda: 0.0)
    for number in range(40):
        limits.take(f"2001:db8:1:2::{number:x}", f"name{number}", None)
    with pytest.raises(ApiError, match="too many"):
        limits.take("2001:db8:1:2:ffff::1", "another", None)
    limits.take("2001:db8:1:3::1", "another", None)
    assert network("::ffff:203.0.113.9") == network("203.0.113.9") == "203.0.113.9"


def test_the_mark_of_a_known_browser_is_out_of_reach_and_cannot_be_made_up(browser, app):
    header = next(one for one in browser.log_in().headers.getlist("Set-Cookie") if "tickmux_known" in one)
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    cookie = app.extensions[EXTENSION].cookie
    for made_up in ("", ".", "x.y", "x." + "0" * 64, "é.ü"):
        with app.test_request_context(headers={"Cookie": f"tickmux_known={made_up}"}) as context:
            assert cookie.known(context.request, "asha") is None


NEW = "another correct horse"


def test_a_changed_password_is_the_only_one_and_other_sessions_end(browser, app):
    other, before = Browser(app), browser.cookie
    other.log_in()
    changed = browser.change_password(PASSWORD, NEW)
    assert (changed.status_code, changed.json["username"]) == (200, "asha")
    assert browser.get("/api/keys").status_code == 200
    assert other.get("/api/keys").status_code == 401
    assert Browser(app, cookie=before).get("/api/keys").status_code == 401
    assert Browser(app).log_in().status_code == 401
    assert Browser(app).log_in(password=NEW).status_code == 200


def test_a_wrong_present_password_changes_nothing_and_is_rate_limited(browser, app):
    answers = [browser.change_password(WRONG, NEW) for _ in range(16)]
    assert [answer.status_code for answer in answers] == [403] * 15 + [429]
    assert answers[0].json["code"] == "WRONG_PASSWORD"
    assert list(answers[0].json["fields"]) == ["password"]
    assert Browser(app, REMOTE_ADDR="198.51.100.7").log_in().status_code == 200


def test_a_new_password_has_its_length_and_needs_a_session(browser, app):
    refused = browser.change_password(PASSWORD, "short")
    assert (refused.status_code, list(refused.json["fields"])) == (422, ["new_password"])
    assert Browser(app).change_password(PASSWORD, NEW).status_code == 401


def test_a_log_in_with_a_password_that_is_replaced_meanwhile_leaves_no_session(browser, app, monkeypatch):
    users = app.extensions[EXTENSION].users
    verify = users.verify

    def replaced_after(name, password):
        found = verify(name, password)
        users.set_password(name, NEW)
        return found

    monkeypatch.setattr(users, "verify", replaced_after)
    late = Browser(app)
    assert late.log_in().status_code == 401
    monkeypatch.undo()
    assert late.get("/api/keys").status_code == 401
    assert browser.get("/api/keys").status_code == 401


@pytest.mark.parametrize("name", ["\0", "asha\0", "x" * 256])
def test_a_name_that_nobody_can_have_is_a_wrong_one(browser, app, name):
    assert Browser(app).log_in(name, WRONG).status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(app):
    plain = Browser(app).session().headers["Set-Cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    secure = Browser(app, "https://127.0.0.1:5000").session().headers["Set-Cookie"]
    assert "Secure" in secure
    forwarded = Browser(app, HTTP_X_FORWARDED_PROTO="https").session().headers["Set-Cookie"]
    assert "Secure" in forwarded


def test_a_stranger_cannot_claim_https(app):
    stranger = Browser(app, REMOTE_ADDR="203.0.113.9", HTTP_X_FORWARDED_PROTO="https")
    assert "Secure" not in stranger.session().headers["Set-Cookie"]


def test_log_in_and_log_out_change_cookie_and_csrf_token(browser, app):
    other = Browser(app)
    seen = [(other.session().json["csrf_token"], other.cookie)]
    seen.append((other.log_in().json["csrf_token"], other.cookie))
    seen.append((other.log_out().json["csrf_token"], other.cookie))
    assert len({token for token, _ in seen}) == len({cookie for _, cookie in seen}) == 3


def test_a_planted_cookie_does_not_become_a_session(browser, app):
    victim = Browser(app)
    victim.session()
    planted = victim.cookie
    victim.log_in()
    assert Browser(app, cookie=victim.cookie).get("/api/keys").status_code == 200
    thief = Browser(app, cookie=planted)
    assert thief.get("/api/keys").status_code == 401


def test_log_out_ends_the_session_and_no_other(browser, app):
    other = Browser(app)
    other.log_in()
    stolen = other.cookie
    assert not other.log_out().json["authenticated"]
    assert other.get("/api/keys").json["code"] == "LOGIN_REQUIRED"
    assert Browser(app, cookie=stolen).get("/api/keys").status_code == 401
    assert browser.get("/api/keys").status_code == 200


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_change_without_the_browsers_csrf_token_is_refused(browser, token):
    refused = browser.post("/api/keys", {"name": "laptop"}, headers={"X-CSRF-Token": token})
    assert (refused.status_code, refused.json["code"]) == (403, "CSRF_FAILED")
    assert browser.get("/api/keys").json["keys"] == []


def test_another_browsers_csrf_token_is_worthless(browser, app):
    other = Browser(app)
    other.log_in()
    assert browser.post("/api/keys", {"name": "x"}, headers={"X-CSRF-Token": other.csrf}).status_code == 403


def test_sessions_outlive_a_restart_of_the_server(browser, make_app):
    restarted = Browser(make_app(), cookie=browser.cookie)
    assert restarted.session().json["username"] == "asha"


@pytest.fixture
def clocked(settings):
    """Web sessions and the clock that they go by, which `later` moves by days; the token of one that has begun."""
    now = [1_000_000.0]
    with Database.open(settings) as database:
        sessions = WebSessions(database, lambda: now[0])

        def later(days, seconds=0.0):
            database.late_writes.flush()
            now[0] += days * 86_400 + seconds

        yield sessions, later, sessions.begin(Users(database).create_first("asha", PASSWORD))


def test_a_session_ends_two_weeks_after_its_last_use(clocked):
    sessions, later, token = clocked
    later(13)
    assert sessions.find(token) is not None
    later(13)
    found = sessions.find(token)
    assert sessions.owner(found.id) is not None
    later(14, 1)
    assert sessions.find(token) is None
    assert sessions.owner(found.id) is None
    assert sessions.ended({found.id}) == {found.id}


def test_a_session_ends_thirty_days_after_it_began_however_much_it_is_used(clocked):
    sessions, later, token = clocked
    for _ in range(29):
        later(1)
        assert sessions.find(token) is not None
    later(1)
    found = sessions.find(token)
    assert sessions.ended({found.id, 77}) == {77}
    later(0, 1)
    assert sessions.find(token) is None
    assert sessions.owner(found.id) is None
    assert sessions.ended({found.id}) == {found.id}


def test_passwords_are_stored_as_argon2id_only(browser, settings):
    stored = b"".join(path.read_bytes() for path in settings.tickmux_home.glob("tickmux.db*"))
    assert PASSWORD.encode() not in stored
    assert b"$argon2id$" in stored
    assert browser.cookie.encode() not in stored


def test_a_user_of_the_command_line_gets_his_password_at_set_up(app):
    web = app.extensions[EXTENSION]
    key = web.api_keys.create("trader", "made at the first start")
    browser = Browser(app)
    browser.set_up("trader")
    (listed,) = browser.get("/api/keys").json["keys"]
    assert listed["prefix"] == key[: len(listed["prefix"])]
