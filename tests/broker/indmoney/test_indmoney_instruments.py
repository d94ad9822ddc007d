"""INDmoney's instrument lists: the specification's rows, renames, dates, bad rows, files that are none."""

import logging

import pytest

from tickmux.broker.indmoney.instruments import IndmoneyInstruments
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

CONTRACTS = """\
EXCH,SEGMENT,SECURITY_ID,INSTRUMENT_NAME,EXPIRY_CODE,TRADING_SYMBOL,LOT_UNITS,CUSTOM_SYMBOL,EXPIRY_DATE,STRIKE_PRICE,OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SERIES,SYMBOL_NAME
NSE,E,2885,EQUITY,0,RELIANCE,1,Reliance Industries,,,,0.05,,ES,EQ,RELIANCE INDUSTRIES LTD
BSE,E,500112,EQUITY,0,SBIN,1,State Bank of India,,,,0.05,,ES,A,STATE BANK OF INDIA
NSE,FNO,51011,FUTIDX,0,NIFTY-Aug2025-FUT,75,NIFTY AUG FUT,2025-08-28,,,0.1,M,FUT,,NIFTY-Aug2025-FUT
NSE,FNO,45108,OPTIDX,0,NIFTY-Aug2025-25000-CE,75,NIFTY 28 AUG 25000 CALL,2025-08-28,25000,CE,0.05,M,OP,,NIFTY-Aug2025-25000-CE
NSE,FNO,99120,OPTSTK,0,BANKBARODA-Sep2025-287.5-PE,2925,BANKBARODA 25 SEP 287.50 PUT,2025-09-25,287.5,PE,0.05,M,OP,,BANKBARODA-Sep2025-287.5-PE
BSE,FNO,861201,OPTIDX,0,SENSEX-Aug2025-81000-PE,20,SENSEX 28 AUG 81000 PUT,2025-08-28,81000,PE,0.05,W,OP,,SENSEX-Aug2025-81000-PE
"""  # noqa: E501
INDICES = """\
EXCH,SEGMENT,SECURITY_ID
NSE,NIFTY 50,40000001
NSE,NIFTY IT,40000004
BSE,SENSEX,40000101
BSE,BSE Focused IT,40000129
"""
EXPECTED = """\
RELIANCE | NSE | 2885 | NSE | RELIANCE | | 0 | 1 | EQ | 0.05
SBIN | BSE | 500112 | BSE | SBIN | | 0 | 1 | EQ | 0.05
NIFTY28AUG25FUT | NFO | 51011 | NSE | NIFTY-Aug2025-FUT | 28-AUG-25 | 0 | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 45108 | NSE | NIFTY-Aug2025-25000-CE | 28-AUG-25 | 25000 | 75 | CE | 0.05
BANKBARODA25SEP25287.5PE | NFO | 99120 | NSE | BANKBARODA-Sep2025-287.5-PE | 25-SEP-25 | 287.5 | 2925 | PE | 0.05
SENSEX28AUG2581000PE | BFO | 861201 | BSE | SENSEX-Aug2025-81000-PE | 28-AUG-25 | 81000 | 20 | PE | 0.05
NIFTY | NSE_INDEX | 40000001 | NSE | NIFTY 50 | | 0 | 1 | INDEX | 0.05
NIFTYIT | NSE_INDEX | 40000004 | NSE | NIFTY IT | | 0 | 1 | INDEX | 0.05
SENSEX | BSE_INDEX | 40000101 | BSE | SENSEX | | 0 | 1 | INDEX | 0.05
BSEFOCUSEDIT | BSE_INDEX | 40000129 | BSE | BSE Focused IT | | 0 | 1 | INDEX | 0.05"""
HEADER, SHARE, _, FUTURE, OPTION = CONTRACTS.split("\n")[:5]


def parse(text: str, name: str = "mine.csv") -> list[Instrument]:
    return list(IndmoneyInstruments().parse(text.encode(), name))


def one(line: str) -> Instrument:
    (found,) = parse(f"{HEADER}\n{line}")
    return found


