"""Upstox's instrument list: the specification's rows become the specification's table."""

import gzip
import json
from typing import Any

import pytest

from tickmux.broker.upstox.instruments import UpstoxInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

SAMPLE = """
{"segment":"NSE_EQ","name":"STATE BANK OF INDIA","exchange":"NSE","isin":"INE062A01020","instrument_type":"EQ","instrument_key":"NSE_EQ|INE062A01020","lot_size":1,"freeze_quantity":100000.0,"exchange_token":"3045","tick_size":5.0,"trading_symbol":"SBIN"}
{"segment":"BSE_EQ","name":"RELIANCE INDUSTRIES LTD.","exchange":"BSE","isin":"INE002A01018","instrument_type":"A","instrument_key":"BSE_EQ|INE002A01018","lot_size":1,"exchange_token":"500325","tick_size":5.0,"trading_symbol":"RELIANCE"}
{"segment":"NSE_INDEX","name":"Nifty 50","exchange":"NSE","instrument_type":"INDEX","instrument_key":"NSE_INDEX|Nifty 50","exchange_token":"26000","trading_symbol":"NIFTY"}
{"segment":"BSE_INDEX","name":"SENSEX","exchange":"BSE","instrument_type":"INDEX","instrument_key":"BSE_INDEX|SENSEX","exchange_token":"1","trading_symbol":"SENSEX"}
{"weekly":false,"segment":"NSE_FO","name":"NIFTY","exchange":"NSE","expiry":1756405799000,"instrument_type":"FUT","underlying_symbol":"NIFTY","instrument_key":"NSE_FO|53001","lot_size":75,"exchange_token":"53001","tick_size":10.0,"underlying_key":"NSE_INDEX|Nifty 50","trading_symbol":"NIFTY FUT 28 AUG 25","strike_price":0.0}
{"weekly":false,"segment":"NSE_FO","name":"NIFTY","exchange":"NSE","expiry":1756405799000,"instrument_type":"CE","underlying_symbol":"NIFTY","instrument_key":"NSE_FO|47667","lot_size":75,"exchange_token":"47667","tick_size":5.0,"trading_symbol":"NIFTY 25000 CE 28 AUG 25","strike_price":25000.0}
{"weekly":false,"segment":"NSE_FO","name":"VEDL","exchange":"NSE","expiry":1759256999000,"instrument_type":"PE","underlying_symbol":"VEDL","instrument_key":"NSE_FO|88124","lot_size":1150,"exchange_token":"88124","tick_size":5.0,"trading_symbol":"VEDL 442.5 PE 30 SEP 25","strike_price":442.5}
{"weekly":false,"segment":"NCD_FO","name":"USDINR","exchange":"NSE","expiry":1756319399000,"instrument_type":"FUT","underlying_symbol":"USDINR","instrument_key":"NCD_FO|5132","lot_size":1,"exchange_token":"5132","tick_size":0.25,"trading_symbol":"USDINR FUT 27 AUG 25","strike_price":0.0,"qty_multiplier":1000.0}
{"segment":"MCX_FO","name":"CRUDEOIL","exchange":"MCX","expiry":1755628199000,"instrument_type":"FUT","underlying_symbol":"CRUDEOIL","instrument_key":"MCX_FO|447552","lot_size":100,"exchange_token":"447552","tick_size":100.0,"trading_symbol":"CRUDEOIL FUT 19 AUG 25","strike_price":0.0,"qty_multiplier":100.0}
"""  # noqa: E501

TABLE = """
SBIN | NSE | NSE_EQ!INE062A01020 | NSE_EQ | SBIN | | 0 | 1 | EQ | 0.05
RELIANCE | BSE | BSE_EQ!INE002A01018 | BSE_EQ | RELIANCE | | 0 | 1 | EQ | 0.05
NIFTY | NSE_INDEX | NSE_INDEX!Nifty 50 | NSE_INDEX | NIFTY | | 0 | 0 | INDEX | 0
SENSEX | BSE_INDEX | BSE_INDEX!SENSEX | BSE_INDEX | SENSEX | | 0 | 0 | INDEX | 0
NIFTY28AUG25FUT | NFO | NSE_FO!53001 | NSE_FO | NIFTY FUT 28 AUG 25 | 28-AUG-25 | 0 | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | NSE_FO!47667 | NSE_FO | NIFTY 25000 CE 28 AUG 25 | 28-AUG-25 | 25000 | 75 | CE | 0.05
VEDL30SEP25442.5PE | NFO | NSE_FO!88124 | NSE_FO | VEDL 442.5 PE 30 SEP 25 | 30-SEP-25 | 442.5 | 1150 | PE | 0.05
USDINR27AUG25FUT | CDS | NCD_FO!5132 | NCD_FO | USDINR FUT 27 AUG 25 | 27-AUG-25 | 0 | 1 | FUT | 0.0025
CRUDEOIL19AUG25FUT | MCX | MCX_FO!447552 | MCX_FO | CRUDEOIL FUT 19 AUG 25 | 19-AUG-25 | 0 | 100 | FUT | 1
"""

