"""Paytm Money's security master: the specification's rows, index names, bad rows, files that are none."""

import time

import pytest

from tickmux.broker.paytm.instruments import PaytmInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

HEADER = (
    "security_id,symbol,name,series,tick_size,lot_size,instrument_type,segment,exchange,upper_limit,lower_limit,"
    "expiry_date,strike_price,freeze_quantity"
)
ROWS = """\
2885,RELIANCE,RELIANCE INDUSTRIES LTD,EQ,0.1,1,ES,E,NSE,1701.0,1391.7,,0,100000
500325,RELIANCE,RELIANCE INDUSTRIES LTD,A,0.1,1,ES,E,BSE,1701.0,1391.7,,0,100000
10576,NIFTYBEES,NIPPON INDIA ETF NIFTY BEES,EQ,0.01,1,ETF,E,NSE,352.1,234.8,,0,100000
13,NIFTY,Nifty,,0.05,1,I,I,NSE,0,0,,0,0
51,SENSEX,Sensex,,0.01,1,I,I,BSE,0,0,,0,0
44498,NIFTY-Dec2026-FUT,NIFTY 29 DEC FUT,,0.05,75,FUTIDX,D,NSE,28893.45,23640.1,2026-12-29,0,1800
44501,NIFTY-Dec2026-26000-CE,NIFTY 29 DEC 26000 CALL,,0.05,75,OPTIDX,D,NSE,1204.5,0.05,2026-12-29,26000,1800
71844,SBIN-Dec2026-817.5-PE,SBIN 29 DEC 817.5 PUT,,0.05,750,OPTSTK,D,NSE,61.25,0.05,2026-12-29,817.5,37500
861200,SENSEX-Nov2026-FUT,SENSEX 26 NOV FUT,,0.05,20,FUTIDX,D,BSE,94230.4,77133.9,2026-11-26,0,1000"""
EXPECTED = """\
RELIANCE | NSE | 2885 | NSE | RELIANCE | | 0 | 1 | EQ | 0.1
RELIANCE | BSE | 500325 | BSE | RELIANCE | | 0 | 1 | EQ | 0.1
NIFTYBEES | NSE | 10576 | NSE | NIFTYBEES | | 0 | 1 | ETF | 0.01
NIFTY | NSE_INDEX | 13 | NSE | NIFTY | | 0 | 1 | INDEX | 0.05
SENSEX | BSE_INDEX | 51 | BSE | SENSEX | | 0 | 1 | INDEX | 0.01
NIFTY29DEC26FUT | NFO | 44498 | NSE | NIFTY-Dec2026-FUT | 29-DEC-26 | 0 | 75 | FUT | 0.05
NIFTY29DEC2626000CE | NFO | 44501 | NSE | NIFTY-Dec2026-26000-CE | 29-DEC-26 | 26000 | 75 | CE | 0.05
SBIN29DEC26817.5PE | NFO | 71844 | NSE | SBIN-Dec2026-817.5-PE | 29-DEC-26 | 817.5 | 750 | PE | 0.05
SENSEX26NOV26FUT | BFO | 861200 | BSE | SENSEX-Nov2026-FUT | 26-NOV-26 | 0 | 20 | FUT | 0.05"""
SHARE, INDEX, FUTURE, OPTION = (ROWS.split("\n")[number] for number in (0, 3, 5, 6))


def parse(*rows: str, header: str = HEADER) -> list[Instrument]:
    return list(PaytmInstruments().parse("\n".join((header, *rows)).encode(), "security_master.csv"))


def one(row: str) -> Instrument:
    (found,) = parse(row)
    return found


