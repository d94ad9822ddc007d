import time

import pytest

from support.web import Browser
from tickmux.database import InstrumentStore
from tickmux.feeds.feed_directory import simulated_list
from tickmux.instrument import Instrument
from tickmux.web.context import EXTENSION

LIST = [
    Instrument("SBIN", "NSE", "1", name="STATE BANK OF INDIA", instrumenttype="EQ", lotsize=1, tick_size=0.05),
    Instrument("SBIN", "BSE", "2", name="STATE BANK OF INDIA", instrumenttype="EQ", lotsize=1, tick_size=0.05),
    Instrument("SBICARD", "NSE", "3", name="SBI CARDS & PAYMENT", instrumenttype="EQ"),
    Instrument("ASBINDIA", "NSE", "4", name="AN OTHER", instrumenttype="EQ"),
    Instrument("SBIN30DEC26FUT", "NFO", "5", name="SBIN", expiry="30-DEC-26", instrumenttype="FUT"),
    Instrument("SBIN24NOV26FUT", "NFO", "6", name="SBIN", expiry="24-NOV-26", instrumenttype="FUT"),
    Instrument("NIFTY", "NSE_INDEX", "7", name="NIFTY 50", instrumenttype="INDEX"),
    Instrument("NIFTY24NOV2625000CE", "NFO", "8", name="NIFTY", expiry="24-NOV-26", strike=25000.0),
    Instrument("BANKNIFTY24NOV2625000CE", "NFO", "9", name="BANKNIFTY", expiry="24-NOV-26", strike=25000.0),
    Instrument("M&M", "NSE", "10", name="MAHINDRA & MAHINDRA", instrumenttype="EQ"),
]


@pytest.fixture
def searching(make_app):
    app = make_app(simulate="zerodha")
    app.extensions[EXTENSION].instruments.replace(simulated_list("zerodha"), LIST)
    browser = Browser(app)
    browser.set_up()

    def search(q, **more):
        answer = browser.get("/api/symbols", query_string={"q": q, **more})
        assert answer.status_code == 200, answer.text
        return answer.json

    return search


def found(answer):
    return [f"{one['exchange']}:{one['symbol']}" for one in answer["results"]]


def test_the_symbol_itself_comes_first_then_beginnings_then_words_then_the_rest(searching):
    answer = searching("sbin")
    assert found(answer) == ["NSE:SBIN", "BSE:SBIN", "NFO:SBIN24NOV26FUT", "NFO:SBIN30DEC26FUT", "NSE:ASBINDIA"]
    assert answer["total"] == 5
    assert answer["broker"] == "zerodha"
    first = answer["results"][0]
    assert (first["name"], first["lotsize"], first["tick_size"]) == ("STATE BANK OF INDIA", 1, 0.05)
    assert first["depth_levels"] == [5]


def test_words_match_in_any_order_in_symbol_and_name(searching):
    assert found(searching("bank state")) == ["NSE:SBIN", "BSE:SBIN"]
    assert found(searching("nifty ce 25000")) == ["NFO:NIFTY24NOV2625000CE", "NFO:BANKNIFTY24NOV2625000CE"]
    assert found(searching("mahi")) == ["NSE:M&M"]
    assert found(searching("m&m")) == ["NSE:M&M"]


def test_the_beginning_of_a_word_beats_its_middle(searching):
    assert found(searching("in"))[0] in ("NSE:SBIN", "BSE:SBIN")
    assert found(searching("nifty"))[:2] == ["NSE_INDEX:NIFTY", "NFO:NIFTY24NOV2625000CE"]


@pytest.mark.parametrize(("q", "more"), [("NSE:SBIN", {}), ("sbin@nse", {}), ("sbin", {"exchange": "NSE"})])
def test_the_exchange_may_be_named(searching, q, more):
    assert found(searching(q, **more)) == ["NSE:SBIN", "NSE:ASBINDIA"]


def test_an_index_has_no_depth(searching):
    assert searching("NIFTY")["results"][0]["depth_levels"] == []


def test_the_limit_holds_and_the_total_counts_all(searching):
    answer = searching("sbi", limit=2)
    assert len(answer["results"]) == 2
    assert answer["total"] == 6


@pytest.mark.parametrize("q", ["zzz", "%", "_", "NSE:", "\x00", "   ", "\t", "\\"])
def test_nothing_found_is_an_empty_success(searching, q):
    assert found(searching(q)) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("?q=", "q"),
        ("?q=x&exchange=NYSE", "exchange"),
        ("?q=x&limit=0", "limit"),
        ("?q=x&limit=many", "limit"),
    ],
)
def test_wrong_queries_are_named(browser, query, field):
    refused = browser.get(f"/api/symbols{query}")
    assert (refused.status_code, list(refused.json["fields"])) == (422, [field])


def test_without_a_list_the_page_is_told_to_offer_the_download(browser):
    refused = browser.get("/api/symbols?q=sbin")
    assert (refused.status_code, refused.json["code"]) == (409, "NO_INSTRUMENTS")
    browser.post("/api/brokers/active", {"broker": "zerodha"})
    refused = browser.get("/api/symbols?q=sbin")
    assert (refused.status_code, refused.json["code"]) == (409, "NO_INSTRUMENTS")
    assert "zerodha" in refused.json["message"]


def test_a_new_list_is_searched_at_once(make_app):
    app = make_app(simulate="zerodha")
    browser = Browser(app)
    browser.set_up()
    store = app.extensions[EXTENSION].instruments
    for name in ("OLD", "NEW"):
        store.replace(simulated_list("zerodha"), [Instrument(name, "NSE", "1")])
        assert found(browser.get(f"/api/symbols?q={name}").json) == [f"NSE:{name}"]
    assert found(browser.get("/api/symbols?q=OLD").json) == []


def test_two_hundred_thousand_instruments_are_searched_while_somebody_types(app):
    web = app.extensions[EXTENSION]
    assert isinstance(web.instruments, InstrumentStore)
    months = ("24-NOV-26", "29-DEC-26", "26-JAN-27", "23-FEB-27")
    names = [f"{chr(65 + i % 26)}{chr(65 + i // 26 % 26)}NAME{i}" for i in range(500)]
    web.instruments.replace(
        "zerodha",
        (
            Instrument(
                f"{name}{month.replace('-', '')}{strike}CE", "NFO", f"{name}{month}{strike}", name=name, expiry=month
            )
            for name in names
            for month in months
            for strike in range(1000, 1100)
        ),
    )
    assert web.search.find("zerodha", "aaname0", None, 20).total == 400
    assert web.search.find("zerodha", "name 1050 ce", None, 20).total == 2000
    everything = web.search.find("zerodha", "ce", None, 20)
    assert (everything.total, len(everything.instruments)) == (None, 20)
    for query in ("a", "aaname0", "name 1050 ce", "ce", "zz top"):
        began = time.perf_counter()
        web.search.find("zerodha", query, None, 20)
        assert time.perf_counter() - began < 0.5, query
