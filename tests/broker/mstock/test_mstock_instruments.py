"""m.Stock's instrument list: the specification's rows, the page of indices, bad rows, files that are none."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.broker.mstock.index_table import read_index_table
from tickmux.broker.mstock.instruments import MStockInstruments
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

SAMPLE = """[{"token":"3045","symbol":"SBIN","name":"SBIN-EQ","expiry":"","strike":"","lotsize":"1","instrumenttype":"EQ","exch_seg":"NSE","tick_size":"0.05"},
 {"token":"500325","symbol":"RELIANCE","name":"RELIANCE","expiry":"","strike":"","lotsize":"1","instrumenttype":"EQ","exch_seg":"BSE","tick_size":"0.05"},
 {"token":"999901","symbol":"SENSEX","name":"SENSEX","expiry":"","strike":"","lotsize":"1","instrumenttype":"","exch_seg":"BSE","tick_size":"0.01"},
 {"token":"53216","symbol":"NIFTY","name":"NIFTY25AUGFUT","expiry":"28AUG2025","strike":"0","lotsize":"75","instrumenttype":"FUTIDX","exch_seg":"NFO","tick_size":"0.1"},
 {"token":"47123","symbol":"NIFTY","name":"NIFTY25AUG25000CE","expiry":"28AUG2025","strike":"25000","lotsize":"75","instrumenttype":"OPTIDX","exch_seg":"NFO","tick_size":"0.05"},
 {"token":"91007","symbol":"SAIL","name":"SAIL25AUG122.5PE","expiry":"28-AUG-2025","strike":"122.5","lotsize":"4700","instrumenttype":"OPTSTK","exch_seg":"NFO","tick_size":"0.05"},
 {"token":"1104523","symbol":"SENSEX","name":"SENSEX2582881000PE","expiry":"2025-08-28","strike":"81000","lotsize":"20","instrumenttype":"OPTIDX","exch_seg":"BFO","tick_size":"0.05"},
 {"token":"1185","symbol":"USDINR","name":"USDINR25AUGFUT","expiry":"27AUG2025","strike":"","lotsize":"1000","instrumenttype":"FUTCUR","exch_seg":"NSE","tick_size":"0.0025"}]"""  # noqa: E501
EXPECTED = """\
SBIN | NSE | 3045 | NSE | SBIN-EQ | | 0 | 1 | EQ | 0.05
RELIANCE | BSE | 500325 | BSE | RELIANCE | | 0 | 1 | EQ | 0.05
SENSEX | BSE_INDEX | 999901 | BSE | SENSEX | | 0 | 1 | INDEX | 0.01
NIFTY | NSE_INDEX | 26000 | NSE | Nifty 50 | | 0 | 1 | INDEX | 0.05
NIFTY28AUG25FUT | NFO | 53216 | NFO | NIFTY25AUGFUT | 28-AUG-25 | 0 | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 47123 | NFO | NIFTY25AUG25000CE | 28-AUG-25 | 25000 | 75 | CE | 0.05
SAIL28AUG25122.5PE | NFO | 91007 | NFO | SAIL25AUG122.5PE | 28-AUG-25 | 122.5 | 4700 | PE | 0.05
SENSEX28AUG2581000PE | BFO | 1104523 | BFO | SENSEX2582881000PE | 28-AUG-25 | 81000 | 20 | PE | 0.05
USDINR27AUG25FUT | CDS | 1185 | NSE | USDINR25AUGFUT | 27-AUG-25 | 0 | 1000 | FUT | 0.0025"""
PAGE = """<html><body><table><tr><th>Mode</th><th>Value</th></tr><tr><td>LTP</td><td>1</td></tr></table>
<h2>Index tokens</h2><table class="x">
<thead><tr><th>Script</th><th>Token</th><th>Name</th><th>Exchange</th></tr></thead>
<tbody><tr><td>NIFTY50</td><td> 26000 </td><td>Nifty&nbsp;50</td><td>NSE</td></tr>
<tr><td>SENSEX</td><td>999901</td><td><b>S&amp;P BSE</b> SENSEX</td><td>bse</td></tr></tbody></table></body></html>"""
ROWS: list[dict[str, Any]] = json.loads(SAMPLE)
SHARE, BSE_SHARE, FUTURE, OPTION, CURRENCY = (ROWS[n] for n in (0, 1, 3, 4, 7))
KNOWN = {
    "NIFTY": "26000", "BANKNIFTY": "26009", "NIFTYNXT50": "26013", "INDIAVIX": "26017", "FINNIFTY": "26037",
    "MIDCPNIFTY": "26074",
}  # fmt: skip


def parse(*rows: Any, page: str | None = PAGE) -> list[Instrument]:
    subject = MStockInstruments()
    indices = [] if page is None else list(subject.parse(page.encode(), "Annexure.html"))
    return indices + list(subject.parse(json.dumps(rows).encode(), "OpenAPIScripMaster.json"))


def one(row: dict[str, Any], page: str = PAGE) -> Instrument:
    return parse(row, page=page)[-1]


def test_the_sample_rows_become_the_expected_table() -> None:
    table = {
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in parse(*ROWS)
    }
    assert table == {tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")}


@pytest.mark.parametrize("page", [None, "<html>Not found</html>", "<!DOCTYPE html>"])
def test_without_the_page_the_main_indices_of_nse_are_known(page: str | None) -> None:
    found = parse(*ROWS, page=page)
    assert {row.symbol: row.token for row in found if row.exchange == "NSE_INDEX"} == KNOWN
    assert [row.exchange for row in found if row.symbol == "SENSEX"] == ["BSE"]


def test_a_page_with_nse_indices_replaces_the_known_ones() -> None:
    found = parse(*ROWS)
    assert [row.symbol for row in found if row.exchange == "NSE_INDEX"] == ["NIFTY"]


@pytest.mark.parametrize(
    ("script", "symbol"),
    [
        ("NIFTY50", "NIFTY"),
        ("Nifty Bank", "BANKNIFTY"),
        ("NIFTYFINSERVICE", "FINNIFTY"),
        ("NIFTYNEXT50", "NIFTYNXT50"),
        ("NIFTYMIDSELECT", "MIDCPNIFTY"),
        ("NIFTYMIDCAPSELECT", "MIDCPNIFTY"),
        ("INDIAVIX", "INDIAVIX"),
        ("NIFTYIT", "NIFTYIT"),
    ],
)
def test_index_words_become_our_symbols(script: str, symbol: str) -> None:
    page = PAGE.replace("NIFTY50", script)
    found = parse(SHARE, page=page)[0]
    assert (found.symbol, found.exchange, found.brsymbol, found.token) == (symbol, "NSE_INDEX", "Nifty 50", "26000")


@pytest.mark.parametrize(
    ("name", "symbol"), [("SNSX50", "SENSEX50"), ("SNXT50", "BSESENSEXNEXT50"), ("BANKEX", "BANKEX")]
)
def test_bse_indices_are_told_by_their_token(name: str, symbol: str) -> None:
    found = one(ROWS[2] | {"symbol": name, "name": name})
    assert (found.symbol, found.exchange, found.brsymbol) == (symbol, "BSE_INDEX", name)
    assert one(ROWS[2] | {"exch_seg": "NSE"}).exchange == "NSE", "the token of another exchange is none of BSE's"


def symbols(*names: str, exchange: str = "NSE") -> dict[str, str]:
    rows = [
        SHARE | {"token": str(number), "name": name, "exch_seg": exchange} for number, name in enumerate(names, 1)
    ]
    return {found.brsymbol: found.symbol for found in parse(*rows)[1:]}


@pytest.mark.parametrize("order", [1, -1])
def test_a_series_is_dropped_where_the_bare_name_is_free(order: int) -> None:
    names = [
        "SBIN-EQ",
        "SBIN-BE",
        "ABC-BE",
        "DEF-BZ",
        "TWO-BZ",
        "TWO-BE",
        "BOND-N1",
        "BAJAJ-AUTO-EQ",
        "OLD",
        "OLD-BE",
    ]
    assert symbols(*names[::order]) == {
        "SBIN-EQ": "SBIN",
        "SBIN-BE": "SBIN-BE",
        "ABC-BE": "ABC",
        "DEF-BZ": "DEF",
        "TWO-BE": "TWO",
        "TWO-BZ": "TWO-BZ",
        "BOND-N1": "BOND-N1",
        "BAJAJ-AUTO-EQ": "BAJAJ-AUTO",
        "OLD": "OLD",
        "OLD-BE": "OLD-BE",
    }


def test_two_exchanges_do_not_take_each_others_names_and_the_store_takes_neither_of_two_rows_of_one_series() -> None:
    assert symbols("X-BE", exchange="BSE") == {"X-BE": "X-BE"}  # BSE has groups, no series
    found = parse(
        SHARE | {"token": "1", "name": "X-EQ", "exch_seg": "BSE"},
        SHARE | {"token": "2", "name": "X-BE"},
        SHARE | {"token": "3", "name": "X-BE"},
    )[1:]
    assert {(row.token, row.symbol, row.exchange) for row in found} == {
        ("1", "X", "BSE"),
        ("2", "X", "NSE"),
        ("3", "X", "NSE"),
    }


@pytest.mark.parametrize(
    "text", ["19MAR2024", "19-MAR-2024", "2024-03-19", "19-MAR-24", "19MAR24", "19mar2024", " 19MAR24 "]
)
def test_an_expiry_may_be_written_in_five_ways(text: str) -> None:
    found = one(FUTURE | {"expiry": text})
    assert (found.symbol, found.expiry) == ("NIFTY19MAR24FUT", "19-MAR-24")


@pytest.mark.parametrize(
    ("segment", "kind", "exchange", "our_kind"),
    [
        ("NSE", "FUTCUR", "CDS", "FUT"),
        ("NSE", "OPTCUR", "CDS", "CE"),
        ("NSE", "FUTIRC", "CDS", "FUT"),
        ("NSE", "OPTIRC", "CDS", "CE"),
        ("BSE", "FUTCUR", "BCD", "FUT"),
        ("BSE", "OPTCUR", "BCD", "CE"),
        ("MCX", "FUTCOM", "MCX", "FUT"),
        ("MCX", "OPTFUT", "MCX", "CE"),
        ("BFO", "OPTSTK", "BFO", "CE"),
        ("NFO", "FUTSTK", "NFO", "FUT"),
    ],
)
def test_what_a_contract_is_on_decides_its_exchange(segment: str, kind: str, exchange: str, our_kind: str) -> None:
    found = one(OPTION | {"exch_seg": segment, "instrumenttype": kind})
    assert (found.exchange, found.brexchange, found.instrumenttype) == (exchange, segment, our_kind)


def test_the_same_token_on_two_exchanges_makes_two_instruments() -> None:
    found = parse(SHARE, CURRENCY | {"token": "3045"}, BSE_SHARE | {"token": "3045"})[1:]
    assert {(row.exchange, row.token) for row in found} == {("NSE", "3045"), ("CDS", "3045"), ("BSE", "3045")}


def test_empty_numbers_have_defaults_and_numbers_may_be_written_as_such() -> None:
    found = one(SHARE | {"token": 3045, "lotsize": "", "tick_size": "", "strike": None})
    assert (found.token, found.lotsize, found.tick_size, found.strike) == ("3045", 1, 0.05, 0)
    found = one(OPTION | {"strike": 25000.0, "lotsize": 75, "tick_size": 0.05})
    assert (found.symbol, found.lotsize, found.tick_size) == ("NIFTY28AUG2525000CE", 75, 0.05)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("text", "not in the list's format"),
        ({"token": "1", "exch_seg": "NSE"}, "not in the list's format"),
        (SHARE | {"exch_seg": "NCDEX"}, "exchange that is not served"),
        (SHARE | {"token": ""}, "no token"),
        (SHARE | {"token": "30A"}, "no token"),
        (SHARE | {"token": "1" * 26}, "no token"),
        (SHARE | {"name": " "}, "no symbol"),
        (SHARE | {"name": "-EQ"}, "no symbol"),
        (SHARE | {"lotsize": "many"}, "bad lot size"),
        (SHARE | {"lotsize": "-1"}, "bad lot size"),
        (SHARE | {"tick_size": "nan"}, "bad tick size"),
        (SHARE | {"instrumenttype": "BOND"}, "instrument type that is not served"),
        (SHARE | {"exch_seg": "NFO"}, "instrument type that is not served"),
        (FUTURE | {"exch_seg": "NSE"}, "contract on an exchange that does not trade it"),
        (CURRENCY | {"exch_seg": "NFO"}, "contract on an exchange that does not trade it"),
        (FUTURE | {"symbol": None}, "derivative without an underlying"),
        (FUTURE | {"expiry": ""}, "bad expiry"),
        (FUTURE | {"expiry": "31SEP2025"}, "bad expiry"),
        (FUTURE | {"expiry": "28-AUG2025"}, "bad expiry"),
        (FUTURE | {"expiry": "28AUG025"}, "bad expiry"),
        (FUTURE | {"expiry": "2025-13-28"}, "bad expiry"),
        (FUTURE | {"expiry": "२८AUG2025"}, "bad expiry"),
        (OPTION | {"strike": "0"}, "bad strike"),
        (OPTION | {"strike": "inf"}, "bad strike"),
        (OPTION | {"strike": None}, "bad strike"),
        (OPTION | {"name": "NIFTY25AUG25000XX"}, "option that is neither call nor put"),
    ],
)
def test_a_bad_row_is_skipped_and_counted_and_costs_no_other_row(row: Any, reason: str) -> None:
    subject = MStockInstruments()
    found = list(subject.parse(json.dumps([row, *ROWS]).encode(), "mine.json"))
    assert len(found) == len(ROWS) + len(KNOWN)
    assert subject.skipped == {reason: 1}


@pytest.mark.parametrize(
    "data",
    [
        b'{"status":"false","message":"Invalid token","data":null}',
        b"<html>Bad gateway</html>",
        b"",
        b"[]",
        b"[1,2,3]",
        b'[{"instrument_key":"NSE_EQ|1","trading_symbol":"SBIN"}]',
        b"\xff\xfe\x00",
        SAMPLE.encode()[:-40],
        b"[" * 100_000,
    ],
)
def test_what_is_no_instrument_list_is_refused_before_the_first_row(data: bytes) -> None:
    with pytest.raises(ListFormatError, match=r"master\.json"):
        MStockInstruments().parse(data, "master.json")


def test_the_session_goes_to_the_dump_and_not_to_the_documentation() -> None:
    subject = MStockInstruments({"api": "http://127.0.0.1:1", "annexure": "http://127.0.0.1:2/page"})
    assert subject.needs_login
    page, dump = subject.downloads(Credentials({"api_key": "k@", "access_token": "t"}))
    assert (page.url, page.optional, dict(page.headers)) == ("http://127.0.0.1:2/page", True, {})
    assert dump.url == "http://127.0.0.1:1/openapi/typeb/instruments/OpenAPIScripMaster"
    assert dict(dump.headers) == {"X-Mirae-Version": "1", "Authorization": "Bearer t", "X-PrivateKey": "k@"}
    with pytest.raises(ValueError, match="login"):
        subject.downloads(None)


TAGS = st.sampled_from(
    ["<table>", "</table>", "<tr>", "<td>", "</td>", "<th>Script", "<th>Token", "<th>Name", "<th>Exchange", "<td>NSE",
     "<td>26000", "<td>Nifty 50", "<!--", "-->", "<![CDATA[", "<!", "&#x110000;", "&nbsp;", "<script>", "<td", "<?"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(TAGS, st.text(max_size=8)), max_size=40).map("".join))
def test_a_page_of_any_tags_gives_rows_of_numbers_or_none(page: str) -> None:
    for row in read_index_table(page):
        assert row.token.isdigit()
        assert row.script
        assert row.name


def test_a_page_of_endless_cells_is_read_to_a_bound() -> None:
    started = time.process_time()
    assert read_index_table("<table><tr>" + "<td>1" * 200_000) == []
    for page in ("<td" * 200_000, "<" + "a" * 200_000, "<table><tr><td>" + "<b>x" * 100_000, "<table><tr>" * 50_000):
        assert read_index_table(page) == []
        assert len(read_index_table(PAGE + page)) == 2
    assert time.process_time() - started < 3.0


def test_200_000_rows_are_read_in_seconds() -> None:
    body = SAMPLE.strip()[1:-1]
    data = f"[{','.join([body] * 25_000)}]".encode()
    started = time.process_time()
    assert sum(1 for _ in MStockInstruments().parse(data, "master.json")) == 200_006
    assert time.process_time() - started < 5.0  # about 1 s on an idle machine


def test_without_the_page_of_indices_what_it_decides_on_stays_as_it_was() -> None:
    session = Credentials({"access_token": "t", "api_key": "k"})
    page, master = MStockInstruments().downloads(session)
    assert page.optional
    assert set(page.exchanges) == {"BSE", "BSE_INDEX", "NSE_INDEX"}  # BSE's indices would be shares
    assert not master.optional
