"""Instrument lists: replaced whole or not at all, found by exact names, searched."""

import time
from datetime import date

import pytest
from sqlalchemy import text

from tickmux.database import Database, EmptyList, InstrumentStore
from tickmux.instrument import Instrument, derivative_symbol, format_expiry


def row(symbol, exchange="NSE", token=None, **fields):
    return Instrument(symbol, exchange, token or f"{exchange}-{symbol}", **fields)


SMALL = [
    row("SBIN", name="STATE BANK OF INDIA", lotsize=1, tick_size=0.05, brexchange="NSE", brsymbol="SBIN-EQ"),
    row("SBIN", "BSE", name="STATE BANK OF INDIA"),
    row("SBICARD", name="SBI CARDS AND PAYMENT SERVICES"),
    row("RELIANCE", name="RELIANCE INDUSTRIES"),
    row("HDFCBANK", name="HDFC BANK"),
    row("NIFTY", "NSE_INDEX"),
    row("NIFTY28AUG25FUT", "NFO", name="NIFTY", expiry="28-AUG-25", lotsize=75, instrumenttype="FUT"),
    row("NIFTY28AUG2525000CE", "NFO", name="NIFTY", expiry="28-AUG-25", strike=25000.0, instrumenttype="CE"),
    row("EURINR26SEP25102.75CE", "CDS", name="EURINR", strike=102.75, instrumenttype="CE", extra="x"),
    row("M&M", name="MAHINDRA & MAHINDRA"),
    row("100%_ODD!", name="A WILDCARD"),
]


@pytest.fixture
def small(store):
    store.replace("zerodha", SMALL)
    return store


@pytest.fixture
def rows_in_table(database):
    def count():
        with database.reading() as session:
            return session.execute(text("SELECT count(*) FROM instruments")).scalar()

    return count


def test_every_field_comes_back(small):
    for one in SMALL:
        assert small.resolve("zerodha", one.exchange, one.symbol) == one


def test_names_are_exact_in_case_exchange_and_broker(small):
    assert small.resolve("zerodha", "NSE", "sbin") is None
    assert small.resolve("zerodha", "NFO", "SBIN") is None
    assert small.resolve("angel", "NSE", "SBIN") is None


def test_many_are_resolved_in_order_with_gaps(small):
    pairs = [("NSE", "SBIN"), ("NSE", "NOSUCH"), ("BSE", "SBIN"), ("NSE", "SBIN"), ("CDS", "EURINR26SEP25102.75CE")]
    found = small.resolve_many("zerodha", pairs)
    assert [one and (one.exchange, one.symbol) for one in found] == [
        ("NSE", "SBIN"), None, ("BSE", "SBIN"), ("NSE", "SBIN"), ("CDS", "EURINR26SEP25102.75CE"),
    ]  # fmt: skip
    assert small.resolve_many("zerodha", []) == []


@pytest.mark.parametrize("symbol", ["\0", "\ud800", "\n", "", "x" * 100_000])
def test_hostile_names_are_simply_not_there(small, symbol):
    assert small.resolve("zerodha", "NSE", symbol) is None
    assert small.resolve("zerodha", symbol, "SBIN") is None
    assert small.nearest("zerodha", symbol, "NSE") == []
    assert small.search("zerodha", symbol) == []


def test_thousands_are_resolved_at_once(store):
    store.replace("zerodha", (row(f"S{number}") for number in range(2500)))
    found = store.resolve_many("zerodha", [("NSE", f"S{number}") for number in range(2500)])
    assert [one.symbol for one in found] == [f"S{number}" for number in range(2500)]


def test_a_new_list_takes_the_old_ones_place(small, rows_in_table):
    before = small.generation("zerodha")
    assert small.replace("zerodha", [row("ITC")]) == 1
    assert small.generation("zerodha") > before
    assert small.resolve("zerodha", "NSE", "SBIN") is None
    assert small.resolve("zerodha", "NSE", "ITC") is not None
    assert rows_in_table() == 1