ROWS: list[dict[str, Any]] = [json.loads(line) for line in SAMPLE.strip().splitlines()]
SBIN, NIFTY, OPTION = ROWS[0], ROWS[2], ROWS[5]


def parse(rows: list[Any]) -> tuple[list[Instrument], dict[str, int]]:
    subject = UpstoxInstruments()
    found = list(subject.parse(json.dumps(rows).encode(), "complete.json"))
    return found, dict(subject.skipped)


def test_the_sample_rows_become_the_table() -> None:
    subject = UpstoxInstruments()
    found = list(subject.parse(gzip.compress(json.dumps(ROWS).encode()), "complete.json.gz"))
    lines = {
        " | ".join(
            (
                one.symbol, one.exchange, one.token.replace("|", "!"), one.brexchange, one.brsymbol, one.expiry,
                f"{one.strike:g}", str(one.lotsize), one.instrumenttype, f"{one.tick_size:g}",
            )
        ).replace("|  |", "| |")
        for one in found
    }  # fmt: skip
    assert lines == set(TABLE.strip().splitlines())
    assert (len(found), subject.skipped.total()) == (9, 0)
    names = {one.symbol: one.name for one in found}
    assert (names["SBIN"], names["VEDL30SEP25442.5PE"]) == ("STATE BANK OF INDIA", "VEDL")


def test_the_list_is_public_and_comes_as_one_file() -> None:
    (download,) = UpstoxInstruments().downloads(None)
    assert download.url == "https://assets.upstox.com/market-quote/instruments/exchange/complete.json.gz"
    assert not UpstoxInstruments.needs_login
    elsewhere = UpstoxInstruments({"instruments": "http://127.0.0.1:1/x.gz"})
    assert elsewhere.downloads(None)[0].url == "http://127.0.0.1:1/x.gz"


def index(segment: str, key: str, trading_symbol: str) -> dict[str, Any]:
    return NIFTY | {"segment": segment, "instrument_key": f"{segment}|{key}", "trading_symbol": trading_symbol}


@pytest.mark.parametrize(
    ("row", "symbol", "exchange"),
    [
        (index("NSE_INDEX", "Nifty Bank", "BANKNIFTY"), "BANKNIFTY", "NSE_INDEX"),
        (index("NSE_INDEX", "Nifty Fin Service", "FINNIFTY"), "FINNIFTY", "NSE_INDEX"),
        (index("NSE_INDEX", "NIFTY MID SELECT", "MIDCPNIFTY"), "MIDCPNIFTY", "NSE_INDEX"),
        (index("NSE_INDEX", "Nifty Next 50", "NIFTYJR"), "NIFTYNXT50", "NSE_INDEX"),
        (index("NSE_INDEX", "India VIX", "INDIA VIX"), "INDIAVIX", "NSE_INDEX"),
        (index("NSE_INDEX", "Other name", "Nifty 50"), "NIFTY", "NSE_INDEX"),
        (index("NSE_INDEX", "NIFTY MIDCAP 100", "Nifty Midcap 100"), "NIFTYMIDCAP100", "NSE_INDEX"),
        (index("NSE_INDEX", "Nifty Auto", "Nifty Auto"), "NIFTYAUTO", "NSE_INDEX"),
        (index("BSE_INDEX", "BANKEX", "BANKEX"), "BANKEX", "BSE_INDEX"),
        (index("BSE_INDEX", "SNSX50", "SNSX50"), "SENSEX50", "BSE_INDEX"),
        (index("BSE_INDEX", "AUTO", "AUTO"), "BSEAUTO", "BSE_INDEX"),
        (index("BSE_INDEX", "BSE CG", "BSE CG"), "BSECAPITALGOODS", "BSE_INDEX"),
        (index("GLOBAL_INDEX", "^GSPC", "S&P 500"), "US500", "GLOBAL_INDEX"),
        (index("GLOBAL_INDEX", "other", "^n225"), "JAPAN225", "GLOBAL_INDEX"),
        (index("GLOBAL_INDICATOR", "GIFT NIFTY", "GIFT NIFTY"), "GIFTNIFTY", "GLOBAL_INDEX"),
        (index("GLOBAL_INDICATOR", "BZUSD", "BRENT"), "BRENTOIL", "GLOBAL_INDEX"),
    ],
)
def test_indices_have_the_names_of_every_broker(row: dict[str, Any], symbol: str, exchange: str) -> None:
    ((one,), skipped) = parse([row])
    assert (one.symbol, one.exchange, one.brexchange, skipped) == (symbol, exchange, row["segment"], {})
    assert one.token == row["instrument_key"]


@pytest.mark.parametrize(
    ("segment", "exchange"),
    [("NSE_FO", "NFO"), ("BSE_FO", "BFO"), ("NCD_FO", "CDS"), ("BCD_FO", "BCD"), ("MCX_FO", "MCX")],
)
def test_every_derivatives_segment_is_an_exchange_of_ours(segment: str, exchange: str) -> None:
    ((one,), _) = parse([OPTION | {"segment": segment, "instrument_key": f"{segment}|1"}])
    assert (one.exchange, one.brexchange, one.token) == (exchange, segment, f"{segment}|1")


