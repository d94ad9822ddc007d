"""Angel One's instrument list: the specification's rows, NSE's series, bad rows, files that are none."""

import json
import time
from typing import Any

import pytest

from tickmux.broker.angel.instruments import AngelInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

SAMPLE = """[
{"token":"3045","symbol":"SBIN-EQ","name":"SBIN","expiry":"","strike":"-1.000000","lotsize":"1","instrumenttype":"","exch_seg":"NSE","tick_size":"5.000000"},
{"token":"500325","symbol":"RELIANCE","name":"RELIANCE","expiry":"","strike":"-1.000000","lotsize":"1","instrumenttype":"","exch_seg":"BSE","tick_size":"5.000000"},
{"token":"99926009","symbol":"Nifty Bank","name":"BANKNIFTY","expiry":"","strike":"0.000000","lotsize":"1","instrumenttype":"AMXIDX","exch_seg":"NSE","tick_size":"0.000000"},
{"token":"53216","symbol":"NIFTY28AUG25FUT","name":"NIFTY","expiry":"28AUG2025","strike":"-1.000000","lotsize":"75","instrumenttype":"FUTIDX","exch_seg":"NFO","tick_size":"10.000000"},
{"token":"47123","symbol":"NIFTY28AUG2525000CE","name":"NIFTY","expiry":"28AUG2025","strike":"2500000.000000","lotsize":"75","instrumenttype":"OPTIDX","exch_seg":"NFO","tick_size":"5.000000"},
{"token":"91007","symbol":"SAIL28AUG25122.5PE","name":"SAIL","expiry":"28AUG2025","strike":"12250.000000","lotsize":"4700","instrumenttype":"OPTSTK","exch_seg":"NFO","tick_size":"5.000000"},
{"token":"1104523","symbol":"SENSEX2582881000PE","name":"SENSEX","expiry":"28AUG2025","strike":"8100000.000000","lotsize":"20","instrumenttype":"OPTIDX","exch_seg":"BFO","tick_size":"5.000000"},
{"token":"7002","symbol":"USDINR25SEP88.25CE","name":"USDINR","expiry":"26SEP2025","strike":"882500000.000000","lotsize":"1000","instrumenttype":"OPTCUR","exch_seg":"CDS","tick_size":"25000.000000"},
{"token":"440939","symbol":"CRUDEOIL25AUGFUT","name":"CRUDEOIL","expiry":"19AUG2025","strike":"-1.000000","lotsize":"100","instrumenttype":"FUTCOM","exch_seg":"MCX","tick_size":"100.000000"}
]"""  # noqa: E501
EXPECTED = """\
SBIN | NSE | 3045 | NSE | SBIN-EQ | | 0 | 1 | EQ | 0.05
RELIANCE | BSE | 500325 | BSE | RELIANCE | | 0 | 1 | EQ | 0.05
BANKNIFTY | NSE_INDEX | 99926009 | NSE | Nifty Bank | | 0 | 1 | INDEX | 0
NIFTY28AUG25FUT | NFO | 53216 | NFO | NIFTY28AUG25FUT | 28-AUG-25 | 0 | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 47123 | NFO | NIFTY28AUG2525000CE | 28-AUG-25 | 25000 | 75 | CE | 0.05
SAIL28AUG25122.5PE | NFO | 91007 | NFO | SAIL28AUG25122.5PE | 28-AUG-25 | 122.5 | 4700 | PE | 0.05
SENSEX28AUG2581000PE | BFO | 1104523 | BFO | SENSEX2582881000PE | 28-AUG-25 | 81000 | 20 | PE | 0.05
USDINR26SEP2588.25CE | CDS | 7002 | CDS | USDINR25SEP88.25CE | 26-SEP-25 | 88.25 | 1000 | CE | 0.0025
CRUDEOIL19AUG25FUT | MCX | 440939 | MCX | CRUDEOIL25AUGFUT | 19-AUG-25 | 0 | 100 | FUT | 1"""
SAMPLE_ROWS: list[dict[str, str]] = json.loads(SAMPLE)
SHARE, INDEX, FUTURE, OPTION, CURRENCY_OPTION = (SAMPLE_ROWS[n] for n in (0, 2, 3, 4, 7))


def parse(*rows: Any) -> list[Instrument]:
    return list(AngelInstruments().parse(json.dumps(rows).encode(), "OpenAPIScripMaster.json"))


def one(row: dict[str, Any]) -> Instrument:
    (found,) = parse(row)
    return found


def nse_symbols(*brsymbols: str) -> dict[str, str]:
    """broker symbol -> our symbol of NSE cash rows in this order."""
    rows = [SHARE | {"token": str(number), "symbol": symbol} for number, symbol in enumerate(brsymbols, 1)]
    return {found.brsymbol: found.symbol for found in parse(*rows)}


