import re
import threading
import time
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest
from sqlalchemy import text

from support.rest_server import RestServer, serving
from support.web import Browser, settings_in
from tickmux.codec import Credentials
from tickmux.database import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.instrument import Instrument
from tickmux.login import Field
from tickmux.simulator import angel, simulator_names, zerodha
from tickmux.web.app import build_app
from tickmux.web.context import EXTENSION
from tickmux.websocket_proxy.app_integration import quiet_loggers
from tickmux.websocket_proxy.broker_factory import broker_names

PATIENCE = 20
KITE = {"api_key": zerodha.API_KEY, "api_secret": zerodha.API_SECRET}


@pytest.fixture
def app(tmp_path, simulated_brokers):
    settings = settings_in(tmp_path, BROKER_URLS=simulated_brokers[1])
    with Database.open(settings) as database:
        made = build_app(settings, database, Upstream(), expects_proxy=False)
        yield made
        web = made.extensions[EXTENSION]
        wait(lambda: not any(web.downloads.state(name).updating for name in broker_names()))


@pytest.fixture
def kite(simulated_brokers, browser):
    """Zerodha's simulator, whose app is registered with this server's address."""
    simulator = simulated_brokers[0]
    simulator.redirect_url = broker(browser, "zerodha")["redirect_uri"]
    return simulator


def wait(condition):
    ends = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return found


def broker(browser, name):
    return next(one for one in browser.get("/api/brokers").json["brokers"] if one["name"] == name)


def through_the_brokers_page(url):
    """What the broker's page redirects the browser to."""
    location = httpx.get(url, follow_redirects=False).headers["location"]
    parts = urlsplit(location)
    return location, f"{parts.path}?{parts.query}"


def test_all_brokers_are_listed_by_title_with_what_they_offer(browser):
    answer = browser.get("/api/brokers").json
    assert answer["active"] is None
    assert answer["fixed"] is None
    assert answer["redirect_base"] == "http://127.0.0.1:5000"
    titles = [one["title"].casefold() for one in answer["brokers"]]
    assert titles == sorted(titles)
    assert {one["name"] for one in answer["brokers"]} == set(broker_names())
    found = broker(browser, "zerodha")
    assert found["login"] == "redirect"
    assert found["depth"]["NSE"] == [5]
    assert found["depth"]["NSE_INDEX"] == []
    assert (found["symbols_per_connection"], found["max_connections"]) == (3000, 1)
    assert [field["name"] for field in found["fields"]] == ["api_key", "api_secret"]
    assert found["redirect_uri"] == "http://127.0.0.1:5000/api/brokers/zerodha/callback"
    assert found["simulator"] == ("zerodha" in simulator_names())
    assert (found["session"], found["remembered"]) == (None, [])
    assert found["instruments"] == {"count": 0, "updated_at": None, "updating": False, "message": ""}


def test_behind_a_reverse_proxy_addresses_are_the_browsers(browser, app):
    forwarded = Browser(
        app, cookie=browser.cookie, HTTP_X_FORWARDED_PROTO="https", HTTP_X_FORWARDED_HOST="ticks.example"
    )
    answer = forwarded.get("/api/brokers").json
    assert answer["redirect_base"] == "https://ticks.example"


def test_a_broker_is_chosen_without_a_session(browser):
    chosen = browser.post("/api/brokers/active", {"broker": "zerodha", "simulated": False})
    assert chosen.json["active"] == {"broker": "zerodha", "simulated": False}
    assert browser.get("/api/brokers").json["active"] == {"broker": "zerodha", "simulated": False}
    browser.post("/api/brokers/active", {"broker": "zerodha", "simulated": True})
    assert browser.get("/api/brokers").json["active"] == {"broker": "zerodha", "simulated": True}


def test_an_unknown_broker_cannot_be_chosen(browser):
    refused = browser.post("/api/brokers/active", {"broker": "zerodah"})
    assert (refused.status_code, refused.json["code"]) == (404, "UNKNOWN_BROKER")
    assert "zerodha" in refused.json["message"]


