"""Kotak's instrument files: the specification's rows, currency's scales, bad rows, files that are none."""

import time
from datetime import date
from typing import Any

import pytest

from tickmux.broker.kotak import BROKER, instruments
from tickmux.broker.kotak.instruments import KotakInstruments
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

HEADER = (
    "pSymbol,pGroup,pExchSeg,pInstType,pSymbolName,pTrdSymbol,pOptionType,pISIN,dTickSize ,lLotSize,lExpiryDate ,"
    "dStrikePrice;"
)
SAMPLE = """\
11536,EQ,nse_cm,,TCS,TCS-EQ,,INE467B01029,5,1,-1,-1
500325,A,bse_cm,,RELIANCE,RELIANCE,,INE002A01018,5,1,-1,-1
26000,,nse_cm,,NIFTY,NIFTY,,,5,1,-1,-1
44498,,nse_fo,FUTIDX,NIFTY,NIFTY26DECFUT,XX,,5,75,1483021800,-1
44501,,nse_fo,OPTIDX,NIFTY,NIFTY26DEC26000CE,CE,,5,75,1483021800,2600000
71844,,nse_fo,OPTSTK,SBIN,SBIN26DEC817.5PE,PE,,5,750,1483021800,81750
861203,,bse_fo,IO,SENSEX,SENSEX26N2685000CE,CE,,5,20,1795687200,8500000
499095,,mcx_fo,FUTCOM,CRUDEOIL,CRUDEOIL18DEC26FUT,XX,,100,100,1797616800,-1
6542,BL,nse_cm,,NHIT,NHIT-BL,,INE0H7R23014,1,1,-1,-1
"""
EXPECTED = """\
TCS | NSE | 11536 | nse_cm | TCS-EQ |  | 0 | 1 | EQ | 0.05
RELIANCE | BSE | 500325 | bse_cm | RELIANCE |  | 0 | 1 | EQ | 0.05
NIFTY | NSE_INDEX | 26000 | nse_cm | Nifty 50 |  | 0 | 1 | INDEX | 0.05
NIFTY29DEC26FUT | NFO | 44498 | nse_fo | NIFTY26DECFUT | 29-DEC-26 | 0 | 75 | FUT | 0.05
NIFTY29DEC2626000CE | NFO | 44501 | nse_fo | NIFTY26DEC26000CE | 29-DEC-26 | 26000 | 75 | CE | 0.05
SBIN29DEC26817.5PE | NFO | 71844 | nse_fo | SBIN26DEC817.5PE | 29-DEC-26 | 817.5 | 750 | PE | 0.05
SENSEX26NOV2685000CE | BFO | 861203 | bse_fo | SENSEX26N2685000CE | 26-NOV-26 | 85000 | 20 | CE | 0.05
CRUDEOIL18DEC26FUT | MCX | 499095 | mcx_fo | CRUDEOIL18DEC26FUT | 18-DEC-26 | 0 | 100 | FUT | 1"""

SHARE, _, _, FUTURE, OPTION, *_ = SAMPLE.splitlines()


def parse(*rows: str, header: str = HEADER) -> list[Instrument]:
    return list(KotakInstruments().parse("\n".join((header, *rows)).encode(), "any.csv"))


def skipped(*rows: str, header: str = HEADER) -> dict[str, int]:
    reader = KotakInstruments()
    assert list(reader.parse("\n".join((header, *rows)).encode(), "any.csv")) == []
    return dict(reader.skipped)


def test_the_sample_rows_become_the_expected_table() -> None:
    reader = KotakInstruments()
    rows = reader.parse(f"\ufeff{HEADER}\r\n{SAMPLE}".replace("\n", "\r\n").encode(), "mine.csv")
    table = [
        " | ".join(
            (
                *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
                *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
            )
        )
        for row in rows
    ]
    assert table == EXPECTED.splitlines()
    assert reader.skipped == {"group that is not served": 1}


@pytest.mark.parametrize(
    ("row", "symbol", "exchange", "expiry"),
    [
        # 2026-12-31 23:59:59 in India is still that day, in Unix seconds as in those since 1980.
        (
            "1,,mcx_fo,OPTFUT,GOLD,GOLD31DEC2698500PE,PE,,100,1,1798741799,9850000",
            "GOLD31DEC2698500PE",
            "MCX",
            "31-DEC-26",
        ),
        ("2,,nse_fo,FUTSTK,M&M,M&M26DECFUT,XX,,10,350,1483228799,-1", "M&M31DEC26FUT", "NFO", "31-DEC-26"),
        (
            "3,,cde_fo,OPTCUR,EURINR,EURINR26DEC102.75CE,CE,,25,1000,1483021800,10275",
            "EURINR29DEC26102.75CE",
            "CDS",
            "29-DEC-26",
        ),
        ("4,,bse_fo,SF,RELIANCE,RELIANCE26DECFUT,XX,,5,500,1798655400,-1", "RELIANCE31DEC26FUT", "BFO", "31-DEC-26"),
    ],
)
def test_contracts_of_every_segment(row: str, symbol: str, exchange: str, expiry: str) -> None:
    (found,) = parse(row)
    assert (found.symbol, found.exchange, found.expiry) == (symbol, exchange, expiry)