def test_the_sample_rows_become_the_expected_table() -> None:
    table = [
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in AngelInstruments().parse(SAMPLE.encode(), "mine.json")
    ]
    assert table == [tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")]


@pytest.mark.parametrize("order", [1, -1])
def test_a_series_of_shares_is_dropped_where_no_better_one_has_the_same_name(order: int) -> None:
    symbols = ["SBIN-EQ", "SBIN-BE", "ABC-BE", "DEF-SM", "GOI-SG", "BAJAJ-AUTO-EQ", "HI-BEST-EQ", "M&M-BZ"]
    assert nse_symbols(*symbols[::order]) == {
        "SBIN-EQ": "SBIN",
        "SBIN-BE": "SBIN-BE",
        "ABC-BE": "ABC",
        "DEF-SM": "DEF",
        "GOI-SG": "GOI-SG",
        "BAJAJ-AUTO-EQ": "BAJAJ-AUTO",
        "HI-BEST-EQ": "HI-BEST",
        "M&M-BZ": "M&M",
    }


def test_one_symbol_never_stands_for_two_series() -> None:
    found = nse_symbols("ABC-N1", "ABC-BE", "ABC-BZ", "BOND-N1", "BOND-N2", "XYZ-EQ", "XYZ-BE")
    assert found == {
        "ABC-BE": "ABC",
        "ABC-BZ": "ABC-BZ",
        "ABC-N1": "ABC-N1",
        "BOND-N1": "BOND-N1",
        "BOND-N2": "BOND-N2",
        "XYZ-EQ": "XYZ",
        "XYZ-BE": "XYZ-BE",
    }


def test_two_rows_of_one_series_claim_one_symbol_so_that_the_store_takes_neither() -> None:
    found = parse(SHARE | {"token": "1", "symbol": "TWICE-ST"}, SHARE | {"token": "2", "symbol": "TWICE-ST"})
    assert {(row.token, row.symbol) for row in found} == {("1", "TWICE"), ("2", "TWICE")}


def test_a_share_of_bse_keeps_its_symbol_whatever_it_ends_in() -> None:
    assert one(SHARE | {"exch_seg": "BSE", "symbol": "ABC-EQ"}).symbol == "ABC-EQ"


@pytest.mark.parametrize(
    ("name", "segment", "symbol", "exchange"),
    [
        ("NIFTY", "NSE", "NIFTY", "NSE_INDEX"),
        ("Nifty 50", "NSE", "NIFTY", "NSE_INDEX"),
        ("Nifty Bank", "NSE", "BANKNIFTY", "NSE_INDEX"),
        ("Nifty Fin Service", "NSE", "FINNIFTY", "NSE_INDEX"),
        ("NIFTY NEXT 50", "NSE", "NIFTYNXT50", "NSE_INDEX"),
        ("NIFTY MID SELECT", "NSE", "MIDCPNIFTY", "NSE_INDEX"),
        ("NIFTY MIDCAP SELECT", "NSE", "MIDCPNIFTY", "NSE_INDEX"),
        ("INDIA VIX", "NSE", "INDIAVIX", "NSE_INDEX"),
        ("Nifty GS 11-15Yr", "NSE", "NIFTYGS1115YR", "NSE_INDEX"),
        ("SENSEX", "BSE", "SENSEX", "BSE_INDEX"),
        ("SNSX50", "BSE", "SENSEX50", "BSE_INDEX"),
        ("S&P BSE IPO", "BSE", "BSEIPO", "BSE_INDEX"),
        ("MCXBULLDEX", "MCX", "MCXBULLDEX", "MCX_INDEX"),
    ],
)
def test_index_names_become_our_symbols(name: str, segment: str, symbol: str, exchange: str) -> None:
    found = one(INDEX | {"name": name, "exch_seg": segment})
    assert (found.symbol, found.exchange, found.instrumenttype) == (symbol, exchange, "INDEX")


@pytest.mark.parametrize("kind", ["OPTCUR", "OPTIRC"])
def test_currency_strikes_have_the_finer_scale(kind: str) -> None:
    found = one(
        CURRENCY_OPTION | {"instrumenttype": kind, "strike": "873125000.000000", "symbol": "USDINR25SEP87.3125PE"}
    )
    assert (found.symbol, found.strike, found.instrumenttype) == ("USDINR26SEP2587.3125PE", 87.3125, "PE")


@pytest.mark.parametrize(
    ("row", "symbol", "strike", "tick_size"),
    [
        (FUTURE | {"exch_seg": "CDS", "instrumenttype": "FUTIRC", "name": "91DTB", "tick_size": "25000.000000"},
         "91DTB28AUG25FUT", 0.0, 0.0025),
        (FUTURE | {"exch_seg": "CDS", "instrumenttype": "FUTIRT", "name": "ONMIBOR", "tick_size": "25000.000000"},
         "ONMIBOR28AUG25FUT", 0.0, 0.0025),
        (OPTION | {"exch_seg": "MCX", "instrumenttype": "OPTFUT", "name": "NATURALGAS", "expiry": "25AUG2025",
                   "strike": "26250.000000", "symbol": "NATURALGAS25AUG262.5PE"},
         "NATURALGAS25AUG25262.5PE", 262.5, 0.05),
        (FUTURE | {"exch_seg": "BFO", "name": "SENSEX", "symbol": "SENSEX25AUGFUT", "expiry": "26AUG2025"},
         "SENSEX26AUG25FUT", 0.0, 0.1),
        (OPTION | {"instrumenttype": "OPTSTK", "name": "BAJAJ-AUTO", "strike": "905000.000000"},
         "BAJAJ-AUTO28AUG259050CE", 9050.0, 0.05),
    ],
)  # fmt: skip
def test_derivatives_of_every_exchange(row: dict[str, str], symbol: str, strike: float, tick_size: float) -> None:
    found = one(row)
    assert (found.symbol, found.exchange, found.strike) == (symbol, row["exch_seg"], strike)
    assert found.tick_size == pytest.approx(tick_size)


def test_numbers_may_be_written_as_such() -> None:
    found = one(OPTION | {"token": 47123, "strike": 2500000, "lotsize": 75, "tick_size": 5.0})
    assert (found.symbol, found.token, found.lotsize, found.tick_size) == ("NIFTY28AUG2525000CE", "47123", 75, 0.05)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("text", "not in the list's format"),
        ({"token": "1", "exch_seg": "NSE"}, "not in the list's format"),
        (SHARE | {"symbol": 5}, "not in the list's format"),
        (SHARE | {"exch_seg": "NCDEX"}, "exchange that is not served"),
        (SHARE | {"exch_seg": "NCO"}, "exchange that is not served"),
        (SHARE | {"token": ""}, "no token"),
        (SHARE | {"token": "3045 "}, "no token"),
        (SHARE | {"token": "1" * 26}, "no token"),
        (SHARE | {"symbol": " "}, "no symbol"),
        (SHARE | {"symbol": "-EQ"}, "no symbol"),
        (SHARE | {"lotsize": "many"}, "bad lot size"),
        (SHARE | {"tick_size": "nan"}, "bad tick size"),
        (SHARE | {"instrumenttype": "COMDTY", "exch_seg": "MCX"}, "instrument type that is not served"),
        (SHARE | {"exch_seg": "NFO"}, "instrument type that is not served"),
        (FUTURE | {"exch_seg": "NSE"}, "instrument type that is not served"),
        (INDEX | {"exch_seg": "CDS"}, "index that is not served"),
        (INDEX | {"name": ""}, "index that is not served"),
        (FUTURE | {"name": None}, "derivative without an underlying"),
        (FUTURE | {"expiry": ""}, "bad expiry"),
        (FUTURE | {"expiry": "31SEP2025"}, "bad expiry"),
        (FUTURE | {"expiry": "28-08-2025"}, "bad expiry"),
        (FUTURE | {"expiry": "२८AUG2025"}, "bad expiry"),
        (OPTION | {"strike": "-1.000000"}, "bad strike"),
        (OPTION | {"strike": "0"}, "bad strike"),
        (OPTION | {"strike": "inf"}, "bad strike"),
        (OPTION | {"strike": None}, "bad strike"),
        (OPTION | {"symbol": "NIFTY28AUG2525000XX"}, "option that is neither call nor put"),
    ],
)
def test_a_bad_row_is_skipped_and_counted_and_costs_no_other_row(row: Any, reason: str) -> None:
    subject = AngelInstruments()
    found = list(subject.parse(json.dumps([row, *SAMPLE_ROWS]).encode(), "OpenAPIScripMaster.json"))
    assert len(found) == 9
    assert subject.skipped == {reason: 1}