@pytest.mark.parametrize(
    ("upstream", "active"),
    [
        ({"simulate": "zerodha"}, {"broker": "zerodha", "simulated": True}),
        ({"broker": "upstox"}, {"broker": "upstox", "simulated": False}),
        ({"external": True}, None),
    ],
)
def test_what_the_command_line_says_cannot_be_changed_here(make_app, upstream, active):
    browser = Browser(make_app(**upstream))
    browser.set_up()
    answer = browser.get("/api/brokers").json
    assert answer["active"] == active
    assert next(iter(upstream)) in answer["fixed"]
    refused = browser.post("/api/brokers/active", {"broker": "zerodha"})
    assert (refused.status_code, refused.json["code"]) == (409, "BROKER_FIXED")


def test_a_redirect_login_in_the_browser(browser, kite):
    begun = browser.post("/api/brokers/zerodha/login", {"values": KITE})
    assert begun.json["step"] == "redirect"
    assert begun.json["expires_at"] > time.time() * 1000
    assert browser.get("/api/brokers/zerodha/login").json["state"] == "pending"
    _, address = through_the_brokers_page(begun.json["url"])
    back = browser.get(address)
    assert back.status_code == 303
    assert back.headers["Location"] == "/settings/broker/zerodha?login=done"
    assert browser.get("/api/brokers/zerodha/login").json == {
        "status": "success",
        "state": "succeeded",
        "message": "",
        "field": None,
        "expires_at": None,
    }
    found = broker(browser, "zerodha")
    assert found["session"]["state"] == "valid"
    assert found["session"]["account"] == zerodha.USER_ID
    assert found["session"]["expires_at"] > time.time() * 1000
    assert found["remembered"] == ["api_key", "api_secret"]
    assert browser.get("/api/brokers").json["active"] == {"broker": "zerodha", "simulated": False}


def test_remembered_fields_may_be_left_empty(browser, kite):
    for values in (KITE, {"api_key": ""}):
        begun = browser.post("/api/brokers/zerodha/login", {"values": values})
        _, address = through_the_brokers_page(begun.json["url"])
        browser.get(address)
        assert browser.get("/api/brokers/zerodha/login").json["state"] == "succeeded"


def test_the_browser_may_end_elsewhere_and_the_address_be_pasted(browser, kite):
    kite.redirect_url = "https://registered.example/elsewhere"
    begun = browser.post("/api/brokers/zerodha/login", {"values": KITE})
    location, _ = through_the_brokers_page(begun.json["url"])
    done = browser.post("/api/brokers/zerodha/login/finish", {"redirect_url": location})
    assert done.status_code == 200
    assert done.json["broker"]["session"]["state"] == "valid"
    again = browser.post("/api/brokers/zerodha/login/finish", {"redirect_url": location})
    assert (again.status_code, again.json["code"]) == (409, "NO_LOGIN_PENDING")


def test_a_callback_that_nobody_waits_for_changes_nothing(browser, app):
    for visitor in (browser, Browser(app)):
        back = visitor.get("/api/brokers/zerodha/callback?request_token=stolen&status=success")
        assert (back.status_code, back.headers["Location"]) == (303, "/settings/broker/zerodha?login=done")
    assert browser.get("/api/brokers/zerodha/login").json["state"] == "none"
    assert broker(browser, "zerodha")["session"] is None


def test_a_callback_of_another_browser_does_not_end_the_login(browser, app, kite):
    begun = browser.post("/api/brokers/zerodha/login", {"values": KITE})
    _, address = through_the_brokers_page(begun.json["url"])
    other = Browser(app)
    other.log_in()
    other.get(address)
    assert other.get("/api/brokers/zerodha/login").json["state"] == "none"
    assert browser.get("/api/brokers/zerodha/login").json["state"] == "pending"


def test_no_callback_leads_to_another_site(browser):
    back = browser.get("/api/brokers/%2F%2Fevil.example/callback")
    assert back.status_code in (303, 404)
    assert not back.headers.get("Location", "/").startswith(("//", "http"))


def test_a_refused_redirect_login_is_told_by_the_outcome(browser, kite):
    begun = browser.post("/api/brokers/zerodha/login", {"values": KITE})
    _, address = through_the_brokers_page(begun.json["url"])
    back = browser.get(re.sub("request_token=[^&]+", "request_token=nonsense", address))
    assert back.status_code == 303
    outcome = browser.get("/api/brokers/zerodha/login").json
    assert outcome["state"] == "failed"
    assert "log in again" in outcome["message"]
    assert "nonsense" not in outcome["message"]