def test_the_sample_rows_become_the_expected_table() -> None:
    table = [
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in parse(*ROWS.split("\n"))
    ]
    assert table == [tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")]


def test_spaces_quotes_and_line_ends_of_the_file_do_not_matter() -> None:
    header = HEADER.replace(",", " , ").replace("symbol", '"symbol"')
    rows = [row.replace("RELIANCE INDUSTRIES LTD", '" RELIANCE, ""R"" LTD "') + "\r" for row in ROWS.split("\n")]
    found = parse(*rows, "", header="\ufeff" + header + "\r")
    assert len(found) == 9
    assert found[0].name == 'RELIANCE, "R" LTD'


def test_columns_are_found_by_name() -> None:
    columns = HEADER.split(",")
    turned = [",".join(reversed(row.split(","))) for row in ROWS.split("\n")]
    assert parse(*turned, header=",".join(reversed(columns))) == parse(*ROWS.split("\n"))


def test_ids_that_repeat_between_kinds_lose_no_instrument() -> None:
    found = parse(INDEX, SHARE.replace("2885,", "13,"))
    assert {(row.symbol, row.exchange, row.token) for row in found} == {
        ("NIFTY", "NSE_INDEX", "13"),
        ("RELIANCE", "NSE", "13"),
    }


@pytest.mark.parametrize(
    ("name", "exchange", "symbol", "brsymbol"),
    [
        ("Nifty", "NSE", "NIFTY", "NIFTY"),
        ("Nifty 50", "NSE", "NIFTY", "NIFTY50"),
        ("Nifty Bank", "NSE", "BANKNIFTY", "NIFTYBANK"),
        ("BankNifty", "NSE", "BANKNIFTY", "BANKNIFTY"),
        ("Nifty Next 50", "NSE", "NIFTYNXT50", "NIFTYNEXT50"),
        ("Nifty Mid Select", "NSE", "MIDCPNIFTY", "NIFTYMIDSELECT"),
        ("Nifty MCap50", "NSE", "NIFTYMIDCAP50", "NIFTYMCAP50"),
        ("Nifty Smallcap 250", "NSE", "NIFTYSMLCAP250", "NIFTYSMALLCAP250"),
        ("India VIX", "NSE", "INDIAVIX", "INDIAVIX"),
        ("Bankex", "BSE", "BANKEX", "BANKEX"),
        ("SNSX50", "BSE", "SENSEX50", "SNSX50"),
        ("OilGas", "BSE", "BSEOIL&GAS", "OILGAS"),
        ("BSE FMC", "BSE", "BSEFASTMOVINGCONSUMERGOODS", "BSEFMC"),
        ("Power", "BSE", "BSEPOWER", "POWER"),
        ("Power", "NSE", "POWER", "POWER"),
        ("Auto", "NSE", "AUTO", "AUTO"),
    ],
)
def test_index_names_become_our_symbols(name: str, exchange: str, symbol: str, brsymbol: str) -> None:
    found = one(f"7,X,{name},,0.05,1,I,I,{exchange},0,0,,0,0")
    assert (found.symbol, found.exchange, found.brsymbol) == (symbol, f"{exchange}_INDEX", brsymbol)


@pytest.mark.parametrize("text", ["2026-12-29", "29-12-2026", "29-Dec-2026", "29-DEC-2026"])
def test_an_expiry_may_be_written_in_three_ways(text: str) -> None:
    assert one(FUTURE.replace("2026-12-29", text)).symbol == "NIFTY29DEC26FUT"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NIFTY 29 DEC 26000 CALL", "CE"),
        ("NIFTY 29 DEC 26000 PUT", "PE"),
        ("NIFTY 29 Dec 26000 Put", "PE"),
        ("NIFTY 29 DEC 26000 CE", "CE"),
        ("NIFTY 29 DEC 26000 PE", "PE"),
        ("COMPUTER 29 DEC 26000 CALL", "CE"),
        ("RECALL 29 DEC 26000 PUT", "PE"),
    ],
)
def test_call_or_put_is_said_after_the_underlying(name: str, kind: str) -> None:
    found = one(OPTION.replace("NIFTY 29 DEC 26000 CALL", name))
    assert (found.instrumenttype, found.symbol) == (kind, f"{name.split()[0]}29DEC2626000{kind}")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,2,3", "wrong number of columns"),
        (SHARE + ",x", "wrong number of columns"),
        (SHARE.replace("RELIANCE,", '"RELIANCE,', 1), "broken quotes"),
        (SHARE.replace(",NSE,", ",MCX,"), "exchange that is not served"),
        (SHARE.replace("2885", ""), "no security id"),
        (SHARE.replace("2885", "A1"), "no security id"),
        (SHARE.replace("2885", "4294967296"), "no security id"),
        (SHARE.replace(",ES,", ",GS,"), "instrument type that is not served"),
        (SHARE.replace(",RELIANCE,", ",,"), "no symbol"),
        (SHARE.replace(",1,ES", ",many,ES"), "bad lot size"),
        (SHARE.replace(",0.1,", ",nan,"), "bad tick size"),
        (INDEX.replace("Nifty", " "), "no symbol"),
        (FUTURE.replace("2026-12-29", ""), "bad expiry"),
        (FUTURE.replace("2026-12-29", "2026-02-30"), "bad expiry"),
        (FUTURE.replace("2026-12-29", "2026-W01-1"), "bad expiry"),
        (FUTURE.replace("2026-12-29", "29-DEZ-2026"), "bad expiry"),
        (FUTURE.replace("NIFTY 29 DEC FUT", " "), "derivative without an underlying"),
        (OPTION.replace(",26000,", ",0,"), "bad strike"),
        (OPTION.replace(",26000,", ",-5,"), "bad strike"),
        (OPTION.replace(",26000,", ",inf,"), "bad strike"),
        (OPTION.replace("CALL", "XX"), "option that is neither call nor put"),
    ],
)
def test_a_bad_row_is_skipped_and_counted_and_costs_no_other_row(row: str, reason: str) -> None:
    subject = PaytmInstruments()
    data = "\n".join((HEADER, row, ROWS)).encode()
    assert len(list(subject.parse(data, "mine.csv"))) == 9
    assert subject.skipped == {reason: 1}