@pytest.mark.parametrize(
    "data",
    [
        b'{"status":false,"message":"Something Went Wrong","errorcode":"AB1004","data":null}',
        b"<html>Bad gateway</html>",
        b"",
        b"[]",
        b"[1,2,3]",
        b'[{"instrument_key":"NSE_EQ|1","trading_symbol":"SBIN"}]',
        b"\xff\xfe\x00",
        SAMPLE.encode()[:-40],
        b"[" * 100_000,
    ],
)
def test_what_is_no_instrument_list_is_refused_before_the_first_row(data: bytes) -> None:
    with pytest.raises(ListFormatError, match=r"master\.json"):
        AngelInstruments().parse(data, "master.json")


def test_the_list_needs_no_login() -> None:
    subject = AngelInstruments({"instruments": "http://127.0.0.1:1/list"})
    assert not subject.needs_login
    (download,) = subject.downloads(None)
    assert (download.url, download.method, dict(download.headers)) == ("http://127.0.0.1:1/list", "GET", {})


def test_200_000_rows_are_read_in_seconds() -> None:
    body = SAMPLE.strip()[1:-1]
    data = f"[{','.join([body] * 22_223)}]".encode()
    started = time.process_time()
    assert sum(1 for _ in AngelInstruments().parse(data, "OpenAPIScripMaster.json")) == 200_007
    assert time.process_time() - started < 5.0  # about 1 s on an idle machine