def test_missing_fields_are_named(browser):
    refused = browser.post("/api/brokers/zerodha/login", {"values": {"api_key": "k", "unknown": "x"}})
    assert (refused.status_code, refused.json["code"]) == (422, "INVALID_PARAMETERS")
    assert refused.json["fields"] == {"api_secret": "API secret is needed"}


def test_a_totp_login_needs_no_browser_step(browser):
    values = {"api_key": angel.API_KEY, "client_code": angel.CLIENT_CODE, "pin": angel.PIN}
    wrong = browser.post("/api/brokers/angel/login", {"values": {**values, "totp": "000000"}})
    assert (wrong.status_code, wrong.json["code"]) == (400, "LOGIN_FAILED")
    code = pyotp.TOTP(angel.TOTP_SECRET).now()
    done = browser.post("/api/brokers/angel/login", {"values": {**values, "totp": code}})
    assert done.json["step"] == "done"
    assert done.json["broker"]["session"]["account"] == angel.CLIENT_CODE
    assert done.json["broker"]["remembered"] == ["api_key", "client_code", "pin"], "never the one-time password"


def test_a_broker_out_of_reach_is_told_as_such(tmp_path):
    settings = settings_in(tmp_path, BROKER_URLS="angel.api=http://127.0.0.1:9")
    with Database.open(settings) as database:
        browser = Browser(build_app(settings, database, Upstream(), expects_proxy=False))
        browser.set_up()
        values = {"api_key": "k", "client_code": "A1", "pin": "1234", "totp": "123456"}
        refused = browser.post("/api/brokers/angel/login", {"values": values})
    assert refused.status_code in (400, 502)
    assert "cannot be reached" in refused.json["message"]


def test_logins_to_a_broker_are_rate_limited(browser):
    values = {"api_key": "k", "client_code": "A1", "pin": "1", "totp": "1"}
    codes = [browser.post("/api/brokers/angel/login", {"values": values}).status_code for _ in range(11)]
    assert codes[-1] == 429
    assert 429 not in codes[:10]


def test_a_token_from_elsewhere_makes_a_session(browser):
    done = browser.post("/api/brokers/zerodha/token", {"values": {"access_token": "sesame", "api_key": "kite"}})
    assert done.json["broker"]["session"]["state"] == "valid"
    assert done.json["broker"]["remembered"] == ["api_key"]
    refused = browser.post("/api/brokers/zerodha/token", {"values": {"access_token": "se same"}})
    assert (refused.status_code, refused.json["code"]) == (400, "LOGIN_FAILED")


def test_a_login_elsewhere_does_not_change_the_choice(browser):
    browser.post("/api/brokers/active", {"broker": "zerodha", "simulated": True})
    browser.post("/api/brokers/zerodha/token", {"values": {"access_token": "sesame", "api_key": "kite"}})
    assert browser.get("/api/brokers").json["active"] == {"broker": "zerodha", "simulated": True}


def test_to_forget_removes_session_and_fields_and_keeps_the_choice(browser):
    browser.post("/api/brokers/zerodha/token", {"values": {"access_token": "sesame", "api_key": "kite"}})
    forgotten = browser.send("DELETE", "/api/brokers/zerodha/session").json["broker"]
    assert (forgotten["session"], forgotten["remembered"]) == (None, [])
    assert browser.get("/api/brokers").json["active"] == {"broker": "zerodha", "simulated": False}


def test_an_expired_session_is_told_as_such(browser, app):
    sessions = app.extensions[EXTENSION].broker_sessions
    sessions.store("asha", "zerodha", Credentials({"api_key": "k", "access_token": "t"}, time.time() - 1))
    assert broker(browser, "zerodha")["session"]["state"] == "expired"