def test_lists_of_brokers_are_apart(small):
    small.replace("angel", [row("SBIN", token="3045")])
    assert small.resolve("angel", "NSE", "SBIN").token == "3045"
    assert small.resolve("zerodha", "NSE", "SBIN").token == "NSE-SBIN"
    assert [(info.broker, info.count) for info in small.lists()] == [("angel", 1), ("zerodha", len(SMALL))]


def test_a_list_that_breaks_off_leaves_the_old_one(small, rows_in_table):
    def broken():
        for number in range(12_000):
            yield row(f"S{number}")
        raise ConnectionError("cut")

    before = small.info("zerodha")
    with pytest.raises(ConnectionError):
        small.replace("zerodha", broken())
    assert small.info("zerodha") == before
    assert small.resolve("zerodha", "NSE", "SBIN") == SMALL[0]
    assert rows_in_table() == len(SMALL)


def test_an_empty_list_is_refused(small):
    with pytest.raises(EmptyList, match="the old one is kept"):
        small.replace("zerodha", [])
    assert small.count("zerodha") == len(SMALL)


def test_the_first_list_may_fail_too(store):
    with pytest.raises(EmptyList):
        store.replace("zerodha", [])
    assert store.count("zerodha") == 0
    assert store.generation("zerodha") == 0
    assert store.info("zerodha") is None
    assert store.lists() == []


def test_what_a_killed_update_left_is_removed_by_the_next(small, database, rows_in_table):
    with database.writing() as session:
        session.execute(text("UPDATE instrument_lists SET allocated = allocated + 1"))
        session.execute(
            text(
                "INSERT INTO instruments (broker, generation, symbol, exchange, token, brexchange, brsymbol, name, "
                "expiry, strike, lotsize, instrumenttype, tick_size, extra) "
                "SELECT broker, generation + 1, symbol, exchange, token, brexchange, brsymbol, name, expiry, "
                "strike, lotsize, instrumenttype, tick_size, extra FROM instruments"
            )
        )
    assert small.resolve("zerodha", "NSE", "SBIN") == SMALL[0]
    small.replace("zerodha", [row("ITC")])
    assert rows_in_table() == 1


def test_of_two_updates_at_a_time_the_one_that_began_later_wins(store, rows_in_table):
    def slow():
        yield row("OLD")
        store.replace("zerodha", [row("NEW")])
        yield row("OLDER")

    store.replace("zerodha", slow())
    assert store.resolve("zerodha", "NSE", "NEW") is not None
    assert store.resolve("zerodha", "NSE", "OLD") is None
    store.replace("zerodha", [row("LAST")])
    assert rows_in_table() == 1


def test_readers_see_the_old_list_while_the_new_one_is_written(small, home_settings):
    seen = []
    with Database.open(home_settings) as elsewhere:
        reader = InstrumentStore(elsewhere)
        small.replace(
            "zerodha",
            (row(f"S{number}") for number in range(6000)),
            lambda written: seen.append((written, reader.resolve("zerodha", "NSE", "SBIN") is not None)),
        )
        assert reader.resolve("zerodha", "NSE", "SBIN") is None
    assert seen == [(5000, True), (6000, True)]


def test_one_name_for_two_tokens_is_left_out_and_counted(store):
    rows = [row("ABC", token="1"), row("ABC", token="2"), row("ABC", "BSE", token="1"), row("XYZ", token="2")]
    assert store.replace("zerodha", rows) == 2
    assert store.resolve("zerodha", "NSE", "ABC") is None
    assert store.resolve("zerodha", "BSE", "ABC") is not None
    assert store.info("zerodha").ambiguous == 1


def test_a_row_that_is_there_twice_counts_once(store):
    assert store.replace("zerodha", [row("ABC"), row("ABC"), row("XYZ")]) == 2
    assert store.resolve("zerodha", "NSE", "ABC") == row("ABC")
    assert store.info("zerodha").ambiguous == 0


