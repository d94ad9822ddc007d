# ruff: noqa: E501 - rows are as long as the broker writes them
"""Dhan's instrument list: the specification's rows, bad rows, files that are none."""

import time

import pytest

from tickmux.broker.dhan.instruments import DhanInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

HEADER = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
    "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,"
    "SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
)
SAMPLE = """\
NSE,E,3045,EQUITY,0,SBIN,1.0,State Bank of India,,,,5.0000,NA,ES,EQ,STATE BANK OF INDIA
BSE,E,500325,EQUITY,0,RELIANCE,1.0,Reliance Industries,,,,5.0000,NA,ES,A,RELIANCE INDUSTRIES LTD.
NSE,I,13,INDEX,0,NIFTY,1.0,Nifty 50,0001-01-01,,XX,0.0500,,INDEX,X,NIFTY
BSE,I,51,INDEX,0,SENSEX,1.0,Sensex,0001-01-01,,XX,0.0500,,INDEX,X,SENSEX
NSE,D,53001,FUTIDX,0,NIFTY-Aug2025-FUT,75.0,NIFTY AUG FUT,2025-08-28 14:30:00,-0.01000,XX,10.0000,M,FUT,,
NSE,D,47667,OPTIDX,0,NIFTY-Aug2025-25000-CE,75.0,NIFTY 28 AUG 25000 CALL,2025-08-28 14:30:00,25000.00000,CE,5.0000,M,OP,,
BSE,D,1133456,OPTIDX,0,SENSEX-Aug2025-82000-PE,20.0,SENSEX 26 AUG 82000 PUT,2025-08-26 14:30:00,82000.00000,PE,5.0000,W,IO,,BSXOPT
NSE,D,53377,FUTSTK,0,BAJAJ-AUTO-Aug2025-FUT,75.0,BAJAJ-AUTO AUG FUT,2025-08-28 14:30:00,-0.01000,XX,100.0000,M,FUT,,
NSE,C,2885,OPTCUR,0,EURINR-Aug2025-102.75-CE,1.0,EURINR 29 AUG 102.75 CALL,2025-08-29 12:30:00,102.75000,CE,0.2500,M,OP,,
MCX,M,447552,FUTCOM,0,CRUDEOIL-19Aug2025-FUT,100.0,CRUDEOIL AUG FUT,2025-08-19 23:30:00,-0.01000,XX,100.0000,M,FUTCOM,,CRUDEOIL"""
EXPECTED = """\
SBIN | NSE | 3045 | NSE_EQ | SBIN | | 0 | 1 | EQ | 0.05
RELIANCE | BSE | 500325 | BSE_EQ | RELIANCE | | 0 | 1 | EQ | 0.05
NIFTY | NSE_INDEX | 13 | IDX_I | NIFTY | | 0 | 1 | INDEX | 0
SENSEX | BSE_INDEX | 51 | IDX_I | SENSEX | | 0 | 1 | INDEX | 0
NIFTY28AUG25FUT | NFO | 53001 | NSE_FNO | NIFTY-Aug2025-FUT | 28-AUG-25 | 0 | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 47667 | NSE_FNO | NIFTY-Aug2025-25000-CE | 28-AUG-25 | 25000 | 75 | CE | 0.05
SENSEX26AUG2582000PE | BFO | 1133456 | BSE_FNO | SENSEX-Aug2025-82000-PE | 26-AUG-25 | 82000 | 20 | PE | 0.05
BAJAJ-AUTO28AUG25FUT | NFO | 53377 | NSE_FNO | BAJAJ-AUTO-Aug2025-FUT | 28-AUG-25 | 0 | 75 | FUT | 1
EURINR29AUG25102.75CE | CDS | 2885 | NSE_CURRENCY | EURINR-Aug2025-102.75-CE | 29-AUG-25 | 102.75 | 1 | CE | 0.0025
CRUDEOIL19AUG25FUT | MCX | 447552 | MCX_COMM | CRUDEOIL-19Aug2025-FUT | 19-AUG-25 | 0 | 100 | FUT | 1"""


def parse(rows: str, header: str = HEADER) -> list[Instrument]:
    return list(DhanInstruments().parse(f"{header}\n{rows}\n".encode(), "api-scrip-master.csv"))


def one(row: str) -> Instrument:
    (found,) = parse(row)
    return found


