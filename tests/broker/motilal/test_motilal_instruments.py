"""Motilal Oswal's lists: the specification's rows, series, bad rows, files that are none."""

import time

import pytest

from tickmux.broker.motilal import BROKER
from tickmux.broker.motilal.instruments import MotilalInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

HEADER = (
    "exchange,exchangename,scripcode,scripname,marketlot,scripshortname,issuspended,instrumentname,expirydate,"
    "strikeprice,optiontype,ticksize"
)
SAMPLE = """\
1,NSE,11536,TCS EQ,1,TCS,N,EQUITY,0,0,EQ,0.1
3,BSE,532540,TCS,1,TCS,N,EQUITY,0,0,A,0.1
2,NSEFO,55917,NIFTY 29-DEC-2026,75,NIFTY,N,FUTIDX,1483021800,0,XX,0.05
2,NSEFO,44501,NIFTY 29-DEC-2026 CE 26000,75,NIFTY,N,OPTIDX,1483021800,26000,CE,0.05
2,NSEFO,71844,SBIN 29-DEC-2026 PE 817.5,750,SBIN,N,OPTSTK,1483021800,817.5,PE,0.05
6,NSECD,1482,USDINR 29-DEC-2026,1000,USDINR,N,FUTCUR,1483021800,0,XX,0.0025
5,MCX,499095,CRUDEOIL 18-DEC-2026,100,CRUDEOIL,N,FUTCOM,1482103800,0,XX,1
8,BSEFO,861203,SENSEX 26-NOV-2026 CE 85000,20,SENSEX,N,OPTIDX,1480174200,85000,CE,0.05
"""
INDEX_HEADER = "indexcode,indexname,exchangename"
INDICES = "26000,Nifty 50,NSE\n26009,Nifty Bank,NSE\n999901,BSE SENSEX,BSE\n"
EXPECTED = """\
BANKNIFTY | NSE_INDEX | 26009 | NSE | Nifty Bank |  | 0 | 1 | INDEX | 0.05
CRUDEOIL18DEC26FUT | MCX | 499095 | MCX | CRUDEOIL 18-DEC-2026 | 18-DEC-26 | 0 | 100 | FUT | 1
NIFTY | NSE_INDEX | 26000 | NSE | Nifty 50 |  | 0 | 1 | INDEX | 0.05
NIFTY29DEC2626000CE | NFO | 44501 | NSEFO | NIFTY 29-DEC-2026 CE 26000 | 29-DEC-26 | 26000 | 75 | CE | 0.05
NIFTY29DEC26FUT | NFO | 55917 | NSEFO | NIFTY 29-DEC-2026 | 29-DEC-26 | 0 | 75 | FUT | 0.05
SBIN29DEC26817.5PE | NFO | 71844 | NSEFO | SBIN 29-DEC-2026 PE 817.5 | 29-DEC-26 | 817.5 | 750 | PE | 0.05
SENSEX | BSE_INDEX | 999901 | BSE | BSE SENSEX |  | 0 | 1 | INDEX | 0.05
SENSEX26NOV2685000CE | BFO | 861203 | BSEFO | SENSEX 26-NOV-2026 CE 85000 | 26-NOV-26 | 85000 | 20 | CE | 0.05
TCS | BSE | 532540 | BSE | TCS |  | 0 | 1 | EQ | 0.1
TCS | NSE | 11536 | NSE | TCS EQ |  | 0 | 1 | EQ | 0.1
USDINR29DEC26FUT | CDS | 1482 | NSECD | USDINR 29-DEC-2026 | 29-DEC-26 | 0 | 1000 | FUT | 0.0025"""
SHARE, _, FUTURE, OPTION, *_ = SAMPLE.splitlines()


def read(header: str, *rows: str) -> tuple[list[Instrument], dict[str, int]]:
    reader = MotilalInstruments()
    return list(reader.parse("\n".join((header, *rows)).encode(), "any.csv")), dict(reader.skipped)


def test_the_sample_rows_become_the_expected_table() -> None:
    rows = [*read(f"\ufeff{HEADER}", SAMPLE)[0], *read(INDEX_HEADER.upper(), INDICES.replace("\n", "\r\n"))[0]]
    table = sorted(
        " | ".join(
            (
                *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
                *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
            )
        )
        for row in rows
    )
    assert table == EXPECTED.splitlines()
    codec = BROKER.adapter().codec("main")
    assert len({codec.wire_key(row) for row in rows}) == len(rows)


