import logging

import pytest

from support.web import Browser
from tickmux.codec import Credentials
from tickmux.web import create_app
from tickmux.web.context import EXTENSION
from tickmux.websocket_proxy.app_integration import shutdown_websocket_proxy

REMOTE = {"base_url": "http://ticks.example:5000", "REMOTE_ADDR": "203.0.113.9"}


def test_health_is_open_and_says_that_the_proxy_runs_apart(app):
    answer = Browser(app, **REMOTE).get("/api/health")
    assert (answer.status_code, answer.json["state"]) == (200, "degraded")
    assert answer.json["proxy"] == {"running": False, "clients": None}
    assert "apart" in answer.json["message"]


def test_health_misses_a_source_until_one_is_chosen_and_not_a_feed_that_nobody_needs(live):
    browser = Browser(live)
    answer = browser.get("/api/health").json
    assert (answer["state"], answer["feed"]) == ("degraded", None)
    assert "no source of data is chosen: open the web app" in answer["message"]
    browser.set_up()
    live.extensions[EXTENSION].broker_sessions.store("asha", "zerodha", Credentials({"api_key": "k"}, None))
    answer = browser.get("/api/health").json
    assert (answer["state"], answer["feed"], answer["message"]) == ("ok", None, "")


def test_a_server_that_has_its_source_from_the_command_line_is_well_from_the_start(settings):
    answer = Browser(create_app(settings, simulate="zerodha")).get("/api/health").json
    shutdown_websocket_proxy()
    assert (answer["state"], answer["message"]) == ("ok", "")


def test_what_needs_the_proxy_says_that_it_is_not_here(browser):
    for path in ("/api/feeds", "/metrics"):
        answer = browser.get(path)
        assert (answer.status_code, answer.json["code"]) == (503, "PROXY_NOT_HERE")


def test_metrics_are_for_this_machine_and_for_who_has_a_key_or_a_session(live):
    browser = Browser(live)
    browser.set_up()
    key = browser.post("/api/keys", {"name": "prometheus"}).json["api_key"]
    assert b"tickmux_proxy_clients 0.0" in Browser(live).get("/metrics").data
    outside = Browser(live, **REMOTE)
    refused = outside.get("/metrics")
    assert (refused.status_code, refused.json["code"]) == (401, "LOGIN_REQUIRED")
    assert outside.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert outside.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert Browser(live, base_url="http://rebound.example").get("/metrics").status_code == 401
    for trace in (
        {"HTTP_X_FORWARDED_FOR": "203.0.113.9"},
        {"HTTP_VIA": "1.1 edge"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"SERVER_NAME": "0.0.0.0"},
    ):
        assert Browser(live, **trace).get("/metrics").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "NOT_FOUND"),
        ("GET", "/api/", 404, "NOT_FOUND"),
        ("POST", "/api/session", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/setup", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/api/keys", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/watchlist", 404, "NOT_FOUND"),
        ("GET", "/api//keys", 404, "NOT_FOUND"),
    ],
)
def test_unknown_addresses_and_methods_are_refused_in_json(browser, method, path, status, code):
    answer = browser.send(method, path)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.json["status"] == "error"


def test_a_database_that_has_gone_is_told_by_health_and_pages_without_its_whereabouts(live, settings, caplog):
    browser = Browser(live)
    browser.set_up()
    path = settings.tickmux_home / "tickmux.db"
    path.rename(path.with_suffix(".away"))
    for _ in range(10):
        answer = browser.get("/api/health")
        assert (answer.status_code, answer.json["state"]) == (200, "degraded")
        assert "database cannot be used" in answer.json["message"]
        for call in (browser.get("/api/keys"), browser.get("/api/session"), Browser(live).log_in()):
            assert call.status_code in (403, 503)  # whoever has no cookie yet has no CSRF token either
            assert str(settings.tickmux_home) not in call.text + answer.text
        assert browser.get("/api/keys").json["code"] == "DATABASE_FAILED"
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    path.with_suffix(".away").rename(path)
    assert browser.get("/api/keys").status_code == 200


def test_a_defect_of_ours_has_a_reference_and_gives_nothing_away(browser, app, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("sesame")

    monkeypatch.setattr(app.extensions[EXTENSION].api_keys, "list", fail)
    caplog.set_level(logging.ERROR)
    answer = browser.get("/api/keys")
    assert (answer.status_code, answer.json["code"]) == (500, "SERVER_ERROR")
    assert "sesame" not in answer.text
    reference = answer.json["message"].split("reference ")[1].split()[0]
    assert reference in caplog.text


def test_every_answer_carries_the_security_headers(browser):
    for path in ("/", "/api/session", "/api/nothing", "/metrics"):
        headers = browser.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
    assert browser.get("/api/session").headers["Cache-Control"] == "no-store"
