"""FYERS' instrument files: the specification's rows, names that clash, bad rows, and files that are none."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tickmux.broker.fyers.instruments import FyersInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

CSV = """\
10100000003045,STATE BANK OF INDIA,0,1,0.05,INE062A01020,0915-1530|1815-1915:,2025-08-05,,NSE:SBIN-EQ,10,10,3045,SBIN,3045,-1.0,XX,10100000003045,None,0,0.0
101000000026009,NIFTYBANK-INDEX,10,0,0.05,,0915-1530|1815-1915:,2025-08-05,,NSE:NIFTYBANK-INDEX,10,10,26009,BANKNIFTY,26009,-1.0,XX,101000000026009,None,0,0.0
1210000000500325,RELIANCE INDUSTRIES LTD,0,1,0.05,INE002A01018,0915-1530|1815-1915:,2025-08-05,,BSE:RELIANCE-A,12,10,500325,RELIANCE,500325,-1.0,XX,1210000000500325,None,0,0.0
101125082853216,NIFTY 28 Aug 25 FUT,11,75,0.1,,0915-1530|1815-1915:,2025-08-05,1756375200,NSE:NIFTY25AUGFUT,10,11,53216,NIFTY,26000,-1.0,XX,101000000026000,None,0,0.0
101125082847123,NIFTY 28 Aug 25 25000 CE,14,75,0.05,,0915-1530|1815-1915:,2025-08-05,1756375200,NSE:NIFTY25AUG25000CE,10,11,47123,NIFTY,26000,25000.0,CE,101000000026000,None,0,0.0
12112508281104523,SENSEX 28 Aug 25 81000 PE,14,20,0.05,,0915-1530|1815-1915:,2025-08-05,1756375200,BSE:SENSEX2582881000PE,12,11,1104523,SENSEX,1,81000.0,PE,12100000001,None,0,0.0
"""  # noqa: E501
RECORDS: dict[str, Any] = {
    "NSE:USDINR25AUGFUT": {
        "fyToken": "10122508271185", "symTicker": "NSE:USDINR25AUGFUT", "symDetails": "USDINR 27 Aug 25 FUT",
        "underSym": "USDINR", "expiryDate": "1756276200", "strikePrice": -1.0, "optType": "XX",
        "qtyMultiplier": 1000.0, "minLotSize": 1, "tickSize": 0.0025, "exToken": 1185, "tradeStatus": 1,
    },
    "MCX:CRUDEOIL25AUG5600CE": {
        "fyToken": "1120250814452201", "symTicker": "MCX:CRUDEOIL25AUG5600CE",
        "symDetails": "CRUDEOIL 14 Aug 25 5600 CE", "underSym": "CRUDEOIL", "expiryDate": "1755194400",
        "strikePrice": 5600.0, "optType": "CE", "qtyMultiplier": 100.0, "minLotSize": 1, "tickSize": 0.1,
        "exToken": 452201, "tradeStatus": 1,
    },
}  # fmt: skip
TABLE = """\
SBIN|NSE|10100000003045|NSE|NSE:SBIN-EQ||0|1|EQ|0.05
BANKNIFTY|NSE_INDEX|101000000026009|NSE|NSE:NIFTYBANK-INDEX||0|0|INDEX|0.05
RELIANCE|BSE|1210000000500325|BSE|BSE:RELIANCE-A||0|1|EQ|0.05
NIFTY28AUG25FUT|NFO|101125082853216|NFO|NSE:NIFTY25AUGFUT|28-AUG-25|0|75|FUT|0.1
NIFTY28AUG2525000CE|NFO|101125082847123|NFO|NSE:NIFTY25AUG25000CE|28-AUG-25|25000|75|CE|0.05
SENSEX28AUG2581000PE|BFO|12112508281104523|BFO|BSE:SENSEX2582881000PE|28-AUG-25|81000|20|PE|0.05
USDINR27AUG25FUT|CDS|10122508271185|CDS|NSE:USDINR25AUGFUT|27-AUG-25|0|1000|FUT|0.0025
CRUDEOIL14AUG255600CE|MCX|1120250814452201|MCX|MCX:CRUDEOIL25AUG5600CE|14-AUG-25|5600|100|CE|0.1
"""


def read(text: str | bytes, reader: FyersInstruments | None = None, filename: str = "mine.txt") -> list[Instrument]:
    return list((reader or FyersInstruments()).parse(text.encode() if isinstance(text, str) else text, filename))


def row(
    name: str = "SBIN",
    series: str = "EQ",
    *,
    token: str = "10100000003045",
    kind: str = "0",
    home: str = "NSE",
    segment: str = "10",
    **cells: str,
) -> str:
    exchange = {"NSE": "10", "BSE": "12", "MCX": "11"}[home]
    values = {
        "token": token, "text": "SOME COMPANY", "kind": kind, "lot": "1", "tick": "0.05", "isin": "", "session": "",
        "date": "", "expiry": "", "ticker": f"{home}:{name}-{series}", "exchange": exchange, "segment": segment,
        "number": token[10:], "root": name, "root_token": "", "strike": "-1.0", "option": "XX", "root_fytoken": "",
    } | cells  # fmt: skip
    return ",".join(values.values())


def expected() -> Iterator[tuple[str, ...]]:
    for line in TABLE.splitlines():
        yield tuple(line.split("|"))


def test_the_specifications_rows_give_the_specifications_table() -> None:
    reader = FyersInstruments()
    found = sorted(read(CSV, reader) + read(json.dumps(RECORDS), reader), key=lambda each: each.token)
    lines = [
        (
            each.symbol, each.exchange, each.token, each.brexchange, each.brsymbol, each.expiry, f"{each.strike:g}",
            str(each.lotsize), each.instrumenttype, f"{each.tick_size:g}",
        )
        for each in found
    ]  # fmt: skip
    assert lines == sorted(expected(), key=lambda line: line[2])
    assert reader.skipped == {}


def test_the_files_are_public_and_the_index_names_come_first() -> None:
    downloads = FyersInstruments().downloads(None)
    assert FyersInstruments.needs_login is False
    assert [each.filename for each in downloads] == [
        "index_hsm_mapping.json", "NSE_CM.csv", "NSE_FO.csv", "BSE_CM.csv", "BSE_FO.csv",
        "NSE_CD_sym_master.json", "MCX_COM_sym_master.json",
    ]  # fmt: skip
    assert downloads[1].url == "https://public.fyers.in/sym_details/NSE_CM.csv"


def test_where_series_share_a_name_the_main_one_gets_it() -> None:
    rows = [
        row("SBIN", "N1", token="10100000001"),
        row("SBIN", "EQ", token="10100000002"),
        row("SUZLON", "BE", token="10100000003"),
        row("OLD", "BE", token="10100000004"),
        row("OLD", "BZ", token="10100000005"),
        row("BAJAJ-AUTO", "EQ", token="10100000006"),
        row("SBIN", "X", token="12100000001", home="BSE", kind="4"),
        row("SBIN", "A", token="12100000002", home="BSE"),
    ]
    assert [(each.symbol, each.exchange, each.brsymbol) for each in read("\n".join(rows))] == [
        ("SBIN-N1", "NSE", "NSE:SBIN-N1"),
        ("SBIN", "NSE", "NSE:SBIN-EQ"),
        ("SUZLON", "NSE", "NSE:SUZLON-BE"),
        ("OLD", "NSE", "NSE:OLD-BE"),
        ("OLD-BZ", "NSE", "NSE:OLD-BZ"),
        ("BAJAJ-AUTO", "NSE", "NSE:BAJAJ-AUTO-EQ"),
        ("SBIN-X", "BSE", "BSE:SBIN-X"),
        ("SBIN", "BSE", "BSE:SBIN-A"),
    ]


def test_all_kinds_of_shares_and_bonds_are_offered() -> None:
    rows = [
        row("ETF", token="10100000001", kind="9"),
        row("SGBAUG28", "GB", token="10100000002", kind="2"),
        row("BOND", "N1", token="10100000003", kind="2"),
        row("OTHER", token="10100000004", kind="5"),
        row("T", "F", token="12100000001", home="BSE", kind="50"),
        row("U", "GB", token="12100000002", home="BSE", kind="2"),
    ]
    reader = FyersInstruments()
    found = read("\n".join(rows), reader)
    assert [(each.symbol, each.instrumenttype) for each in found] == [
        ("ETF", "EQ"), ("SGBAUG28-GB", "GB"), ("BOND-N1", "N1"), ("OTHER", "EQ"), ("T-F", "EQ"), ("U", "GB"),
    ]  # fmt: skip
    assert not reader.skipped


@pytest.mark.parametrize(
    ("home", "root", "symbol"),
    [
        ("NSE", "NIFTY", "NIFTY"),
        ("NSE", "NIFTYMID50", "NIFTYMIDCAP50"),
        ("NSE", "NIFTY100 EQL WGT", "NIFTY100EQLWGT"),
        ("NSE", "BHARATBOND-APR30", "BHARATBONDAPR30"),
        ("BSE", "SENSEX", "SENSEX"),
        ("BSE", "SENSEX50", "SENSEX50"),
        ("BSE", "SNXT50", "BSESENSEXNEXT50"),
        ("BSE", "100", "BSE100"),
        ("BSE", "500", "BSE500"),
        ("BSE", "Sme Ipo", "SMEIPO"),
    ],
)
def test_indices_have_our_names(home: str, root: str, symbol: str) -> None:
    token = "101000000026000" if home == "NSE" else "12100000001"
    (found,) = read(row(root, "INDEX", token=token, kind="10", home=home))
    assert (found.symbol, found.exchange, found.lotsize) == (symbol, f"{home}_INDEX", 0)


def test_the_brokers_names_of_indices_are_kept_for_the_feed() -> None:
    reader = FyersInstruments()
    assert read('{"NSE:NIFTYNEW-INDEX":"Nifty New"}', reader, "index_hsm_mapping.json") == []
    found = read(
        "\n".join(
            (
                row("NIFTYNEW", "INDEX", token="101000000026999", kind="10"),
                row("NIFTY", "INDEX", token="101000000026000", kind="10"),
            )
        ),
        reader,
    )
    assert [each.extra for each in found] == ["Nifty New", ""]


@pytest.mark.parametrize("broken", ["<html>", "", '{"s":"error","code":500}', '{"NSE:X-INDEX"'])
def test_without_the_brokers_index_names_ours_serve(broken: str) -> None:
    reader = FyersInstruments()
    assert read(broken, reader, "index_hsm_mapping.json") == []
    assert reader.skipped["no list of index names"] == 1


def future(**cells: str) -> str:
    values = {"expiry": "1756375200", "ticker": "NSE:NIFTY25AUGFUT", "root": "NIFTY"} | cells
    return row("NIFTY", token=cells.get("token", "101125082853216"), segment="11", **values)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("abc", "no row of this list"),
        (row(token="1010x"), "no row of this list"),
        (row(ticker="SBIN"), "no row of this list"),
        (row(segment="12"), "segment that is read from another file"),
        (row(home="MCX", segment="20"), "segment that is read from another file"),
        (row(root=" "), "no symbol"),
        (row(lot="x"), "bad lot size"),
        (row(lot="-1"), "bad lot size"),
        (row(tick="nan"), "bad tick size"),
        (row(token="99990000003045"), "cannot be streamed"),
        (row(token="1010000000"), "cannot be streamed"),
        (row(token="1" * 60), "cannot be streamed"),
        (row(text='"half', kind="0"), "broken quotes"),
        (future(expiry=""), "bad expiry"),
        (future(expiry="-5"), "bad expiry"),
        (future(expiry="nan"), "bad expiry"),
        (future(expiry="1e30"), "bad expiry"),
        (future(root=""), "derivative without an underlying"),
        (future(option="CE"), "bad strike"),
        (future(option="CE", strike=""), "bad strike"),
        (future(option="YY", strike="5"), "unknown option type"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(bad: str, reason: str) -> None:
    reader = FyersInstruments()
    found = read("\n".join((bad, row("INFY", token="10100000001594"), "")), reader)
    assert [each.symbol for each in found] == ["INFY"]
    assert reader.skipped == {reason: 1}


def test_a_quoted_cell_may_hold_a_comma() -> None:
    (found,) = read(row(text='"BANK, INDIA"'))
    assert found.name == "BANK, INDIA"


def test_strikes_keep_their_decimals_only() -> None:
    (found,) = read(future(option="CE", strike="102.75", root="EURINR"))
    assert found.symbol == "EURINR28AUG25102.75CE"


def test_an_expiry_is_the_day_in_india() -> None:
    (found,) = read(future(expiry="1756324800"))  # 27 August, 20:00 UTC
    assert (found.symbol, found.expiry) == ("NIFTY28AUG25FUT", "28-AUG-25")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tradeStatus": 0}, "not traded any more"),
        ({"fyToken": "10112508271185"}, "segment that is read from another file"),
        ({"fyToken": None}, "no record of this list"),
        ({"expiryDate": "soon"}, "bad expiry"),
        ({"underSym": ""}, "derivative without an underlying"),
        ({"optType": "CE", "strikePrice": None}, "bad strike"),
        ({"qtyMultiplier": "many"}, "bad lot size"),
        ({"fyToken": "1012"}, "cannot be streamed"),
    ],
)
def test_a_bad_record_is_skipped_and_counted(change: dict[str, Any], reason: str) -> None:
    reader = FyersInstruments()
    bad = RECORDS["NSE:USDINR25AUGFUT"] | change
    found = read(json.dumps({"a": bad, "b": 7, "c": RECORDS["MCX:CRUDEOIL25AUG5600CE"]}), reader)
    assert [each.symbol for each in found] == ["CRUDEOIL14AUG255600CE"]
    assert reader.skipped == {"no record of this list": 2} or reader.skipped == {
        "no record of this list": 1,
        reason: 1,
    }


def test_numbers_may_be_written_as_text() -> None:
    record = RECORDS["MCX:CRUDEOIL25AUG5600CE"] | {
        "expiryDate": 1755194400, "strikePrice": "5600.00", "qtyMultiplier": "100", "tickSize": "0.10",
        "tradeStatus": "1",
    }  # fmt: skip
    (found,) = read(json.dumps({"x": record}))
    assert found == read(json.dumps({"x": RECORDS["MCX:CRUDEOIL25AUG5600CE"]}))[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"<html><body>Not found</body></html>",
        b'{"s":"error","message":"not found"}',
        b"{}",
        b'{"NSE:USDINR25AUGFUT":{"fyToken":"10122508271185",',
        b"a,b,c\n1,2,3\n",
        bytes(range(256)),
        b"[" * 100_000,
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_another_file_is_no_list(data: bytes) -> None:
    with pytest.raises(ListFormatError):
        read(data)


def test_200_000_rows_are_read_in_seconds() -> None:
    lines = CSV.splitlines()[3:6] * 66_667
    began = time.process_time()
    assert len(read("\n".join(lines))) == 200_001
    assert time.process_time() - began < 10
