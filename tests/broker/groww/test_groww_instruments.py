"""Groww's instrument list: the specification's rows, and what is wrong with a row or a file."""

import logging
from collections import Counter

import pytest

from tickmux.broker.groww.instruments import GrowwInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

HEADER = (
    "exchange,exchange_token,trading_symbol,groww_symbol,name,instrument_type,segment,series,isin,underlying_symbol,"
    "underlying_exchange_token,expiry_date,strike_price,lot_size,tick_size,freeze_quantity,is_reserved,buy_allowed,"
    "sell_allowed"
)
SBIN = "NSE,3045,SBIN,NSE-SBIN,State Bank of India,EQ,CASH,EQ,INE062A01020,,,,,1,0.05,,0,1,1"
FUTURE = "NSE,53001,NIFTY25AUGFUT,NSE-NIFTY-28Aug25-FUT,,FUT,FNO,,,NIFTY,26000,2025-08-28,,75,0.1,1801,0,1,1"
OPTION = (
    "NSE,52800,NIFTY25AUG25000CE,NSE-NIFTY-28Aug25-25000-CE,,CE,FNO,,,NIFTY,26000,2025-08-28,25000,75,0.05,1801,0,1,1"
)
ROWS = [
    SBIN,
    "BSE,500325,RELIANCE,BSE-RELIANCE,Reliance Industries,EQ,CASH,A,INE002A01018,,,,,1,0.05,,0,1,1",
    FUTURE,
    OPTION,
    "NSE,99120,BANKBARODA25SEP287.5PE,NSE-BANKBARODA-25Sep25-287.5-PE,,PE,FNO,,,BANKBARODA,4668,2025-09-25,287.5,"
    "2925,0.05,117001,0,1,1",
    "BSE,861201,SENSEX25AUG81000PE,BSE-SENSEX-28Aug25-81000-PE,,PE,FNO,,,SENSEX,1,2025-08-28,81000,"
    "20,0.05,1001,0,1,1",
    "NSE,NIFTY,NIFTY,NSE-NIFTY,NIFTY 50,IDX,CASH,,,,,,,1,0.05,,0,0,0",
    "NSE,NIFTYJR,NIFTYJR,NSE-NIFTYJR,NIFTY NEXT 50,IDX,CASH,,,,,,,1,0.05,,0,0,0",
    "BSE,1,SENSEX,BSE-SENSEX,BSE SENSEX,IDX,CASH,,,,,,,1,0.05,,0,0,0",
    "MCX,447552,CRUDEOIL25SEPFUT,MCX-CRUDEOIL-18Sep25-FUT,,FUT,COMMODITY,,,CRUDEOIL,294,2025-09-18,,100,1,,0,1,1",
]
EXPECTED = """
SBIN | NSE | 3045 | NSE | SBIN | | | 1 | EQ | 0.05
RELIANCE | BSE | 500325 | BSE | RELIANCE | | | 1 | EQ | 0.05
NIFTY28AUG25FUT | NFO | 53001 | NSE | NIFTY25AUGFUT | 28-AUG-25 | | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 52800 | NSE | NIFTY25AUG25000CE | 28-AUG-25 | 25000 | 75 | CE | 0.05
BANKBARODA25SEP25287.5PE | NFO | 99120 | NSE | BANKBARODA25SEP287.5PE | 25-SEP-25 | 287.5 | 2925 | PE | 0.05
SENSEX28AUG2581000PE | BFO | 861201 | BSE | SENSEX25AUG81000PE | 28-AUG-25 | 81000 | 20 | PE | 0.05
NIFTY | NSE_INDEX | NIFTY | NSE | NIFTY | | | 1 | INDEX | 0.05
NIFTYNXT50 | NSE_INDEX | NIFTYJR | NSE | NIFTYJR | | | 1 | INDEX | 0.05
SENSEX | BSE_INDEX | 1 | BSE | SENSEX | | | 1 | INDEX | 0.05
CRUDEOIL18SEP25FUT | MCX | 447552 | MCX | CRUDEOIL25SEPFUT | 18-SEP-25 | | 100 | FUT | 1
"""


def parse(*rows: str, header: str = HEADER) -> tuple[list[Instrument], Counter[str]]:
    made = GrowwInstruments()
    return list(made.parse("\n".join([header, *rows, ""]).encode(), "instrument.csv")), made.skipped


def test_the_specifications_rows_become_its_table() -> None:
    found, skipped = parse(*ROWS)
    table = {tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.strip().splitlines()}
    assert {
        (
            one.symbol, one.exchange, one.token, one.brexchange, one.brsymbol, one.expiry,
            f"{one.strike:g}" if one.strike else "", str(one.lotsize), one.instrumenttype, f"{one.tick_size:g}",
        )
        for one in found
    } == table  # fmt: skip
    assert not skipped
    assert {one.name for one in found if one.symbol in ("SBIN", "NIFTY28AUG25FUT")} == {
        "State Bank of India",
        "NIFTY",
    }


def test_columns_are_found_by_their_names_and_more_of_them_do_no_harm() -> None:
    columns = HEADER.split(",")
    order = sorted(range(len(columns)), key=lambda place: columns[place])
    moved = [",".join(["new", *(row.split(",")[place] for place in order)]) for row in (HEADER, SBIN, OPTION)]
    assert set(parse(*moved[1:], header="\ufeff" + moved[0] + "\r")[0]) == set(parse(SBIN, OPTION)[0])


