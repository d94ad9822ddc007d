"""Zerodha's instrument list: the specification's rows, bad rows, files that are none."""

import time

import pytest

from tickmux.broker.zerodha.instruments import ZerodhaInstruments
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
SAMPLE = """\
779521,3045,SBIN,"STATE BANK OF INDIA",0,,0,0.05,1,EQ,NSE,NSE
128083204,500325,RELIANCE,"RELIANCE INDUSTRIES LTD.",0,,0,0.05,1,EQ,BSE,BSE
256265,1001,NIFTY 50,"NIFTY 50",0,,0,0,0,EQ,INDICES,NSE
265,1,SENSEX,"SENSEX",0,,0,0,0,EQ,INDICES,BSE
13568258,53001,NIFTY25AUGFUT,"NIFTY",0,2025-08-28,0,0.1,75,FUT,NFO-FUT,NFO
12202754,47667,NIFTY25AUG25000CE,"NIFTY",0,2025-08-28,25000,0.05,75,CE,NFO-OPT,NFO
290164741,1133456,SENSEX25AUG82000PE,"SENSEX",0,2025-08-26,82000,0.05,20,PE,BFO-OPT,BFO
1313795,5132,USDINR25AUGFUT,"USDINR",0,2025-08-27,0,0.0025,1,FUT,CDS-FUT,CDS
1979139,7731,EURINR25SEP102.75CE,"EURINR",0,2025-09-26,102.75,0.0025,1,CE,CDS-OPT,CDS
114573319,447552,CRUDEOIL25AUGFUT,"CRUDEOIL",0,2025-08-19,0,1,1,FUT,MCX-FUT,MCX"""
EXPECTED = """\
SBIN | NSE | 779521 | NSE | SBIN | | 0 | 1 | EQ | 0.05
RELIANCE | BSE | 128083204 | BSE | RELIANCE | | 0 | 1 | EQ | 0.05
NIFTY | NSE_INDEX | 256265 | NSE | NIFTY 50 | | 0 | 0 | INDEX | 0
SENSEX | BSE_INDEX | 265 | BSE | SENSEX | | 0 | 0 | INDEX | 0
NIFTY28AUG25FUT | NFO | 13568258 | NFO | NIFTY25AUGFUT | 28-AUG-25 | 0 | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 12202754 | NFO | NIFTY25AUG25000CE | 28-AUG-25 | 25000 | 75 | CE | 0.05
SENSEX26AUG2582000PE | BFO | 290164741 | BFO | SENSEX25AUG82000PE | 26-AUG-25 | 82000 | 20 | PE | 0.05
USDINR27AUG25FUT | CDS | 1313795 | CDS | USDINR25AUGFUT | 27-AUG-25 | 0 | 1 | FUT | 0.0025
EURINR26SEP25102.75CE | CDS | 1979139 | CDS | EURINR25SEP102.75CE | 26-SEP-25 | 102.75 | 1 | CE | 0.0025
CRUDEOIL19AUG25FUT | MCX | 114573319 | MCX | CRUDEOIL25AUGFUT | 19-AUG-25 | 0 | 1 | FUT | 1"""


def parse(rows: str) -> list[Instrument]:
    return list(ZerodhaInstruments().parse(f"{HEADER}\n{rows}\n".encode(), "instruments.csv"))


def one(row: str) -> Instrument:
    (found,) = parse(row)
    return found