@pytest.mark.parametrize("group", ["BL", ""])
def test_block_deals_and_shares_without_a_group_are_dropped_on_nse_and_kept_on_bse(group: str) -> None:
    row = f"1,{group},nse_cm,,ABC,ABC-{group},,INE1,5,1,-1,-1"
    assert skipped(row) == {"group that is not served": 1}
    assert [each.symbol for each in parse(row.replace("nse_cm", "bse_cm"))] == ["ABC"]


def test_a_share_without_an_isin_is_told_from_an_index_by_its_series() -> None:
    rows = parse(
        "1,BZ,nse_cm,,ABC,ABC-BZ,,,5,1,-1,-1",
        "2,N1,nse_cm,,ABC,ABC-N1,,,5,1,-1,-1",
        "3,,nse_cm,,NIFTY,NIFTY,,,5,1,-1,-1",
    )
    assert [(row.symbol, row.exchange) for row in rows] == [("ABC", "NSE"), ("ABC-N1", "NSE"), ("NIFTY", "NSE_INDEX")]


def test_an_equity_series_goes_before_trade_to_trade_wherever_it_stands() -> None:
    def share(token: int, group: str, symbol: str) -> str:
        return f"{token},{group},nse_cm,,{symbol},{symbol}-{group},,INE1,5,1,-1,-1"

    rows = (share(1, "BE", "ABC"), share(2, "BE", "XYZ"), share(3, "EQ", "ABC"))
    assert {row.symbol: row.brsymbol for row in parse(*rows)} == {
        "ABC": "ABC-EQ", "ABC-BE": "ABC-BE", "XYZ": "XYZ-BE",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("segment", "listed", "symbol", "feed_name"),
    [
        ("nse_cm", "BANKNIFTY", "BANKNIFTY", "Nifty Bank"),
        ("nse_cm", "Nifty Bank", "BANKNIFTY", "Nifty Bank"),
        ("nse_cm", "NIFTY MID SELECT", "MIDCPNIFTY", "NIFTY MID SELECT"),
        ("nse_cm", "India VIX", "INDIAVIX", "INDIA VIX"),
        ("nse_cm", "Nifty Midcap 100", "NIFTYMIDCAP100", "NIFTY MIDCAP 100"),
        ("nse_cm", "Nifty Realty", "NIFTYREALTY", "Nifty Realty"),
        ("bse_cm", "SENSEX", "SENSEX", "SENSEX"),
    ],
)
def test_an_index_bears_our_symbol_and_the_feeds_name(segment: str, listed: str, symbol: str, feed_name: str) -> None:
    (row,) = parse(f"1,,{segment},,{listed},{listed},,,5,1,-1,-1")
    assert (row.symbol, row.brsymbol, row.exchange) == (symbol, feed_name, f"{segment[:3].upper()}_INDEX")
    codec = BROKER.adapter().codec("main")
    (frame,) = codec.subscribe([row], "index")
    assert f'"{segment}|{feed_name}"' in str(frame)


@pytest.mark.parametrize(
    ("strike", "trading_symbol", "rupees"),
    [
        ("8825", "USDINR26DEC88.25CE", 88.25),
        ("882500000", "USDINR26DEC88.25CE", 88.25),
        ("882500", "USDINR26DEC88.25CE", 88.25),
        ("2600000", "NIFTY26DEC26000CE", 26000.0),
        ("8500000", "SENSEX26N2685000CE", 85000.0),
        ("2500000", "NIFTY26N1025000CE", 25000.0),
        ("2500000", "NO DIGITS", 25000.0),
    ],
)
def test_a_strike_of_another_scale_is_read_from_the_trading_symbol(
    strike: str, trading_symbol: str, rupees: float
) -> None:
    (row,) = parse(f"1,,cde_fo,OPTCUR,USDINR,{trading_symbol},CE,,25,1000,1483021800,{strike}")
    assert row.strike == rupees