def test_the_sample_rows_become_the_expected_table() -> None:
    table = {
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in parse(SAMPLE)
    }
    assert table == {tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")}


def test_header_names_may_have_spaces_and_columns_another_order() -> None:
    header = " , ".join(reversed(HEADER.split(",")))
    row = ",".join(reversed(SAMPLE.split("\n")[0].split(",")))
    (found,) = parse(row, header)
    assert (found.symbol, found.token, found.name) == ("SBIN", "3045", "STATE BANK OF INDIA")


def index(name: str, exchange: str = "NSE", number: int = 38) -> str:
    return f"{exchange},I,{number},INDEX,0,{name},1.0,{name},0001-01-01,,XX,0.0500,,INDEX,X,{name}"


@pytest.mark.parametrize(
    ("exchange", "name", "symbol"),
    [
        ("NSE", "NIFTY NEXT 50", "NIFTYNXT50"),
        ("NSE", "Nifty Mcap50", "NIFTYMIDCAP50"),
        ("NSE", "NIFTY MID100 FREE", "NIFTYMIDCAP100"),
        ("NSE", "NIFTY MIDSMALLCAP 400", "NIFTYMIDSML400"),
        ("NSE", "NIFTY SMALLCAP 250", "NIFTYSMLCAP250"),
        ("NSE", "NIFTY100 EQUAL WEIGHT", "NIFTY100EQLWGT"),
        ("NSE", "NIFTY100 LOW-VOLATILITY 30", "NIFTY100LOWVOL30"),
        ("NSE", "INDIA VIX", "INDIAVIX"),
        ("NSE", "BANKNIFTY", "BANKNIFTY"),
        ("NSE", "NIFTY IT", "NIFTYIT"),
        ("BSE", "BSE CG", "BSECAPITALGOODS"),
        ("BSE", "SNSX50", "SENSEX50"),
        ("BSE", "OILGAS", "BSEOIL&GAS"),
        ("BSE", "DOL30", "BSEDOLLEX30"),
        ("BSE", "BANKEX", "BANKEX"),
    ],
)
def test_indices_get_our_names(exchange: str, name: str, symbol: str) -> None:
    found = one(index(name, exchange))
    assert (found.symbol, found.exchange, found.brexchange) == (symbol, f"{exchange}_INDEX", "IDX_I")
    assert found.tick_size == 0


def test_of_two_bse_indices_of_one_name_the_lower_id_is_kept() -> None:
    assert [row.token for row in parse("\n".join(index("METAL", "BSE", number) for number in (90, 61, 75)))] == ["61"]


def equity(number: int, series: str, exchange: str = "NSE", symbol: str = "ABC") -> str:
    return f"{exchange},E,{number},EQUITY,0,{symbol},1.0,Abc,,,,5.0000,NA,ES,{series},ABC LTD"


@pytest.mark.parametrize(
    ("series", "token"),
    [("SM,EQ,BE", "2"), ("SM,BE,GS", "2"), ("SM,N1,GS", "1"), ("BE,SM,EQ", "3"), ("EQ,EQ,EQ", "1")],
)
def test_of_several_series_the_best_bears_the_name_and_of_one_series_the_first(series: str, token: str) -> None:
    rows = "\n".join(equity(number, one_, "NSE") for number, one_ in enumerate(series.split(","), 1))
    assert [row.token for row in parse(rows) if row.symbol == "ABC"] == [token]


def test_a_share_on_two_exchanges_and_an_index_of_its_name_are_three_instruments() -> None:
    rows = [equity(1, "EQ"), equity(2, "A", "BSE"), index("ABC")]
    assert {(row.exchange, row.token) for row in parse("\n".join(rows))} == {
        ("NSE", "1"),
        ("BSE", "2"),
        ("NSE_INDEX", "38"),
    }


def test_the_same_id_in_two_segments_is_two_instruments_and_twice_in_one_segment_is_one() -> None:
    parser = DhanInstruments()
    rows = [equity(13, "EQ", symbol="ABB"), index("NIFTY", number=13), equity(13, "EQ", symbol="OTHER")]
    found = list(parser.parse("\n".join((HEADER, *rows)).encode(), "x.csv"))
    assert {(row.symbol, row.brexchange) for row in found} == {("ABB", "NSE_EQ"), ("NIFTY", "IDX_I")}
    assert parser.skipped == {"security id twice in a segment": 1}


FUTURE = "NSE,D,53001,FUTIDX,0,{symbol},75.0,{custom},{expiry},-0.01000,XX,10.0000,M,FUT,,"


@pytest.mark.parametrize(
    ("symbol", "custom", "expected"),
    [
        ("NIFTY-Aug2025-FUT", "OTHER AUG FUT", "NIFTY28AUG25FUT"),
        ("A-B-C-28Aug2025-FUT", "", "A-B-C28AUG25FUT"),
        ("M&M-Aug2025-FUT", "", "M&M28AUG25FUT"),
        ("NIFTY25AUGFUT", "NIFTY AUG FUT", "NIFTY28AUG25FUT"),
    ],
)
def test_the_root_is_the_trading_symbol_up_to_its_date(symbol: str, custom: str, expected: str) -> None:
    assert one(FUTURE.format(symbol=symbol, custom=custom, expiry="2025-08-28 14:30:00")).symbol == expected


BAD_ROWS = [
    ("NSE,E,x,EQUITY,0,ABC,1.0,Abc,,,,5.0000,NA,ES,EQ,ABC", "no security id"),
    ("NSE,E,12345678901,EQUITY,0,ABC,1.0,Abc,,,,5.0000,NA,ES,EQ,ABC", "no security id"),
    ("NSE,E,5,EQUITY,0,,1.0,Abc,,,,5.0000,NA,ES,EQ,ABC", "no trading symbol"),
    ("NSE,E,5,EQUITY,0,011NSETEST,1.0,Abc,,,,5.0000,NA,ES,EQ,ABC", "test instrument"),
    ("NSE,E,5,EQUITY,0,ABC,1.0,Abc,,,,abc,NA,ES,EQ,ABC", "bad tick size"),
    ("NSE,E,5,EQUITY,0,ABC,-1,Abc,,,,5.0000,NA,ES,EQ,ABC", "bad lot size"),
    ("NSE,E,5,EQUITY,0,ABC,nan,Abc,,,,5.0000,NA,ES,EQ,ABC", "bad lot size"),
    ("NSE,E,5,EQUITY,0,ABC,1e300,Abc,,,,5.0000,NA,ES,EQ,ABC", "bad lot size"),
    ("NSE,M,5,FUTCOM,0,GOLD-Aug2025-FUT,1.0,GOLD,2025-08-28,-0.01,XX,5.0,M,FUT,,", "not served"),
    ("NSE,E,5,BOND,0,ABC,1.0,Abc,,,,5.0000,NA,ES,EQ,ABC", "not served"),
    ("NSE,E,5,EQUITY,0,ABC,1.0", "wrong number of columns"),
    ('NSE,E,5,EQUITY,0,"ABC,1.0,Abc,,,,5.0000,NA,ES,EQ,ABC', "broken quotes"),
    (
        FUTURE.format(symbol="NIFTY25AUGFUT", custom="", expiry="2025-08-28 14:30:00"),
        "derivative without an underlying",
    ),
    (FUTURE.format(symbol="NIFTY-Aug2025-FUT", custom="", expiry=""), "bad expiry"),
    (FUTURE.format(symbol="NIFTY-Aug2025-FUT", custom="", expiry="0001-01-01"), "bad expiry"),
    (FUTURE.format(symbol="NIFTY-Aug2025-FUT", custom="", expiry="2025-W35-4"), "bad expiry"),
    ("NSE,D,5,OPTIDX,0,N-Aug2025-5-CE,75.0,N,2025-08-28 14:30:00,5.0,XX,5.0,M,OP,,", "bad option type"),
    ("NSE,D,5,OPTIDX,0,N-Aug2025-5-CE,75.0,N,2025-08-28 14:30:00,-0.01,CE,5.0,M,OP,,", "bad strike"),
    ("NSE,D,5,OPTIDX,0,N-Aug2025-5-CE,75.0,N,2025-08-28 14:30:00,,CE,5.0,M,OP,,", "bad strike"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_skipped_counted_and_spoils_no_other(row: str, reason: str) -> None:
    parser = DhanInstruments()
    good = SAMPLE.split("\n")[0]
    found = list(parser.parse(f"{HEADER}\r\n{row}\r\n{good}\r\n".encode(), "x.csv"))
    assert [one_.symbol for one_ in found] == ["SBIN"]
    assert parser.skipped == {reason: 1}


def test_two_contracts_of_one_symbol_are_one() -> None:
    parser = DhanInstruments()
    row = FUTURE.format(symbol="NIFTY-Aug2025-FUT", custom="", expiry="2025-08-28 14:30:00")
    rows = f"{HEADER}\n{row}\n{row.replace('53001', '53002')}"
    assert [one_.token for one_ in parser.parse(rows.encode(), "x.csv")] == ["53001"]
    assert parser.skipped == {"another row has the same symbol": 1}


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>503</html>", b'{"errorCode":"DH-904"}', b"\xff\xfe\x00", b"instrument_token,exchange\n1,NSE"],
)
def test_what_is_no_list_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ListFormatError):
        DhanInstruments().parse(data, "api-scrip-master.csv")


def test_the_list_is_public() -> None:
    (download,) = DhanInstruments({"instruments": "http://127.0.0.1/list.csv"}).downloads(None)
    assert download.url == "http://127.0.0.1/list.csv"
    assert not DhanInstruments.needs_login


def test_200_000_rows_are_parsed_in_seconds() -> None:
    option = "NSE,D,{n},OPTSTK,0,ABC-Aug2025-{n}-CE,75.0,ABC 28 AUG {n} CALL,2025-08-28 14:30:00,{n}.00000,CE,5.0000,M,OP,,"
    data = "\n".join([HEADER, *(option.format(n=n) for n in range(1, 200_001))]).encode()
    began = time.process_time()
    assert sum(1 for _ in DhanInstruments().parse(data, "x.csv")) == 200_000
    assert time.process_time() - began < 8