def test_a_symbol_is_borne_by_its_best_series() -> None:
    def share(code: int, series: str, name: str, short: str) -> str:
        return f"1,NSE,{code},{name} {series},1,{short},N,EQUITY,0,0,{series},0.05"

    rows, skipped = read(
        HEADER, share(1, "BE", "ABC", "ABC"), share(2, "BL", "ABC", "ABC"), share(3, "EQ", "ABC", "ABC"),
        share(4, "BE", "X-Y LTD", "XY"), share(5, "SM", "SMALL CO", "SC"),
    )  # fmt: skip
    assert {row.symbol: row.token for row in rows} == {
        "ABC": "3", "ABC-BE": "1", "ABC-BL": "2", "XY": "4", "SMALL CO": "5",
    }  # fmt: skip
    assert not skipped


def test_a_share_without_a_series_loses_the_word_eq_all_the_same() -> None:
    rows, skipped = read(
        HEADER, "1,NSE,1,TCS EQ,1,,N,,0,0,,0.1", "3,BSE,2,ONE EQ,1,ONE,N,EQUITY,0,0,A,0.1",
        "3,BSE,3,SEQ,1,SEQ,N,EQUITY,0,0,A,0.1", "3,BSE,4,M & M EQ FUND,1,MM,N,EQUITY,0,0,B,0.1",
    )  # fmt: skip
    assert [(row.symbol, row.brsymbol) for row in rows] == [
        ("TCS", "TCS EQ"),
        ("ONE", "ONE EQ"),
        ("SEQ", "SEQ"),
        ("M & M EQ FUND", "M & M EQ FUND"),
    ]
    assert skipped == {}


@pytest.mark.parametrize(
    ("row", "symbol", "tick_size"),
    [
        (
            "6,NSECD,5,EURINR 26-Sep-2025 CE 102.75,1,EURINR,N,OPT,0,102.75,CE,0.0025",
            "EURINR26SEP25102.75CE",
            0.0025,
        ),
        ("5,MCX,6,CRUDEOIL 17-DEC-2026 PE 5500,100,CRUDEOIL,N,OPTFUT,0,5500.00,PE,0.1", "CRUDEOIL17DEC265500PE", 0.1),
        ("8,BSEFO,7,SENSEX 24-DEC-2026,20,SENSEX,N,FUTIDX,0,0,,0.05", "SENSEX24DEC26FUT", 0.05),
        ("8,BSEFO,7,BSX 26-NOV-2026 CE 85000,20,BSX,N,OPTIDX,0,85000,CE,0.05", "SENSEX26NOV2685000CE", 0.05),
        ("8,BSEFO,7,BKX 26-NOV-2026,20,BKX,N,FUTIDX,0,-1,XX,0.05", "BANKEX26NOV26FUT", 0.05),
        ("8,BSEFO,7,SX50 26-NOV-2026,20,SX50,N,FUTIDX,0,-1,XX,0.05", "SENSEX5026NOV26FUT", 0.05),
        ("8,BSEFO,7,BIT 26-NOV-2026,20,BIT,N,FUTIDX,0,-1,XX,0.05", "BIT26NOV26FUT", 0.05),
        ("6,NSECD,5,USDINR 29-DEC-2026,1000,USDINR,N,FUTCUR,0,-1,XX,0.000", "USDINR29DEC26FUT", 0.0025),
        ("2,NSEFO,5,NIFTY 29-DEC-2026,75,NIFTY,N,FUTIDX,0,-1,XX,0.000", "NIFTY29DEC26FUT", 0.05),
        ("2,NSEFO,8,M&M 29-DEC-2026 CE 3162.5,350,M&M,N,OPTSTK,0,3162.5,CE,0.05", "M&M29DEC263162.5CE", 0.05),
    ],
)
def test_contracts_of_every_segment(row: str, symbol: str, tick_size: float) -> None:
    ((found,), _) = read(HEADER, row)
    assert (found.symbol, found.tick_size) == (symbol, tick_size)


def test_a_file_that_does_not_say_what_is_suspended_is_a_list_all_the_same() -> None:
    rows, _ = read(HEADER.replace("issuspended,", ""), SHARE.replace(",N,", ","))
    assert [row.symbol for row in rows] == ["TCS"]