def series(kind: str, number: int, **more: Any) -> dict[str, Any]:
    return SBIN | {"instrument_type": kind, "instrument_key": f"NSE_EQ|INE{number}"} | more


@pytest.mark.parametrize(
    ("kinds", "best"),
    [
        (["N1", "EQ", "BE"], 1),
        (["ST", "SM", "BZ", "BE"], 3),
        (["N1", "ST"], 1),
        (["N1", "N2"], None),
        (["EQ", "N1"], 0),
    ],
)
def test_a_symbol_of_several_series_is_the_best_of_them(kinds: list[str], best: int | None) -> None:
    found, skipped = parse([series(kind, number) for number, kind in enumerate(kinds)])
    assert {one.token: one.symbol for one in found} == {
        f"NSE_EQ|INE{number}": "SBIN" if number == best else f"SBIN-{kind}" for number, kind in enumerate(kinds)
    }
    assert not skipped


def test_the_same_symbol_on_two_exchanges_is_two_instruments() -> None:
    found, _ = parse([SBIN, SBIN | {"segment": "BSE_EQ", "instrument_key": "BSE_EQ|INE062A01020"}])
    assert {one.exchange for one in found} == {"NSE", "BSE"}


def test_the_root_is_the_underlying_and_else_the_name() -> None:
    with_underlying = OPTION | {"underlying_symbol": "SENSEX", "name": "BSE SENSEX"}
    without = {name: value for name, value in OPTION.items() if name != "underlying_symbol"}
    found, _ = parse([with_underlying, without | {"instrument_key": "NSE_FO|2"}])
    assert [one.symbol for one in found] == ["SENSEX28AUG2525000CE", "NIFTY28AUG2525000CE"]


def test_the_expiry_is_the_day_in_india() -> None:
    # 23:59:59 IST of the 28th, and the last millisecond before midnight: the same day, 18:29 UTC.
    found, _ = parse([OPTION | {"expiry": 1756405799999}])
    assert found[0].expiry == "28-AUG-25"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SBIN | {"segment": "NSE_XYZ"}, "unknown segment NSE_XYZ"),
        (SBIN | {"instrument_key": "INE062A01020"}, "no instrument key of its segment"),
        (SBIN | {"instrument_key": "NSE_EQ|"}, "no instrument key of its segment"),
        (SBIN | {"instrument_key": "BSE_EQ|INE062A01020"}, "no instrument key of its segment"),
        (SBIN | {"trading_symbol": " "}, "no trading symbol"),
        (SBIN | {"instrument_key": 5}, "missing or broken fields"),
        (SBIN | {"lot_size": "many"}, "missing or broken fields"),
        (SBIN | {"lot_size": -1}, "bad lot size"),
        (SBIN | {"tick_size": -5.0}, "bad tick size"),
        ({"instrument_key": "NSE_EQ|X"}, "missing or broken fields"),
        (5, "missing or broken fields"),
        (None, "missing or broken fields"),
        (OPTION | {"instrument_type": "OPT"}, "unknown instrument type"),
        (OPTION | {"underlying_symbol": "", "name": ""}, "derivative without an underlying"),
        (OPTION | {"expiry": None}, "bad expiry"),
        (OPTION | {"expiry": -1}, "bad expiry"),
        (OPTION | {"expiry": 1e18}, "bad expiry"),
        (OPTION | {"expiry": "28 AUG 25"}, "missing or broken fields"),
        (OPTION | {"strike_price": 0.0}, "bad strike"),
        (OPTION | {"strike_price": None}, "bad strike"),
        (SBIN, "repeated instrument key"),
        (ROWS[4] | {"instrument_key": "NSE_FO|1"}, "repeated symbol"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(row: Any, reason: str) -> None:
    good = [ROWS[0], ROWS[4]]
    found, skipped = parse([*good, row])
    assert {one.symbol for one in found} == {"SBIN", "NIFTY28AUG25FUT"}
    assert skipped == {reason: 1}


WHOLE = gzip.compress(json.dumps(ROWS).encode(), mtime=0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"status":"error","errors":[{"error_code":"UDAPI100060"}]}',
        b"<html>not found</html>",
        b"[]",
        b"[1,2,3]",
        json.dumps(ROWS).encode()[:-50],
        WHOLE[:-20],
        WHOLE[:100] + bytes(20) + WHOLE[120:],
        gzip.compress(b"<html></html>", mtime=0),
        b"\x1f\x8b",
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_instrument_list_is_refused_before_any_row(data: bytes) -> None:
    with pytest.raises(ListFormatError, match="complete"):
        UpstoxInstruments().parse(data, "complete.json.gz")


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickmux.broker.upstox.instruments._MAX_UNPACKED", 1000)
    with pytest.raises(ListFormatError, match="unpacks to more"):
        UpstoxInstruments().parse(WHOLE, "complete.json.gz")
