"""The family's instrument master and lists of indices."""

import json
from typing import Any

import pytest

from broker import vector_cases
from broker._xts.xts_wire import BINARY, JSON, MEMBERS, SESSION
from tickmux.broker.fivepaisaxts.instruments import FivepaisaXtsInstruments
from tickmux.broker.rmoney.instruments import RmoneyInstruments
from tickmux.broker.wisdom.instruments import WisdomInstruments
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.instrument_list import InstrumentList, ListFormatError
from tickmux.websocket_proxy.broker_factory import Broker

COLUMNS = (
    "symbol", "exchange", "token", "brexchange", "brsymbol", "expiry", "strike", "lotsize", "instrumenttype",
    "tick_size",
)  # fmt: skip
RELIANCE = (
    "NSECM|2885|8|RELIANCE|RELIANCE-EQ|EQ|RELIANCE-EQ|1100100002885|1558.8|1275.4|357106|0.1|1|1|RELIANCE|"
    "INE002A01018|1|1|RELIANCE-EQ|0|-1|-1"
)
FUTURE = (
    "NSEFO|35013|1|NIFTY|NIFTY25AUGFUT|FUTIDX|NIFTY-FUTIDX|2100100035013|27500|22500|1801|0.1|75|1|-1|Nifty 50|"
    "2025-08-28T14:30:00|NIFTY 28AUG2025|1|1|NIFTY25AUGFUT"
)
OPTION = (
    "NSEFO|88121|2|ITC|ITC25AUG412.5CE|OPTSTK|ITC-OPTSTK|2100100088121|612.35|0.05|1801|0.05|1600|1|-1||"
    "2025-08-28T14:30:00|412.5|3|ITC 28AUG2025 CE 412.5|1|1|ITC25AUG412.5CE"
)
SENSEX = "BSECM|1|16|SENSEX|SENSEX-SPOT|SPOT|SENSEX-SPOT|11|0|0|357106|0.01|1|1|SENSEX||1|1|SENSEX-SPOT|0|-1|-1"


def master(*rows: str) -> bytes:
    return json.dumps({"type": "success", "result": "\n".join(rows)}).encode()


def parse(data: bytes, filename: str = "NSECM.json", reader: InstrumentList | None = None) -> list[Instrument]:
    return list((reader or WisdomInstruments()).parse(data, filename))


def changed(row: str, **columns: str) -> str:
    cells = row.split("|")
    for place, value in columns.items():
        cells[int(place.removeprefix("c"))] = value
    return "|".join(cells)


@pytest.mark.parametrize("item", vector_cases.load("_xts")["master"], ids=lambda item: item["name"])
def test_masters_become_the_tables_of_the_vectors(item: dict[str, Any]) -> None:
    # The vectors are of the time when of NSE's series EQ alone was served.
    found = [row for row in parse(json.dumps(item["response"]).encode(), item["segment"]) if row.series != "BE"]
    assert [{name: getattr(row, name) for name in COLUMNS} for row in found] == item["expect"]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_what_is_fetched_follows_from_the_exchanges(member: Broker) -> None:
    base = member.adapter.default_urls["api"]
    files = member.instruments().downloads(SESSION)
    masters = [file for file in files if file.method == "POST"]
    segments = {"NSE": "NSECM", "BSE": "BSECM", "NFO": "NSEFO", "BFO": "BSEFO", "CDS": "NSECD", "MCX": "MCXFO"}
    wanted = {segments[name] for name in member.adapter.exchanges if name in segments}
    assert {file.json["exchangeSegmentList"][0] for file in masters} == wanted
    assert len(masters) == len(wanted)
    where = base.replace(JSON, BINARY) if member.name == "rmoney" else base
    assert {file.url for file in masters} == {f"{where}/instruments/master"}
    assert [file.url for file in files if file.method == "GET"] == [
        f"{where}/instruments/indexlist?exchangeSegment={number}" for number in (1, 11)
    ]
    assert all(file.headers == {"Authorization": "TOKEN1"} for file in files)
    assert len({file.filename for file in files}) == len(files)