@pytest.mark.parametrize(
    ("exchange", "name", "symbol"),
    [
        ("NSE", "NIFTY NEXT 50", "NIFTYNXT50"),
        ("NSE", "Nifty Fin Service", "FINNIFTY"),
        ("NSE", "NIFTY FINSERV", "FINNIFTY"),
        ("NSE", "Nifty Midcap Select", "MIDCPNIFTY"),
        ("NSE", "NIFTY MID SELECT", "MIDCPNIFTY"),
        ("NSE", "India VIX", "INDIAVIX"),
        ("NSE", "Nifty PSU Bank", "NIFTYPSUBANK"),
        ("BSE", "BSE  Bankex", "BANKEX"),
        ("BSE", "SNSX50", "SENSEX50"),
        ("BSE", "SENSEX", "SENSEX"),
        ("BSE", "BSE SENSEX 50", "SENSEX50"),
        ("BSE", "BSE HEALTHC", "BSEHEALTHCARE"),
        ("BSE", "FIN", "BSEFINANCIALSERVICES"),
        ("BSE", "BSE 500", "BSE500"),
        ("BSE", "SNXT50", "BSESENSEXNEXT50"),
        ("BSE", "BSE CAPGOOD", "BSECAPITALGOODS"),
        ("BSE", "BSE CONSDUR", "BSECONSUMERDURABLES"),
        ("BSE", "BSE FMCG", "BSEFASTMOVINGCONSUMERGOODS"),
        ("BSE", "BSE IT", "BSEINFORMATIONTECHNOLOGY"),
        ("BSE", "BSE AUTO", "BSEAUTO"),
    ],
)
def test_an_index_bears_our_symbol(exchange: str, name: str, symbol: str) -> None:
    ((row,), _) = read(INDEX_HEADER, f"7,{name},{exchange}")
    assert (row.symbol, row.brsymbol, row.exchange) == (symbol, name, f"{exchange}_INDEX")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SHARE.replace("NSE", "NCDEX"), "exchange that is not served"),
        (SHARE.replace("11536", "x"), "no scrip code"),
        (SHARE.replace("11536", "2147483648"), "no scrip code"),
        (SHARE.replace("TCS EQ", ""), "no symbol"),
        (SHARE.replace(",N,", ",Y,"), "suspended"),
        (SHARE.replace("EQUITY", "IDX"), "not a share"),
        (SHARE.replace(",EQ,", ",CE,"), "not a share"),
        (SHARE.replace("0.1", "nan"), "bad tick size"),
        (SHARE.replace(",1,TCS", ",inf,TCS"), "bad lot size"),
        (SHARE + ",", "wrong number of columns"),
        (SHARE.replace("TCS EQ", '"TCS'), "broken quotes"),
        (FUTURE.replace("FUTIDX", "IDX"), "neither future nor option"),
        (FUTURE.replace(",NIFTY,", ",,"), "derivative without an underlying"),
        (FUTURE.replace("29-DEC", "31-FEB"), "bad expiry"),
        (FUTURE.replace("29-DEC", "29-DEZ"), "bad expiry"),
        (FUTURE.replace(" 29-DEC-2026", ""), "bad expiry"),
        (OPTION.replace(",26000,CE", ",0,CE"), "bad strike"),
        (OPTION.replace(",26000,CE", ",x,CE"), "bad strike"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(row: str, reason: str) -> None:
    assert read(HEADER, row) == ([], {reason: 1})


def test_rows_that_repeat_a_code_or_a_symbol_are_skipped() -> None:
    rows, skipped = read(HEADER, OPTION, OPTION, OPTION.replace("44501", "8"))
    assert [row.token for row in rows] == ["44501"]
    assert skipped == {"scrip code twice in an exchange": 1, "another row has the same symbol": 1}
    rows, skipped = read(INDEX_HEADER, "1,Nifty 50,NSE", "2,NIFTY50,NSE", "1,Other,NSE", "1,BSE IT,BSE", "x,A,BSE")
    assert [row.symbol for row in rows] == ["NIFTY", "BSEINFORMATIONTECHNOLOGY"]
    assert skipped == {"another row has the same symbol or code": 2, "no scrip code": 1}
    assert read(INDEX_HEADER, "1,,NSE", "2,A,MCX")[1] == {"no symbol": 1, "exchange that is not served": 1}


@pytest.mark.parametrize(
    "data", [b"", b"<html>no</html>", b'{"status":"ERROR"}', b"a,b\n1,2\n", b"\xff\xfe\x00" * 50]
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(ListFormatError, match="mine"):
        list(MotilalInstruments().parse(data, "mine.csv"))


def test_all_files_are_fetched_without_a_login() -> None:
    downloads = MotilalInstruments().downloads(None)
    root = "https://openapi.motilaloswal.com"
    assert [one.url for one in downloads] == [
        *(f"{root}/getscripmastercsv?name={name}" for name in ("NSE", "BSE", "NSEFO", "NSECD", "MCX", "BSEFO")),
        *(f"{root}/getindexdatacsv?name={name}" for name in ("NSE", "BSE")),
    ]
    assert len({one.filename for one in downloads}) == len(downloads)


def test_a_hundred_thousand_rows_take_seconds() -> None:
    rows = [OPTION.replace("44501", str(n)).replace(",26000,", f",{n},") for n in range(1, 100_001)]
    began = time.perf_counter()
    assert len(read(HEADER, *rows)[0]) == 100_000
    assert time.perf_counter() - began < 10