def test_the_instrument_list_comes_in_the_background_after_a_login(browser, kite):
    browser.post("/api/brokers/zerodha/login", {"values": KITE})
    refused = browser.post("/api/brokers/zerodha/instruments")
    assert refused.status_code == 202
    state = wait(lambda: (found := broker(browser, "zerodha")["instruments"]) and not found["updating"] and found)
    assert (state["count"], "log in" in state["message"]) == (0, True)
    begun = browser.post("/api/brokers/zerodha/login", {"values": KITE})
    browser.get(through_the_brokers_page(begun.json["url"])[1])
    state = wait(lambda: (found := broker(browser, "zerodha")["instruments"]) and found["count"] and found)
    assert state["updated_at"] > 0
    assert browser.get("/api/symbols?q=SBIN").json["results"][0]["symbol"] == "SBIN"


def test_a_download_that_fails_says_what_to_do_and_whether_there_is_a_list(tmp_path):
    settings = settings_in(tmp_path, BROKER_URLS="angel.instruments=http://127.0.0.1:9")
    with Database.open(settings) as database:
        app = build_app(settings, database, Upstream(), expects_proxy=False)
        browser = Browser(app)
        browser.set_up()

        def message():
            browser.post("/api/brokers/angel/instruments")
            state = wait(
                lambda: (found := broker(browser, "angel")["instruments"]) and not found["updating"] and found
            )
            return state["message"]

        assert "check the network, then repeat the download; without the list no symbol" in message()
        app.extensions[EXTENSION].instruments.replace("angel", [Instrument("SBIN", "NSE", "3045")])
        assert message().endswith("the old list stays in use")


def test_a_list_too_unlike_the_old_one_and_an_old_list_are_told_on_the_brokers_page(tmp_path):
    with serving(RestServer(b'[{"token":"1","symbol":"SBIN-EQ","name":"SBIN","exch_seg":"NSE"}]')) as files:
        settings = settings_in(tmp_path, BROKER_URLS=f"angel.instruments={files.url}")
        with Database.open(settings) as database:
            app = build_app(settings, database, Upstream(), expects_proxy=False)
            browser = Browser(app)
            browser.set_up()
            store = app.extensions[EXTENSION].instruments
            store.replace("angel", [Instrument(f"S{n}", "NSE", f"{n}00") for n in range(40)])
            browser.post("/api/brokers/angel/instruments")
            state = wait(
                lambda: (found := broker(browser, "angel")["instruments"]) and not found["updating"] and found
            )
            assert state["count"] == 40
            assert "1 shares of NSE, where 40 were listed" in state["message"]
            store.replace("zerodha", [Instrument("SBIN", "NSE", "3045")])
            assert broker(browser, "zerodha")["instruments"]["message"] == ""
            with database.writing() as session:
                session.execute(text("UPDATE instrument_lists SET updated = updated - 864000"))
            assert "older than the last trading day" in broker(browser, "zerodha")["instruments"]["message"]


def test_no_answer_and_no_log_holds_a_secret(browser, kite, caplog):
    quiet_loggers()  # as every start does
    caplog.set_level("DEBUG")
    said = []
    begun = browser.post("/api/brokers/zerodha/login", {"values": KITE})
    said.append(begun.text)
    _, address = through_the_brokers_page(begun.json["url"])
    said.append(str(browser.get(address).headers))
    for path in ("/api/brokers", "/api/brokers/zerodha/login", "/api/session", "/api/keys"):
        said.append(browser.get(path).text)
    for name in ("zerodha", "angel", "upstox"):
        values = {"api_secret": "tell-nobody", "pin": "tell-nobody", "api_key": "x"}
        said.append(browser.post(f"/api/brokers/{name}/login", {"values": values}).text)
    everything = "\n".join([*said, caplog.text])
    for secret in (zerodha.API_SECRET, "tell-nobody", address.partition("request_token=")[2].partition("&")[0]):
        assert secret not in everything


def test_a_field_that_is_only_whitespace_counts_as_empty(app):
    logins = app.extensions[EXTENSION].logins
    with pytest.raises(Exception, match="is needed"):
        logins._complete([Field(name="pin", label="PIN")], "asha", "zerodha", {"pin": "  "})


def test_two_downloads_of_one_list_are_one(app):
    downloads = app.extensions[EXTENSION].downloads
    before = threading.active_count()
    for _ in range(5):
        downloads.start("zerodha", "asha")
    assert threading.active_count() <= before + 1
