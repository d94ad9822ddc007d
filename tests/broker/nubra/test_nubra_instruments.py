"""Nubra's instrument lists: the specification's rows, and what is wrong with a row or a file."""

import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tickmux.broker.nubra.instruments import NubraInstruments
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

ROWS = [
    json.loads(line)
    for line in [
        '{"ref_id":70115,"strike_price":0,"option_type":"N/A","token":3045,"stock_name":"SBIN","series":"EQ","lot_size":1,"asset":"SBIN","expiry":0,"exchange":"NSE","derivative_type":"STOCK","isin":"INE062A01020","asset_type":"STOCKS","tick_size":5}',
        '{"ref_id":912345,"strike_price":0,"option_type":"N/A","token":500325,"stock_name":"RELIANCE","series":"A","lot_size":1,"asset":"RELIANCE","expiry":0,"exchange":"BSE","derivative_type":"STOCK","isin":"INE002A01018","asset_type":"STOCKS","tick_size":5}',
        '{"ref_id":1120031,"strike_price":0,"option_type":"N/A","token":53001,"stock_name":"NIFTY25AUGFUT","lot_size":75,"asset":"NIFTY","expiry":20250828,"exchange":"NSE","derivative_type":"FUT","asset_type":"INDEX_FO","tick_size":10}',
        '{"ref_id":1120040,"strike_price":2500000,"option_type":"CE","token":52800,"stock_name":"NIFTY25AUG25000CE","lot_size":75,"asset":"NIFTY","expiry":20250828,"exchange":"NSE","derivative_type":"OPT","asset_type":"INDEX_FO","tick_size":5}',
        '{"ref_id":1130077,"strike_price":28750,"option_type":"PE","token":99120,"stock_name":"BANKBARODA25SEP287.5PE","lot_size":2925,"asset":"BANKBARODA","expiry":20250925,"exchange":"NSE","derivative_type":"OPT","asset_type":"STOCK_FO","tick_size":5}',
        '{"ref_id":1530088,"strike_price":8050000,"option_type":"PE","token":870044,"stock_name":"SENSEX2590480500PE","lot_size":20,"asset":"SENSEX","expiry":20250904,"exchange":"BSE","derivative_type":"OPT","asset_type":"INDEX_FO","tick_size":5}',
        '{"ref_id":2310017,"strike_price":0,"option_type":"N/A","token":447552,"stock_name":"CRUDEOIL25SEPFUT","lot_size":100,"asset":"CRUDEOIL","expiry":20250918,"exchange":"MCX","derivative_type":"FUT","asset_type":"COMMODITY_FO","tick_size":100}',
    ]
]
SBIN, RELIANCE, FUTURE, OPTION = ROWS[:4]
HEADER = "EXCHANGE,INDEX_SYMBOL,ZANSKAR_INDEX_SYMBOL,INDEX_NAME"
INDICES = [
    HEADER,
    "NSE,NIFTY,NIFTY,Nifty 50",
    "NSE,INDIA_VIX,INDIA_VIX,India VIX",
    "BSE,SENSEX50,SENSEX50,Bse Sensex 50",
]
EXPECTED = """
SBIN | NSE | 70115 | NSE | SBIN | | | 1 | EQ | 0.05
RELIANCE | BSE | 912345 | BSE | RELIANCE | | | 1 | EQ | 0.05
NIFTY28AUG25FUT | NFO | 1120031 | NSE | NIFTY25AUGFUT | 28-AUG-25 | | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 1120040 | NSE | NIFTY25AUG25000CE | 28-AUG-25 | 25000 | 75 | CE | 0.05
BANKBARODA25SEP25287.5PE | NFO | 1130077 | NSE | BANKBARODA25SEP287.5PE | 25-SEP-25 | 287.5 | 2925 | PE | 0.05
SENSEX04SEP2580500PE | BFO | 1530088 | BSE | SENSEX2590480500PE | 04-SEP-25 | 80500 | 20 | PE | 0.05
CRUDEOIL18SEP25FUT | MCX | 2310017 | MCX | CRUDEOIL25SEPFUT | 18-SEP-25 | | 100 | FUT | 1
NIFTY | NSE_INDEX | NIFTY | NSE | NIFTY | | | 1 | INDEX | 0.05
INDIAVIX | NSE_INDEX | INDIA_VIX | NSE | INDIA_VIX | | | 1 | INDEX | 0.05
SENSEX50 | BSE_INDEX | SENSEX50 | BSE | SENSEX50 | | | 1 | INDEX | 0.05
"""