def test_a_list_of_contradictions_only_is_empty(small):
    with pytest.raises(EmptyList):
        small.replace("zerodha", [row("ABC", token="1"), row("ABC", token="2")])
    assert small.count("zerodha") == len(SMALL)


@pytest.mark.parametrize(
    ("symbol", "exchange", "first"),
    [
        ("NIFTY", "NSE", "NSE_INDEX:NIFTY"),
        ("RELAINCE", "NSE", "RELIANCE"),
        ("SBINN", "NSE", "SBIN"),
        ("SBI", "NSE", "SBIN"),
        ("NIFTY28AUG2525000PE", "NFO", "NIFTY28AUG2525000CE"),
    ],
)
def test_near_names_are_suggested(small, symbol, exchange, first):
    assert small.nearest("zerodha", symbol, exchange)[0] == first


@pytest.mark.parametrize("symbol", ["", "ZZZZZZ", "%", "\U0010ffff", "x" * 10_000])
def test_nothing_near_is_an_empty_list(small, symbol):
    assert small.nearest("zerodha", symbol, "MCX") == []


def test_suggestions_are_few(store):
    store.replace("zerodha", (row(f"ABCD{number}") for number in range(200)))
    assert len(store.nearest("zerodha", "ABCD", "NSE", limit=3)) == 3


def symbols(found):
    return [(one.symbol, one.exchange) for one in found]


def test_search_ranks_exact_then_beginnings_then_words_of_the_name(small):
    assert symbols(small.search("zerodha", "sbin")) == [("SBIN", "BSE"), ("SBIN", "NSE")]
    assert symbols(small.search("zerodha", "SBI"))[0:3] == [("SBIN", "BSE"), ("SBIN", "NSE"), ("SBICARD", "NSE")]
    assert symbols(small.search("zerodha", "nifty")) == [
        ("NIFTY", "NSE_INDEX"), ("NIFTY28AUG25FUT", "NFO"), ("NIFTY28AUG2525000CE", "NFO"),
    ]  # fmt: skip
    assert [one.symbol for one in small.search("zerodha", "bank")] == ["SBIN", "SBIN", "HDFCBANK"]
    assert [one.symbol for one in small.search("zerodha", "eliance")] == ["RELIANCE"]


def test_search_wants_every_word(small):
    assert symbols(small.search("zerodha", "nifty 25000 ce")) == [("NIFTY28AUG2525000CE", "NFO")]
    assert symbols(small.search("zerodha", "state  bank", exchange="NSE")) == [("SBIN", "NSE")]
    assert small.search("zerodha", "state nifty") == []


def test_search_takes_wildcards_literally(small):
    assert [one.symbol for one in small.search("zerodha", "%_odd!")] == ["100%_ODD!"]
    assert small.search("zerodha", "%") == small.search("zerodha", "_")
    assert [one.symbol for one in small.search("zerodha", "&m")] == ["M&M"]


def test_search_is_limited_and_empty_text_finds_nothing(small):
    assert len(small.search("zerodha", "s", limit=2)) == 2
    assert small.search("zerodha", "  ") == []
    assert small.search("zerodha", "s", limit=0) == []


def test_two_hundred_thousand_rows_are_stored_and_searched_fast(store):
    def everything():
        for number in range(50_000):
            yield row(f"EQ{number}", name=f"COMPANY {number} LTD")
        for number in range(150_000):
            yield row(f"NIFTY28AUG25{number}CE", "NFO", name="NIFTY", strike=float(number))

    began = time.process_time()
    assert store.replace("zerodha", everything()) == 200_000
    assert time.process_time() - began < 10
    began = time.process_time()
    assert [one.symbol for one in store.search("zerodha", "company 49999")] == ["EQ49999"]
    assert store.search("zerodha", "NIFTY28AUG2525000CE")[0].strike == 25000
    assert store.nearest("zerodha", "NIFTY28AUG2525000PE", "NFO")[0] == "NIFTY28AUG2525000CE"
    assert store.resolve("zerodha", "NFO", "NIFTY28AUG25149999CE") is not None
    assert time.process_time() - began < 2