def test_the_master_comes_from_the_sessions_prefix_and_without_a_session_from_the_usual_one() -> None:
    other = Credentials({"token": "T", "user_id": "U", "prefix": BINARY})
    assert WisdomInstruments().downloads(other)[0].url.startswith(f"https://trade.wisdomcapital.in{BINARY}/")
    alone = WisdomInstruments({"api": "http://localhost:5/apimarketdata/"}).downloads(None)[0]
    assert (alone.url, alone.headers) == ("http://localhost:5/apimarketdata/instruments/master", {})
    assert RmoneyInstruments().downloads(other)[0].url.count(BINARY) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (RELIANCE[:60], "too few columns"),
        (changed(RELIANCE, c0="NCDEX"), "segment that is not served"),
        (changed(RELIANCE, c1="x"), "no instrument id"),
        (changed(RELIANCE, c1=""), "no instrument id"),
        (changed(RELIANCE, c3=" "), "no name"),
        (changed(RELIANCE, c5=""), "series that is not served"),
        (changed(RELIANCE, c11="abc"), "bad tick size"),
        (changed(RELIANCE, c11="nan"), "bad tick size"),
        (changed(RELIANCE, c12="-1"), "bad lot size"),
        (changed(RELIANCE, c2="4"), "spread"),
        (changed(FUTURE, c2="4"), "spread"),
        (changed(FUTURE, c16="1"), "bad expiry"),
        (changed(FUTURE, c16=""), "bad expiry"),
        (changed(FUTURE, c16="2025-02-30T00:00:00"), "bad expiry"),
        (changed(FUTURE, c16="2025-W35-4T00"), "bad expiry"),
        (changed(FUTURE, c2="7", c5="XX"), "unknown kind of contract"),
        ("|".join(FUTURE.split("|")[:16]), "too few columns"),
        ("|".join(OPTION.split("|")[:18]), "too few columns"),
        (changed(OPTION, c17="0"), "option without a strike or a type"),
        (changed(OPTION, c18="1"), "option without a strike or a type"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(row: str, reason: str) -> None:
    reader = WisdomInstruments()
    found = parse(master(row, "", RELIANCE), reader=reader)
    assert [one.symbol for one in found] == ["RELIANCE"]
    assert reader.skipped == {reason: 1}


def test_the_series_decides_where_the_type_is_of_another_kind() -> None:
    future, option = parse(master(changed(FUTURE, c2="7"), changed(OPTION, c2="7")))
    assert (future.instrumenttype, option.instrumenttype) == ("FUT", "CE")


def test_columns_may_be_appended_and_a_future_may_have_an_options_width() -> None:
    appended = f"{RELIANCE}|new|newer"
    wide = changed(f"{FUTURE}|x|y", c17="0", c18="3")
    found = parse(master(appended + "\r", wide))
    assert [(one.symbol, one.instrumenttype) for one in found] == [("RELIANCE", "EQ"), ("NIFTY28AUG25FUT", "FUT")]


def test_an_index_of_both_lists_counts_once() -> None:
    reader = WisdomInstruments()
    (index,) = parse(master(SENSEX), "BSECM.json", reader)
    listed = json.dumps({"result": {"exchangeSegment": 11, "indexList": ["SENSEX_1", "BANKEX_12", "BANKEX_12"]}})
    (other,) = parse(listed.encode(), "indexlist-11.json", reader)
    assert (index.exchange, index.tick_size, other.symbol) == ("BSE_INDEX", 0.01, "BANKEX")
    assert reader.skipped == {"index that the other list has too": 2}


@pytest.mark.parametrize(
    ("segment", "name", "symbol"),
    [
        (1, "Nifty  50", "NIFTY"),
        (1, "HANGSENG BEES-NAV", "HANGSENGBEESNAV"),
        (1, "HANGSENG BEES NAV", "HANGSENGBEESNAV"),
        (1, "NIFTY50 PR 1x INV", "NIFTY50PR1XINV"),
        (11, "SNSX50", "SENSEX50"),
        (11, "BSEPBI", "BSEPSU"),
        (11, "FIN", "BSEFINANCIALSERVICES"),
        (11, "OILGAS", "BSEOIL&GAS"),
        (11, "BSE-X Y", "BSEXY"),
    ],
)
def test_index_names_become_symbols(segment: int, name: str, symbol: str) -> None:
    listed = json.dumps({"result": {"exchangeSegment": segment, "indexList": [f"{name}_77"]}}).encode()
    assert [one.symbol for one in parse(listed, "x.json")] == [symbol]


@pytest.mark.parametrize(
    ("filename", "exchange"),
    [
        ("indexlist-1.json", "NSE_INDEX"),
        ("indexlist-11.json", "BSE_INDEX"),
        ("indexlist:1", "NSE_INDEX"),
        ("indexlist:11", "BSE_INDEX"),
        ("indexlist?exchangeSegment=11", "BSE_INDEX"),
        ("day-2/list-11.txt", "BSE_INDEX"),
    ],
)
def test_a_list_that_names_no_exchange_is_of_its_files(filename: str, exchange: str) -> None:
    listed = json.dumps({"result": {"indexList": ["BANKEX_12"]}}).encode()
    assert [one.exchange for one in parse(listed, filename)] == [exchange]


def test_a_list_that_may_lack_a_segment_still_needs_the_stocks() -> None:
    files = FivepaisaXtsInstruments().downloads(SESSION)
    assert [file.filename for file in files if not file.optional] == ["NSECM.json"]
    assert not any(file.optional for file in WisdomInstruments().downloads(SESSION))


def test_a_session_that_has_ended_is_said_to_have() -> None:
    with pytest.raises(ListFormatError, match="tickmux broker login wisdom"):
        parse(b'{"type":"error","description":"Invalid Token"}')


def test_rows_of_every_kind() -> None:
    stock, energy = "2100100088121|612.35|0.05|1801|0.05|1600|1|-1||", "21|9|1|18|0.05|1250|1|-1|NATURALGAS|"
    rows = [
        f"NSEFO|1|2|NIFTY|W|OPTIDX|N|{stock}2025-09-02T14:30:00|24950.00|4|NIFTY|1|1|W",
        f"NSEFO|2|1|M&M|MM|FUTSTK|N|{stock}2025-08-28T14:30:00|M&M|1|1|MM",
        f"NSECD|3|2|EURINR|E|OPTCUR|N|{stock}2025-09-26T12:30:00|102.75|3|E|1|1|E",
        f"BSEFO|4|1|BANKEX|B|IF|N|{stock}2025-08-26T15:30:00|BANKEX|1|1|B",
        f"BSEFO|5|2|RELIANCE|R|SO|N|{stock}2025-08-28T15:30:00|1420|4|R|1|1|R",
        f"MCXFO|6|9|NATURALGAS|G|OPTFUT|N|{energy}2025-08-22T23:30:00|252.5|3|G|1|1|G",
        f"MCXFO|7|1|GOLDM|G|FUTCOM|N|{energy}2025-09-05T23:30:00|0|3|G|1|1|G",
        "BSECM|532540|8|TCS|TCS|A|N|11|1|1|1|0.05|1|1|TCS|INE467B01029|1|1|TCS|0|-1|-1",
        "BSECM|890144|8|GILLANDERS|G|XT|N|11|1|1|1|0.01|1|1|GILLANDERS|INE047B01011|1|1|G|0|-1|-1",
        "MSECM|9|8|X|X|EQ|N|11|1|1|1|0.01|1|1|X|INE|1|1|G|0|-1|-1",
    ]
    reader = WisdomInstruments()
    found = [(one.symbol, one.exchange, one.token, one.strike) for one in parse(master(*rows), reader=reader)]
    assert found == [
        ("NIFTY02SEP2524950PE", "NFO", "1", 24950.0),
        ("M&M28AUG25FUT", "NFO", "2", 0.0),
        ("EURINR26SEP25102.75CE", "CDS", "3", 102.75),
        ("BANKEX26AUG25FUT", "BFO", "4", 0.0),
        ("RELIANCE28AUG251420PE", "BFO", "5", 1420.0),
        ("NATURALGAS22AUG25252.5CE", "MCX", "6", 252.5),
        ("GOLDM05SEP25FUT", "MCX", "7", 0.0),
        ("TCS", "BSE", "532540", 0.0),
        ("GILLANDERS", "BSE", "890144", 0.0),
    ]
    assert reader.skipped == {"segment that is not served": 1}


def test_entries_without_a_name_or_an_id_are_skipped() -> None:
    reader = WisdomInstruments()
    entries = ["NIFTY 50", "_5", "NIFTY_", "NIFTY_x", None, 5, "A_B_7"]
    listed = json.dumps({"result": {"indexList": entries}}).encode()
    assert [(one.symbol, one.token) for one in parse(listed, "indexlist-1.json", reader)] == [("A_B", "7")]
    assert sum(reader.skipped.values()) == 6


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>502</html>",
        b'{"type":"error","code":"e-session-0007","description":"Invalid Token"}',
        b'{"type":"success","result":""}',
        b'{"type":"success","result":"a|b|c\\nd|e"}',
        b'{"type":"success","result":{"indexList":"no"}}',
        b'{"type":"success","result":{"indexList":["NIFTY 50_26000"],"exchangeSegment":51}}',
        b'{"type":"success","result":{"indexList":["NIFTY 50_26000"]}}',
        b"[1,2]",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_list_at_all_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ListFormatError):
        parse(data, "list.json")