def parse(*rows: Any) -> tuple[list[Instrument], Counter[str]]:
    made = NubraInstruments()
    return list(made.parse(json.dumps({"refdata": rows}).encode(), "refdata-NSE.json")), made.skipped


def parse_indices(*lines: str) -> tuple[list[Instrument], Counter[str]]:
    made = NubraInstruments()
    return list(made.parse("\r\n".join([*lines, ""]).encode(), "indexes.csv")), made.skipped


def test_the_specifications_rows_become_its_table() -> None:
    table = {tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.strip().splitlines()}
    found = [*parse(*ROWS)[0], *parse_indices(*INDICES)[0]]
    assert {
        (
            one.symbol, one.exchange, one.token, one.brexchange, one.brsymbol, one.expiry,
            f"{one.strike:g}" if one.strike else "", str(one.lotsize), one.instrumenttype, f"{one.tick_size:g}",
        )
        for one in found
    } == table  # fmt: skip


def test_the_lists_of_today_need_the_session_and_that_of_indices_does_not() -> None:
    made = NubraInstruments()
    assert made.needs_login
    *files, indices = made.downloads(Credentials({"session_token": "t0ken", "device_id": "d"}))
    assert [parse_qs(urlsplit(file.url).query)["exchange"] for file in files] == [["NSE"], ["BSE"], ["MCX"]]
    assert all(urlsplit(file.url).path.startswith("/refdata/refdata/20") for file in files)
    assert {file.headers["Authorization"] for file in files} == {"Bearer t0ken"}
    assert [file.optional for file in files] == [False, False, True]
    assert (indices.url, dict(indices.headers)) == ("https://api.nubra.io/public/indexes?format=csv", {})
    with pytest.raises(ValueError, match="needs a login"):
        made.downloads(None)


@pytest.mark.parametrize(
    ("exchange", "theirs", "ours"),
    [
        ("NSE", "NIFTYMIDCAP", "NIFTYMIDCAP100"), ("NSE", "NIFTYSMALLCAP50", "NIFTYSMLCAP50"),
        ("NSE", "LIX15MIDCAP", "NIFTYMIDLIQ15"), ("NSE", "LIQ15", "NIFTY100LIQ15"),
        ("NSE", "NIFTYEQWGT", "NIFTY50EQLWGT"), ("NSE", "NIFTY100WEIGHT", "NIFTY100EQLWGT"),
        ("NSE", "NSEQ30", "NIFTY100QUALTY30"), ("NSE", "NIFTYPR2X", "NIFTY50PR2XLEV"),
        ("NSE", "NIFTYTR1X", "NIFTY50TR1XINV"), ("NSE", "NIFTYV20", "NIFTY50VALUE20"),
        ("NSE", "BANKNIFTY", "BANKNIFTY"), ("NSE", "NIFTYNXT50", "NIFTYNXT50"), ("NSE", "AUTO", "AUTO"),
        ("BSE", "SNXT50", "BSESENSEXNEXT50"), ("BSE", "AUTO", "BSEAUTO"), ("BSE", "TECK", "BSETECK"),
        ("BSE", "BSECG", "BSECAPITALGOODS"), ("BSE", "OILGAS", "BSEOIL&GAS"), ("BSE", "DOL100", "BSEDOLLEX100"),
        ("BSE", "SMLSEL", "BSESMALLCAPSELECTINDEX"), ("BSE", "BANKEX", "BANKEX"), ("BSE", "CARBON", "CARBON"),
    ],
)  # fmt: skip
def test_indices_are_renamed_on_their_own_exchange_alone(exchange: str, theirs: str, ours: str) -> None:
    ((one,), _) = parse_indices(HEADER, f'{exchange},{theirs},TOKEN,"a, name"')
    assert (one.symbol, one.exchange, one.token, one.name) == (ours, f"{exchange}_INDEX", "TOKEN", "a, name")