def test_lines_may_end_in_two_ways_and_cells_be_quoted() -> None:
    quoted = SBIN.replace("State Bank of India", '"State Bank, of India"')
    found, _ = parse(quoted + "\r", OPTION + "\r")
    assert {one.name for one in found} == {"State Bank, of India", "NIFTY"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("NIFTYJR", "NIFTYNXT50"), ("NIFTYMIDSELECT", "MIDCPNIFTY"), ("NIFTYMIDCAP", "NIFTYMIDCAP100"),
        ("NIFTYSMALL", "NIFTYSMLCAP100"), ("NIFTYSMALLCAP250", "NIFTYSMLCAP250"), ("NIFTYCDTY", "NIFTYCOMMODITIES"),
        ("MIDCAP50", "NIFTYMIDCAP50"), ("BSESMLCAP", "BSESMALLCAP"), ("BANKNIFTY", "BANKNIFTY"),
        ("FINNIFTY", "FINNIFTY"), ("INDIAVIX", "INDIAVIX"), ("BANKEX", "BANKEX"),
    ],
)  # fmt: skip
def test_index_names_are_renamed_and_those_of_shares_are_not(theirs: str, ours: str) -> None:
    index = f"NSE,{theirs},{theirs},NSE-{theirs},,IDX,CASH,,,,,,,1,0.05,,0,0,0"
    share = f"NSE,77,{theirs},NSE-{theirs},,EQ,CASH,EQ,,,,,,1,0.05,,0,1,1"
    found, _ = parse(index, share)
    assert {(one.symbol, one.exchange, one.brsymbol) for one in found} == {
        (ours, "NSE_INDEX", theirs),
        (theirs, "NSE", theirs),
    }


@pytest.mark.parametrize("kind", ["EQ", "ETF", "REIT", ""])
def test_everything_in_the_cash_segment_but_an_index_is_a_share(kind: str) -> None:
    ((one,), _) = parse(SBIN.replace(",EQ,CASH,", f",{kind},CASH,"))
    assert (one.exchange, one.instrumenttype) == ("NSE", "EQ")


def test_a_share_of_several_series_is_the_best_of_them() -> None:
    rows = [
        SBIN.replace("3045", str(number)).replace(",CASH,EQ,", f",CASH,{series},")
        for number, series in enumerate(("N1", "BE", "EQ"), 1)
    ]
    found, skipped = parse(*rows)
    assert {one.symbol: one.token for one in found} == {"SBIN": "3", "SBIN-BE": "2", "SBIN-N1": "1"}
    assert not skipped


def test_a_coarse_tick_is_taken_as_rupees_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ((one,), _) = parse(SBIN.replace(",0.05,", ",5,"))
    assert one.tick_size == 5.0
    assert "1 shares" in caplog.text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SBIN.replace(",SBIN,NSE", ", ,NSE"), "no trading symbol"),
        (SBIN.replace(",3045,", ",,"), "no exchange token"),
        (SBIN.replace("NSE,3045", "NCDEX,3045"), "unknown exchange or segment"),
        (SBIN.replace(",CASH,", ",CURRENCY,"), "unknown exchange or segment"),
        (SBIN.replace("NSE,3045", "MCX,3045"), "unknown exchange or segment"),
        (OPTION.replace(",CE,FNO", ",XX,FNO"), "unknown instrument type"),
        (OPTION.replace(",NIFTY,26000", ",,26000"), "derivative without an underlying"),
        (OPTION.replace("2025-08-28", "28-08-2025"), "bad expiry"),
        (OPTION.replace("2025-08-28", "2025-W35-4"), "bad expiry"),
        (OPTION.replace("2025-08-28", ""), "bad expiry"),
        (OPTION.replace(",25000,75", ",0,75"), "bad strike"),
        (OPTION.replace(",25000,75", ",nan,75"), "bad strike"),
        (OPTION.replace(",25000,75", ",x,75"), "bad strike"),
        (OPTION.replace(",75,0.05", ",-1,0.05"), "bad lot size"),
        (OPTION.replace(",75,0.05", ",75,inf"), "bad tick size"),
        (OPTION + ",1", "wrong number of columns"),
        ("NSE", "wrong number of columns"),
        (SBIN.replace("State", '"State'), "broken quotes"),
        (FUTURE, "repeated token"),
        (FUTURE.replace("53001", "53002"), "repeated symbol"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(row: str, reason: str) -> None:
    found, skipped = parse(FUTURE, row)
    assert [one.symbol for one in found] == ["NIFTY28AUG25FUT"]
    assert skipped == {reason: 1}


def test_a_token_that_repeats_on_another_exchange_is_another_instrument() -> None:
    found, skipped = parse(SBIN, SBIN.replace("NSE,", "BSE,", 1), FUTURE.replace("53001", "3045"))
    assert {(one.exchange, one.token) for one in found} == {("NSE", "3045"), ("BSE", "3045"), ("NFO", "3045")}
    assert not skipped


@pytest.mark.parametrize(
    "data", [b"", b'{"status":"FAILURE"}', b"<html>", b"a,b,c\n1,2,3", b"\xff\xfe\x00", SBIN.encode()]
)
def test_what_is_no_instrument_list_is_refused_before_any_row(data: bytes) -> None:
    with pytest.raises(ListFormatError, match=r"instrument\.csv"):
        GrowwInstruments().parse(data, "instrument.csv")


def test_the_list_is_public() -> None:
    assert not GrowwInstruments.needs_login
    (download,) = GrowwInstruments().downloads(None)
    assert download.url == "https://growwapi-assets.groww.in/instruments/instrument.csv"