def option(day, strike, kind="CE", name="NIFTY", exchange="NFO"):
    symbol = derivative_symbol(name, day, kind, strike)
    return row(symbol, exchange, name=name, expiry=format_expiry(day), strike=strike, instrumenttype=kind)


CONTRACTS = [
    option(date(2026, 12, 8), 24500.0),
    option(date(2026, 12, 8), 24550.0, "PE"),
    option(date(2026, 12, 15), 24550.0),
    option(date(2026, 12, 1), 24600.0),
    option(date(2026, 12, 8), 24550.0, name="NIFTYNXT50"),
    option(date(2026, 12, 29), 0.0, "FUT"),
    option(date(2026, 12, 29), 0.0, "FUT", "BANKNIFTY"),
]


@pytest.mark.parametrize(
    ("asked", "today", "following"),
    [
        ("NIFTY01DEC2624550CE", date(2026, 12, 2), "NIFTY15DEC2624550CE"),  # gone from the list
        ("NIFTY01DEC2624600CE", date(2026, 12, 2), "NIFTY08DEC2624500CE"),  # no such strike later: the nearest
        ("NIFTY08DEC2624500CE", date(2026, 12, 20), None),
        ("NIFTY24NOV26FUT", date(2026, 12, 2), "NIFTY29DEC26FUT"),
        ("NIFTY24NOV26FUT", date(2026, 12, 30), None),
        ("SBIN", date(2026, 12, 2), None),
    ],
)
def test_the_next_contract_of_the_same_kind_is_known(store, asked, today, following):
    store.replace("zerodha", CONTRACTS)
    assert store.next_contract("zerodha", asked, "NFO", today) == following


def test_a_tokens_owner_is_found_in_its_segment(store):
    store.replace("dhan", [row("A", token="1", brexchange="NSE_EQ"), row("B", "BSE", token="1", brexchange="BSE_EQ")])
    owners = store.owners("dhan", [("BSE_EQ", "1"), ("NSE_EQ", "1"), ("NSE_EQ", "2"), ("NSE_EQ", "\0")])
    assert [one and one.symbol for one in owners] == ["B", "A", None, None]


def test_tokens_that_one_exchange_only_has_are_known(store):
    store.replace("shoonya", [row("A", token="1"), row("OLD", token="9")])
    rows = [row("A", token="1"), row("B", "NFO", token="1"), row("C", token="2"), row("N", "NSE_INDEX", token="3")]
    store.replace("shoonya", rows, force=True)
    store.replace("zebu", [row("D", "BSE", token="2"), row("E", token="7")])
    assert store.lone_tokens("shoonya", ["1", "2", "3", "7", "9", "\0", "2"]) == {"2", "3"}
    assert store.lone_tokens("shoonya", []) == set()


def test_the_bare_names_share_answers_to_its_series_too(store):
    share, bond = row("BETACO", series="BZ", token="9101"), row("BETACO-N1", series="N1", token="9102")
    store.replace("zerodha", [share, bond, row("BAJAJ-AUTO", series="EQ"), row("PLAIN")])
    assert store.resolve("zerodha", "NSE", "BETACO") == share
    asked = store.resolve("zerodha", "NSE", "BETACO-BZ")
    assert (asked.symbol, asked.token) == ("BETACO-BZ", "9101")
    assert store.resolve("zerodha", "NSE", "BETACO-N1") == bond
    assert store.resolve("zerodha", "NSE", "BAJAJ-AUTO-EQ").symbol == "BAJAJ-AUTO-EQ"
    for unknown in ("BETACO-EQ", "BETACO-N1-N1", "BAJAJ-EQ", "PLAIN-", "PLAIN-EQ", "-EQ"):
        assert store.resolve("zerodha", "NSE", unknown) is None