def test_the_sample_rows_become_the_expected_table() -> None:
    table = [
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in parse(SAMPLE)
    ]
    assert table == [tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")]


@pytest.mark.parametrize(
    ("name", "exchange", "symbol", "ours"),
    [
        ("NIFTY BANK", "NSE", "BANKNIFTY", "NSE_INDEX"),
        ("NIFTY FIN SERVICE", "NSE", "FINNIFTY", "NSE_INDEX"),
        ("NIFTY MID SELECT", "NSE", "MIDCPNIFTY", "NSE_INDEX"),
        ("NIFTY NEXT 50", "NSE", "NIFTYNXT50", "NSE_INDEX"),
        ("INDIA VIX", "NSE", "INDIAVIX", "NSE_INDEX"),
        ("NIFTY MIDCAP 100", "NSE", "NIFTYMIDCAP100", "NSE_INDEX"),
        ("HANGSENG BEES NAV", "NSE", "HANGSENGBEESNAV", "NSE_INDEX"),
        ("NIFTY GS 11 15YR", "NSE", "NIFTYGS1115YR", "NSE_INDEX"),
        ("GIFT NIFTY", "NSEIX", "GIFTNIFTY", "GLOBAL_INDEX"),
        ("GIFT NIFTY", "GLOBAL", "GIFTNIFTY", "GLOBAL_INDEX"),
        ("MCXBULLDEX", "MCX", "MCXBULLDEX", "MCX_INDEX"),
        ("SNSX50", "BSE", "SENSEX50", "BSE_INDEX"),
        ("AUTO", "BSE", "BSEAUTO", "BSE_INDEX"),
        ("BSE CG", "BSE", "BSECAPITALGOODS", "BSE_INDEX"),
        ("DOL200", "BSE", "BSEDOLLEX200", "BSE_INDEX"),
        ("OILGAS", "BSE", "BSEOIL&GAS", "BSE_INDEX"),
        ("BSE500", "BSE", "BSE500", "BSE_INDEX"),
        ("AUTO", "NSE", "AUTO", "NSE_INDEX"),
    ],
)
def test_index_names_become_our_symbols(name: str, exchange: str, symbol: str, ours: str) -> None:
    found = one(f"265,1,{name},{name},0,,0,0,0,EQ,INDICES,{exchange}")
    assert (found.symbol, found.exchange, found.instrumenttype) == (symbol, ours, "INDEX")
    assert (found.brsymbol, found.brexchange) == (name, exchange)


def test_a_share_has_its_bare_name_and_a_weekly_option_its_real_date() -> None:
    assert one("5,1,ABC-BE,ABC,0,,0,0.05,1,EQ,NSE,NSE").symbol == "ABC"
    weekly = one("12202754,47667,NIFTY2581425000CE,NIFTY,0,2025-08-14,25000.0,0.05,75,CE,NFO-OPT,NFO")
    assert weekly.symbol == "NIFTY14AUG2525000CE"


@pytest.mark.parametrize(
    ("row", "symbol", "exchange", "tick_size"),
    [
        ("256006,1000,USDINR25829FUT,USDINR,0,2025-08-29,0,0.0025,1,FUT,BCD-FUT,BCD",
         "USDINR29AUG25FUT", "BCD", 0.0025),
        ("512012,2000,SILVER25SEPFUT,SILVER,0,2025-09-05,0,1,30,FUT,NCO-FUT,NCO", "SILVER05SEP25FUT", "NCO", 1),
        ('512268,2001,GOLD25SEP100000PE,"GOLD",0,2025-09-26,100000,0.5,1,PE,NCO-OPT,NCO',
         "GOLD26SEP25100000PE", "NCO", 0.5),
        ("14337026,56004,SAIL25AUG122.5PE,SAIL,0,2025-08-28,122.5,0.05,4700,PE,NFO-OPT,NFO",
         "SAIL28AUG25122.5PE", "NFO", 0.05),
        ("14337282,56005,M&M25AUGFUT,M&M,0,2025-08-28,0.0,0.1,200,FUT,NFO-FUT,NFO", "M&M28AUG25FUT", "NFO", 0.1),
        ("114573575,447553,NATURALGAS25AUG262.5CE,NATURALGAS,0,2025-08-25,262.5,0.05,1,CE,MCX-OPT,MCX",
         "NATURALGAS25AUG25262.5CE", "MCX", 0.05),
    ],
)  # fmt: skip
def test_derivatives_of_every_exchange(row: str, symbol: str, exchange: str, tick_size: float) -> None:
    found = one(row)
    assert (found.symbol, found.exchange, found.brexchange, found.tick_size) == (
        symbol,
        exchange,
        exchange,
        tick_size,
    )


def test_columns_may_be_reordered_and_lines_end_in_crlf() -> None:
    header = "exchange,segment,instrument_type,lot_size,tick_size,strike,expiry,name,tradingsymbol,instrument_token"
    data = f"\ufeff{header}\r\nNSE,NSE,EQ,1,0.05,0,,STATE BANK,SBIN,779521\r\n".encode()
    (found,) = ZerodhaInstruments().parse(data, "mine.csv")
    assert (found.symbol, found.token, found.name) == ("SBIN", "779521", "STATE BANK")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("779521,3045,SBIN", "wrong number of columns"),
        ("x,3045,SBIN,SBI,0,,0,0.05,1,EQ,NSE,NSE", "no instrument token"),
        ("1,1,,SBI,0,,0,0.05,1,EQ,NSE,NSE", "no trading symbol"),
        ("1,1,SBIN,SBI,0,,0,0.05,1,EQ,XYZ,XYZ", "unknown exchange"),
        ("1,1,SBIN,SBI,0,,0,0.05,1,XX,NSE,NSE", "unknown instrument type"),
        ("1,1,XFUT,,0,2025-08-28,0,0.05,1,FUT,NFO-FUT,NFO", "derivative without an underlying"),
        ("1,1,XFUT,X,0,28/08/2025,0,0.05,1,FUT,NFO-FUT,NFO", "bad expiry"),
        ("1,1,XFUT,X,0,2025-W35-4,0,0.05,1,FUT,NFO-FUT,NFO", "bad expiry"),
        ("1,1,XFUT,X,0,,0,0.05,1,FUT,NFO-FUT,NFO", "bad expiry"),
        ("1,1,XCE,X,0,2025-08-28,0,0.05,1,CE,NFO-OPT,NFO", "bad strike"),
        ("1,1,XCE,X,0,2025-08-28,nan,0.05,1,CE,NFO-OPT,NFO", "bad strike"),
        ("1,1,SBIN,SBI,0,,0,cheap,1,EQ,NSE,NSE", "bad tick size"),
        ("1,1,SBIN,SBI,0,,0,0.05,-1,EQ,NSE,NSE", "bad lot size"),
        ('1,1,SBIN,"SBI,0,,0,0.05,1,EQ,NSE,NSE', "broken quotes"),
    ],
)
def test_a_bad_row_is_skipped_and_counted_and_costs_no_other_row(row: str, reason: str) -> None:
    subject = ZerodhaInstruments()
    rows = list(subject.parse(f"{HEADER}\n{row}\n{SAMPLE}".encode(), "instruments.csv"))
    assert len(rows) == 10
    assert subject.skipped == {reason: 1}