def test_the_tick_counts_in_the_rows_own_decimals() -> None:
    header = f"{HEADER},lPrecision,pDesc"
    (row,) = parse("1,,cde_fo,FUTCUR,USDINR,USDINR26DECFUT,XX,,25,1000,1483021800,-1,4,x", header=header)
    assert row.tick_size == 0.0025
    (row,) = parse(f"{SHARE},0,Tata Consultancy", header=header)
    assert (row.tick_size, row.name) == (0.05, "Tata Consultancy")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SHARE.replace("nse_cm", "nse_com"), "segment that is not served"),
        (SHARE.replace("11536", "x"), "no token"),
        (SHARE.replace("11536", "99999999999"), "no token"),
        (SHARE.replace("11536", "4294967296"), "no token"),
        (SHARE.replace(",TCS,", ",,"), "no symbol"),
        (SHARE.replace("TCS-EQ", ""), "no trading symbol"),
        (SHARE.replace(",5,1,", ",nan,1,"), "bad tick size"),
        (SHARE.replace(",5,1,", ",5,inf,"), "bad lot size"),
        (SHARE.replace(",5,1,", ",5,x,"), "bad lot size"),
        (FUTURE.replace(",XX,", ",,"), "neither future nor option"),
        (FUTURE.replace("1483021800", "-1"), "bad expiry"),
        (FUTURE.replace("1483021800", "1e300"), "bad expiry"),
        (OPTION.replace("2600000", "-1"), "bad strike"),
        (OPTION.replace("2600000", "x"), "bad strike"),
        (f"{SHARE},", "wrong number of columns"),
        (SHARE.replace("TCS-EQ", '"TCS'), "broken quotes"),
        ("1,,nse_cm,,A|B,A|B,,,5,1,-1,-1", "index that cannot be named"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(row: str, reason: str) -> None:
    assert skipped(row) == {reason: 1}


def test_rows_that_repeat_a_token_or_a_symbol_are_skipped() -> None:
    reader = KotakInstruments()
    rows = (SHARE, SHARE, SHARE.replace("11536", "7"), OPTION, OPTION.replace("44501", "8"))
    found = list(reader.parse("\n".join((HEADER, *rows)).encode(), "any.csv"))
    assert [row.token for row in found] == ["11536", "44501"]
    assert reader.skipped == {"token twice in a segment": 1, "another row has the same symbol": 2}


@pytest.mark.parametrize("data", [b"", b"<html>no</html>", b'{"message":"x"}', b"a,b\n1,2\n", b"\xff\xfe\x00" * 50])
def test_what_is_no_file_of_kotaks_is_refused(data: bytes) -> None:
    with pytest.raises(ListFormatError, match=r"nse_cm\.csv"):
        list(KotakInstruments().parse(data, "nse_cm.csv"))


def test_the_sessions_own_addresses_go_before_those_of_todays_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "_today", lambda: date(2026, 11, 23))
    guessed = KotakInstruments().downloads(None)
    root = "https://lapi.kotaksecurities.com/wso2-scripmaster/v1/prod/2026-11-23"
    assert {one.filename: one.url for one in guessed} == {
        "nse_cm.csv": f"{root}/transformed-v1/nse_cm-v1.csv",
        "bse_cm.csv": f"{root}/transformed-v1/bse_cm-v1.csv",
        **{f"{s}.csv": f"{root}/transformed/{s}.csv" for s in ("nse_fo", "bse_fo", "cde_fo", "mcx_fo")},
    }
    told = "https://a/d/nse_com.csv https://a/d/nse_cm-v1.csv https://a/d/mcx_fo.csv?x=1"
    downloads = KotakInstruments().downloads(Credentials({"list_files": told}))
    assert [(one.filename, one.url, dict(one.headers)) for one in downloads] == [
        ("nse_cm.csv", "https://a/d/nse_cm-v1.csv", {}),
        ("mcx_fo.csv", "https://a/d/mcx_fo.csv?x=1", {}),
    ]
    assert len(KotakInstruments().downloads(Credentials({"ucc": "x"}))) == 6


def test_a_hundred_thousand_rows_take_seconds() -> None:
    rows = [f"{n},,nse_fo,OPTIDX,NIFTY,N,CE,,5,75,1483021800,{n}00" for n in range(1, 100_001)]
    began = time.perf_counter()
    assert len(parse(*rows)) == 100_000
    assert time.perf_counter() - began < 10


def test_every_row_can_be_named_on_the_wire() -> None:
    codec: Any = BROKER.adapter().codec("main")
    for row in parse(*SAMPLE.splitlines()):
        codec.wire_key(row)
