"""Logins in which the broker asks for a code: the question is shown, what the flow keeps is not."""

import time

import pytest

from support.asking import CODE, HALF_SESSION, PHONE, asking, asking_page
from support.web import Browser
from tickmux.web import broker_logins
from tickmux.web.context import EXTENSION

VALUES = {"client_code": "C1", "pin": "9999"}
FIELD = {
    "name": "code",
    "label": "Code",
    "help": "six digits",
    "secret": True,
    "remember": False,
    "optional": False,
}
ANSWER = "/api/brokers/zerodha/login/answer"


@pytest.fixture(autouse=True)
def brokers(monkeypatch):
    """Zerodha asks for a code, Upstox does so after its page."""
    monkeypatch.setattr(broker_logins, "load_broker", {"zerodha": asking, "upstox": asking_page}.__getitem__)


@pytest.fixture
def asked(browser):
    """A browser whose login has come to the question."""
    begun = browser.post("/api/brokers/zerodha/login", {"values": VALUES})
    assert begun.json["step"] == "answer"
    return browser


def session(browser, name="zerodha"):
    return next(one for one in browser.get("/api/brokers").json["brokers"] if one["name"] == name)["session"]


def test_the_question_is_told_and_its_answer_ends_the_login(browser, app):
    begun = browser.post("/api/brokers/zerodha/login", {"values": VALUES}).json
    expires_at = begun.pop("expires_at")
    assert begun == {"status": "success", "step": "answer", "message": PHONE, "field": FIELD}
    assert 590_000 < expires_at - time.time() * 1000 <= 600_000
    assert browser.get("/api/brokers/zerodha/login").json == {
        "status": "success",
        "state": "question",
        "message": PHONE,
        "field": FIELD,
        "expires_at": expires_at,
    }
    assert session(browser) is None
    done = browser.post(ANSWER, {"answer": f" {CODE} "}).json
    assert done["step"] == "done"
    assert done["broker"]["session"]["account"] == "C1"
    assert browser.get("/api/brokers/zerodha/login").json["state"] == "succeeded"
    assert app.extensions[EXTENSION].broker_sessions.login_values("asha", "zerodha") == VALUES


def test_a_wrong_answer_is_asked_for_again(asked):
    again = asked.post(ANSWER, {"answer": "1"}).json
    assert (again["step"], again["message"]) == ("answer", "that code is wrong")
    assert asked.post(ANSWER, {"answer": CODE}).json["step"] == "done"


def test_an_empty_answer_is_named_and_leaves_the_question_open(asked):
    refused = asked.post(ANSWER, {"answer": "  "})
    assert (refused.status_code, refused.json["fields"]) == (422, {"answer": "Code is needed"})
    assert asked.post(ANSWER, {"answer": CODE}).json["step"] == "done"


def test_a_refusal_after_the_answer_ends_the_login(asked):
    refused = asked.post(ANSWER, {"answer": "stop"})
    assert (refused.status_code, refused.json["code"]) == (400, "LOGIN_FAILED")
    assert "locked" in asked.get("/api/brokers/zerodha/login").json["message"]
    assert asked.post(ANSWER, {"answer": CODE}).json["code"] == "NO_LOGIN_PENDING"


def test_a_broker_that_asks_without_end_is_given_up(asked):
    answers = [asked.post(ANSWER, {"answer": "1"}) for _ in range(5)]
    assert [one.status_code for one in answers] == [200, 200, 200, 200, 400]
    assert "start the login again" in answers[-1].json["message"]
    assert asked.get("/api/brokers/zerodha/login").json["state"] == "failed"


def test_an_answer_that_nobody_waits_for_is_refused(browser):
    refused = browser.post(ANSWER, {"answer": CODE})
    assert (refused.status_code, refused.json["code"]) == (409, "NO_LOGIN_PENDING")


def test_only_the_browser_that_began_may_answer(asked, app):
    other = Browser(app)
    other.log_in()
    assert other.get("/api/brokers/zerodha/login").json["state"] == "none"
    assert other.post(ANSWER, {"answer": CODE}).status_code == 409
    assert asked.post(ANSWER, {"answer": CODE}).json["step"] == "done"


def test_the_question_may_come_after_the_brokers_page(browser):
    begun = browser.post("/api/brokers/upstox/login", {"values": VALUES}).json
    assert begun["step"] == "redirect"
    early = browser.post("/api/brokers/upstox/login/answer", {"answer": CODE})
    assert early.json["code"] == "NO_LOGIN_PENDING", "nothing has been asked yet"
    back = browser.get("/api/brokers/upstox/callback?ticket=t1")
    assert back.headers["Location"] == "/settings/broker/upstox?login=done"
    assert session(browser, "upstox") is None
    assert browser.get("/api/brokers/upstox/login").json["message"] == PHONE
    assert browser.post("/api/brokers/upstox/login/answer", {"answer": CODE}).json["step"] == "done"


def test_the_question_may_come_after_a_pasted_address(browser):
    browser.post("/api/brokers/upstox/login", {"values": VALUES})
    asked = browser.post("/api/brokers/upstox/login/finish", {"redirect_url": "https://x.example/?ticket=t1"}).json
    assert (asked["step"], asked["field"]["name"]) == ("answer", "code")
    assert browser.post("/api/brokers/upstox/login/answer", {"answer": CODE}).json["step"] == "done"


@pytest.mark.parametrize("name", ["zerodha", "upstox"])
def test_a_login_that_waits_too_long_is_over_and_its_secrets_are_gone(browser, app, monkeypatch, name):
    browser.post(f"/api/brokers/{name}/login", {"values": VALUES})
    now = time.time()
    monkeypatch.setattr(broker_logins.time, "time", lambda: now + 601)
    outcome = app.extensions[EXTENSION].logins.outcome(current(app, browser), name)
    assert (outcome.state, "not finished in time" in outcome.message) == ("failed", True)
    attempts = app.extensions[EXTENSION].logins._attempts.values()
    assert not any(secret in repr(attempts) for secret in ("9999", HALF_SESSION))


def test_only_so_many_logins_wait(browser, app, monkeypatch):
    monkeypatch.setattr(broker_logins, "_ATTEMPTS", 1)
    browser.post("/api/brokers/zerodha/login", {"values": VALUES})
    browser.post("/api/brokers/upstox/login", {"values": VALUES})
    assert browser.post(ANSWER, {"answer": CODE}).status_code == 409


def test_logging_out_ends_the_question(asked, app):
    asked.log_out()
    assert not app.extensions[EXTENSION].logins._attempts


def test_answers_are_rate_limited_as_logins_are(browser):
    codes = [browser.post(ANSWER, {"answer": "1"}).status_code for _ in range(11)]
    assert codes == [409] * 10 + [429]


def test_no_answer_and_no_log_holds_what_the_flow_keeps(browser, caplog):
    caplog.set_level("DEBUG")
    said = [browser.post("/api/brokers/zerodha/login", {"values": VALUES}).text]
    said += [browser.post(ANSWER, {"answer": answer}).text for answer in ("1", CODE)]
    said += [browser.get(path).text for path in ("/api/brokers", "/api/brokers/zerodha/login")]
    everything = "\n".join([*said, caplog.text])
    assert not any(secret in everything for secret in (HALF_SESSION, "9999", CODE))


def current(app, browser):
    return app.extensions[EXTENSION].sessions.find(browser.cookie)