@pytest.mark.parametrize(
    "data",
    [
        b'{"status":"error","error_type":"TokenException","message":"Incorrect api_key or access_token."}',
        b"<html>Bad gateway</html>",
        b"",
        b"\xff\xfe\x00",
        b"symbol,token\nSBIN,3045\n",
    ],
)
def test_what_is_no_instrument_list_is_refused_before_the_first_row(data: bytes) -> None:
    with pytest.raises(ListFormatError, match=r"instruments\.csv"):
        ZerodhaInstruments().parse(data, "instruments.csv")


def test_the_download_is_authorized_and_needs_a_login() -> None:
    subject = ZerodhaInstruments({"api": "http://127.0.0.1:1"})
    (download,) = subject.downloads(Credentials({"api_key": "key", "access_token": "secret"}))
    assert download.url == "http://127.0.0.1:1/instruments"
    assert download.headers == {"X-Kite-Version": "3", "Authorization": "token key:secret"}
    with pytest.raises(ValueError, match="login"):
        subject.downloads(None)


def test_200_000_rows_are_read_in_seconds() -> None:
    data = f"{HEADER}\n{(SAMPLE + chr(10)) * 20_000}".encode()
    started = time.process_time()
    assert sum(1 for _ in ZerodhaInstruments().parse(data, "instruments.csv")) == 200_000
    assert time.process_time() - started < 4.0  # about 1 s on an idle machine