def test_the_sample_rows_become_the_expected_table() -> None:
    table = [
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in [*parse(CONTRACTS), *parse(INDICES)]
    ]
    assert table == [tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")]


def test_blanks_around_columns_quotes_and_line_ends_do_not_matter() -> None:
    text = CONTRACTS.replace("EXCH,SEGMENT", "\ufeffEXCH , SEGMENT").replace(",NIFTY AUG FUT,", ',"NIFTY, AUG",')
    assert parse(text.replace("\n", "\r\n")) == parse(CONTRACTS)


def test_the_same_id_in_two_segments_is_two_instruments() -> None:
    rows = parse(f"{HEADER}\n{SHARE}\n{FUTURE.replace('51011', '2885')}")
    assert [(row.symbol, row.exchange, row.token) for row in rows] == [
        ("RELIANCE", "NSE", "2885"),
        ("NIFTY28AUG25FUT", "NFO", "2885"),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_the_bare_name_belongs_to_the_normal_series(order: int) -> None:
    other = SHARE.replace("2885", "9").replace(",ES,EQ,", ",ES,BL,")
    alone = SHARE.replace("2885", "3").replace(",RELIANCE,", ",ABC,").replace(",ES,EQ,", ",ES,BE,")
    bombay = SHARE.replace("NSE,E,2885", "BSE,E,500325").replace(",ES,EQ,", ",ES,A,")
    rows = parse("\n".join([HEADER, *[SHARE, other, alone, bombay][::order]]))
    assert {(row.symbol, row.exchange): row.token for row in rows} == {
        ("RELIANCE", "NSE"): "2885",
        ("RELIANCE-BL", "NSE"): "9",
        ("ABC", "NSE"): "3",
        ("RELIANCE", "BSE"): "500325",
    }


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BANK NIFTY", "BANKNIFTY"),
        ("Nifty Financial", "FINNIFTY"),
        ("nifty midcap sel", "MIDCPNIFTY"),
        ("Nifty Next 50", "NIFTYNXT50"),
        ("India VIX", "INDIAVIX"),
        ("S&P BSE SENSEX", "SENSEX"),
        ("S&P BSE BANKEX", "BANKEX"),
        ("BANKEX", "BANKEX"),
        ("S&P BSE SENSEX 50", "SENSEX50"),
        ("Nifty Pharma", "NIFTYPHARMA"),
    ],
)
def test_index_names_become_our_symbols(name: str, symbol: str) -> None:
    (found,) = parse(f"EXCH,SEGMENT,SECURITY_ID\nNSE,{name},40000002")
    assert (found.symbol, found.brsymbol) == (symbol, name)


def test_an_underlying_may_have_a_hyphen() -> None:
    found = one(FUTURE.replace("NIFTY-Aug2025-FUT,75", "BAJAJ-AUTO-Aug2025-FUT,75"))
    assert (found.symbol, found.name) == ("BAJAJ-AUTO28AUG25FUT", "BAJAJ-AUTO")


@pytest.mark.parametrize(
    "written",
    ["2025-08-28", "2025-08-28 14:30:00", "2025-08-28T14:30:00", "28-08-2025", "28-Aug-2025", "28-AUG-2025"],
)
def test_an_expiry_may_be_written_in_several_ways(written: str) -> None:
    assert one(FUTURE.replace("2025-08-28", written)).symbol == "NIFTY28AUG25FUT"
    assert one(FUTURE.replace(",FNO,", ",D,").replace("2025-08-28", written)).exchange == "NFO"