@pytest.mark.parametrize(
    "data",
    [
        b'{"message":"Token invalid","code":401}',
        b"<html>Bad gateway</html>",
        b"",
        b"\xff\xfe\x00",
        b"instrument_token,tradingsymbol\n1,SBIN",
        ROWS.encode(),
        HEADER.replace("strike_price", "strike").encode(),
    ],
)
def test_what_is_no_security_master_is_refused_before_the_first_row(data: bytes) -> None:
    with pytest.raises(ListFormatError, match=r"master\.csv"):
        PaytmInstruments().parse(data, "master.csv")


def test_the_list_needs_no_login() -> None:
    subject = PaytmInstruments({"instruments": "http://127.0.0.1:1/list"})
    assert not subject.needs_login
    (download,) = subject.downloads(None)
    assert (download.url, download.method, dict(download.headers)) == ("http://127.0.0.1:1/list", "GET", {})


def test_200_000_rows_are_read_in_seconds() -> None:
    data = "\n".join((HEADER, *[ROWS] * 22_223)).encode()
    started = time.process_time()
    assert sum(1 for _ in PaytmInstruments().parse(data, "master.csv")) == 200_007
    assert time.process_time() - started < 5.0  # about 1 s on an idle machine


def test_a_list_without_the_column_of_series_is_read_all_the_same() -> None:
    header = "security_id,symbol,name,tick_size,lot_size,instrument_type,exchange,expiry_date,strike_price"
    row = "2885,RELIANCE,RELIANCE INDUSTRIES LTD,0.1,1,ES,NSE,,0"
    (found,) = PaytmInstruments().parse(f"{header}\n{row}".encode(), "security_master.csv")
    assert (found.symbol, found.series) == ("RELIANCE", "")