def test_columns_of_indices_are_found_by_their_names() -> None:
    ((one,), _) = parse_indices("\ufeffINDEX_NAME,X,ZANSKAR_INDEX_SYMBOL,EXCHANGE,INDEX_SYMBOL", "n,,Z,NSE,NIFTY")
    assert (one.symbol, one.token, one.name) == ("NIFTY", "Z", "n")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("MCX,A,A,n", "unknown exchange"),
        ("NSE,,A,n", "no index symbol"),
        ("NSE,A,,n", "no index symbol"),
        ("NSE,A,A", "wrong number of columns"),
        ('NSE,A,A,"n', "broken quotes"),
        ("NSE,NIFTY,X,n", "repeated symbol"),
    ],
)
def test_a_bad_index_is_skipped_and_counted(line: str, reason: str) -> None:
    found, skipped = parse_indices(INDICES[0], INDICES[1], line)
    assert [one.symbol for one in found] == ["NIFTY"]
    assert skipped == {reason: 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (5, "missing or broken fields"),
        ({"ref_id": 1}, "missing or broken fields"),
        (SBIN | {"ref_id": "7"}, "missing or broken fields"),
        (SBIN | {"ref_id": 0}, "no ref_id"),
        (SBIN | {"stock_name": " "}, "no stock name"),
        (SBIN | {"exchange": "MCX"}, "unknown exchange"),
        (SBIN | {"exchange": "NCDEX"}, "unknown exchange"),
        (FUTURE | {"exchange": "CDS", "ref_id": 1}, "unknown exchange"),
        (SBIN | {"derivative_type": "BOND"}, "unknown derivative type"),
        (OPTION | {"option_type": "N/A"}, "unknown option type"),
        (OPTION | {"option_type": None}, "unknown option type"),
        (OPTION | {"asset": ""}, "derivative without an underlying"),
        (OPTION | {"expiry": 0}, "bad expiry"),
        (OPTION | {"expiry": None}, "bad expiry"),
        (OPTION | {"expiry": 20250231}, "bad expiry"),
        (OPTION | {"expiry": -20250828}, "bad expiry"),
        (OPTION | {"expiry": 10**30}, "bad expiry"),
        (OPTION | {"strike_price": 0}, "bad strike"),
        (OPTION | {"strike_price": -5}, "bad strike"),
        (OPTION | {"lot_size": -1}, "bad lot size"),
        (OPTION | {"tick_size": -1}, "bad tick size"),
        (FUTURE, "repeated ref_id"),
        (FUTURE | {"ref_id": 7}, "repeated symbol"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(row: Any, reason: str) -> None:
    found, skipped = parse(FUTURE, row)
    assert [one.symbol for one in found] == ["NIFTY28AUG25FUT"]
    assert skipped == {reason: 1}


def test_a_ref_id_is_unique_over_all_files() -> None:
    made = NubraInstruments()
    for exchange, count in (("NSE", 1), ("BSE", 0)):
        data = json.dumps({"refdata": [SBIN | {"exchange": exchange}]}).encode()
        assert len(list(made.parse(data, f"refdata-{exchange}.json"))) == count
    assert made.skipped == {"repeated ref_id": 1}


def test_a_share_of_several_series_is_the_best_of_them() -> None:
    found, skipped = parse(*[SBIN | {"ref_id": n, "series": s} for n, s in enumerate(("N1", "EQ", "BE"), 1)])
    assert {one.symbol: one.token for one in found} == {"SBIN": "2", "SBIN-BE": "3", "SBIN-N1": "1"}
    assert not skipped


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"error":"Session expired","nubra_error_code":""}',
        b'{"refdata":null}',
        b'{"refdata":[]}',
        b'{"refdata":[{]}',
        b"<html>",
        b"[1]",
        b"a,b,c\n1,2,3",
        b"\xff\xfe",
        b'{"refdata":' + b"[" * 50_000,
    ],
)
def test_what_is_no_instrument_list_is_refused_before_any_row(data: bytes) -> None:
    with pytest.raises(ListFormatError, match="refdata"):
        NubraInstruments().parse(data, "refdata-NSE.json")