def test_tick_sizes_of_shares_in_paise_are_noticed_and_those_of_contracts_are_rupees(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = parse(f"{HEADER}\n{SHARE.replace('0.05', '5')}\n{FUTURE.replace(',0.1,', ',5,')}")
    assert [row.tick_size for row in rows] == [0.05, 5]
    assert "tick sizes of 1 shares" in caplog.text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (SHARE + ",extra", "wrong number of columns"),
        (SHARE.replace("RELIANCE,1", '"RELI,1'), "broken quotes"),
        (SHARE.replace("NSE,", "MCX,"), "exchange that is not served"),
        (SHARE.replace("2885", ""), "no security id"),
        (SHARE.replace("2885", "28a"), "no security id"),
        (SHARE.replace(",RELIANCE,", ",,"), "no symbol"),
        (SHARE.replace("EQUITY", "FUTIDX"), "instrument type that is not served"),
        (SHARE.replace(",1,Rel", ",x,Rel"), "bad lot size"),
        (SHARE.replace("0.05", "nan"), "bad tick size"),
        (FUTURE.replace("FUTIDX", "FUTCUR"), "instrument type that is not served"),
        (FUTURE.replace("NIFTY-Aug2025-FUT,75", "NIFTY,75"), "derivative without an underlying"),
        (FUTURE.replace("2025-08-28", ""), "bad expiry"),
        (FUTURE.replace("2025-08-28", "2025-13-28"), "bad expiry"),
        (FUTURE.replace("2025-08-28", "28-Foo-2025"), "bad expiry"),
        (OPTION.replace(",25000,CE,", ",,CE,"), "bad strike"),
        (OPTION.replace(",25000,CE,", ",-1,CE,"), "bad strike"),
        (OPTION.replace(",25000,CE,", ",25000,XX,"), "option that is neither call nor put"),
    ],
)
def test_a_bad_row_is_skipped_and_counted_and_costs_no_other_row(line: str, reason: str) -> None:
    subject = IndmoneyInstruments()
    found = list(subject.parse(f"{HEADER}\n{line}\n\n{SHARE}\n".encode(), "equity.csv"))
    assert [row.symbol for row in found] == ["RELIANCE"]
    assert subject.skipped == {reason: 1}


@pytest.mark.parametrize(
    "data", [b'{"status":"error","error_type":"TokenException"}', b"<html>", b"", b"a,b,c\n1,2,3", b"\xff\xfe\x00"]
)
def test_what_is_no_instrument_list_is_refused_before_the_first_row(data: bytes) -> None:
    with pytest.raises(ListFormatError, match=r"equity\.csv"):
        IndmoneyInstruments().parse(data, "equity.csv")


def test_the_three_lists_are_fetched_with_the_raw_token() -> None:
    subject = IndmoneyInstruments({"api": "http://127.0.0.1:1"})
    assert subject.needs_login
    found = subject.downloads(Credentials({"access_token": "t0k"}))
    assert [(one.url, one.filename, dict(one.headers)) for one in found] == [
        (f"http://127.0.0.1:1/market/instruments?source={name}", f"{name}.csv", {"Authorization": "t0k"})
        for name in ("equity", "fno", "index")
    ]
    with pytest.raises(ValueError, match="login"):
        subject.downloads(None)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "BSE,D,861300,FUTIDX,0,BANKEX-Sep2025-FUT,30,X,30-Sep-2025,0,,0.05,M,FUT,,BANKEX-Sep2025-FUT",
            ("BANKEX30SEP25FUT", "BFO", "30-SEP-25", 0.0, 30, "FUT"),
        ),
        (
            "NSE,FNO,99121,OPTSTK,0,BAJAJ-AUTO-Sep2025-8950-CE,75,X,2025-09-25 00:00:00,8950.00,CE,0.05,M,OP,,X",
            ("BAJAJ-AUTO25SEP258950CE", "NFO", "25-SEP-25", 8950.0, 75, "CE"),
        ),
        (
            "NSE,FNO,45200,OPTIDX,0,NIFTY-Sep2025-24950-PE,75,X,2025-09-02,24950,PE,0.05,W,OP,,X",
            ("NIFTY02SEP2524950PE", "NFO", "02-SEP-25", 24950.0, 75, "PE"),
        ),
        (
            "NSE,FNO,45201,FUTSTK,0,M&M-Sep2025-FUT,200.0,X,25-09-2025,,XX,0.05,M,FUT,,M&M-Sep2025-FUT",
            ("M&M25SEP25FUT", "NFO", "25-SEP-25", 0.0, 200, "FUT"),
        ),
    ],
)
def test_contracts_of_both_exchanges(line: str, wanted: tuple[object, ...]) -> None:
    found = one(line)
    assert (found.symbol, found.exchange, found.expiry, found.strike, found.lotsize, found.instrumenttype) == wanted
