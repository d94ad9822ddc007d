"""5paisa's scrip master: the specification's rows, series, several codes, index names, bad rows, no list at all."""

import pytest

from tickmux.broker.fivepaisa.index_names import index_symbol
from tickmux.broker.fivepaisa.instruments import FivepaisaInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

SAMPLE = """\
Exch,ExchType,ScripCode,Name,Expiry,ScripType,StrikeRate,FullName,TickSize,LotSize,QtyLimit,Multiplier,SymbolRoot,BOCOAllowed,ISIN,ScripData,Series
N,C,3045,SBIN,1980-01-01 00:00:00,EQ,0,STATE BANK OF INDIA,0.05,1,0,1,SBIN,Y,INE062A01020,SBIN_EQ,EQ
B,C,500325,RELIANCE,1980-01-01 00:00:00,EQ,0,RELIANCE INDUSTRIES LTD,0.05,1,0,1,RELIANCE,Y,INE002A01018,RELIANCE_EQ,EQ
N,D,53001,NIFTY 28 Aug 2025,2025-08-28 14:30:00,XX,0,NIFTY 28 AUG 2025,0.1,75,1800,1,NIFTY,Y,,NIFTY_20250828,XX
N,D,52800,NIFTY 28 Aug 2025 CE 25000.00,2025-08-28 14:30:00,CE,25000,NIFTY 28 AUG 2025 CE 25000.00,0.05,75,1800,1,NIFTY,Y,,NIFTY_20250828_CE_25000,\x20\x20
N,D,99120,BANKBARODA 25 Sep 2025 PE 287.50,2025-09-25 14:30:00,PE,287.5,BANKBARODA 25 SEP 2025 PE 287.50,0.05,2925,117000,1,BANKBARODA,Y,,BANKBARODA_20250925_PE_287.5,\x20\x20
B,D,870044,SENSEX 04 Sep 2025 CE 80500.00,2025-09-04 14:30:00,CE,80500,SENSEX 04 SEP 2025 CE 80500.00,0.05,20,1000,1,SENSEX,Y,,SENSEX_20250904_CE_80500,\x20\x20
N,U,1143,USDINR 26 Sep 2025,2025-09-26 12:30:00,XX,0,USDINR 26 SEP 2025,0.0025,1,10000,1000,USDINR,N,,USDINR_20250926,XX
M,D,447552,CRUDEOIL 18 Sep 2025,2025-09-18 23:30:00,XX,0,CRUDEOIL 18 SEP 2025,1,1,100,100,CRUDEOIL,N,,CRUDEOIL_20250918,XX
N,C,999920000,NIFTY,1980-01-01 00:00:00,EQ,0,NIFTY,0.05,1,0,1,NIFTY,N,,NIFTY_EQ,EQ
B,C,999901,SENSEX,1980-01-01 00:00:00,EQ,0,SENSEX,0.05,1,0,1,SENSEX,N,,SENSEX_EQ,EQ
"""  # noqa: E501
EXPECTED = """\
SBIN | NSE | 3045 | NSE | SBIN | | 0 | 1 | EQ | 0.05
RELIANCE | BSE | 500325 | BSE | RELIANCE | | 0 | 1 | EQ | 0.05
NIFTY28AUG25FUT | NFO | 53001 | NFO | NIFTY 28 AUG 2025 | 28-AUG-25 | 0 | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 52800 | NFO | NIFTY 28 AUG 2025 CE 25000.00 | 28-AUG-25 | 25000 | 75 | CE | 0.05
BANKBARODA25SEP25287.5PE | NFO | 99120 | NFO | BANKBARODA 25 SEP 2025 PE 287.50 | 25-SEP-25 | 287.5 | 2925 | PE | 0.05
SENSEX04SEP2580500CE | BFO | 870044 | BFO | SENSEX 04 SEP 2025 CE 80500.00 | 04-SEP-25 | 80500 | 20 | CE | 0.05
USDINR26SEP25FUT | CDS | 1143 | CDS | USDINR 26 SEP 2025 | 26-SEP-25 | 0 | 1 | FUT | 0.0025
CRUDEOIL18SEP25FUT | MCX | 447552 | MCX | CRUDEOIL 18 SEP 2025 | 18-SEP-25 | 0 | 1 | FUT | 1
NIFTY | NSE_INDEX | 999920000 | NSE_INDEX | NIFTY | | 0 | 1 | INDEX | 0.05
SENSEX | BSE_INDEX | 999901 | BSE_INDEX | SENSEX | | 0 | 1 | INDEX | 0.05"""
HEADER, SHARE, BSE_SHARE, FUTURE, OPTION, _, _, USDINR, _, INDEX, _ = SAMPLE.split("\n")[:11]


def parse(*lines: str) -> list[Instrument]:
    return list(FivepaisaInstruments().parse("\n".join((HEADER, *lines)).encode(), "mine.csv"))


def test_the_sample_rows_become_the_expected_table() -> None:
    subject = FivepaisaInstruments()
    table = [
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in subject.parse(SAMPLE.replace("\n", "\r\n").encode(), "mine.csv")
    ]
    assert table == [tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")]
    assert not subject.skipped


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_codes_of_a_contract_the_highest_counts(order: int) -> None:
    rows = [FUTURE, FUTURE.replace("53001", "61234"), FUTURE.replace("53001", "7")][::order]
    (found,) = parse(*rows)
    assert found.token == "61234"


@pytest.mark.parametrize("order", [1, -1])
def test_a_share_in_series_eq_goes_before_one_in_be(order: int) -> None:
    other = SHARE.replace("3045", "9000").replace("SBIN_EQ,EQ", "SBIN_BE,BE")
    assert {row.symbol: row.token for row in parse(*[SHARE, other][::order])} == {"SBIN": "3045", "SBIN-BE": "9000"}
    assert {row.symbol: row.token for row in parse(other)} == {"SBIN": "9000"}


def test_of_several_codes_of_an_index_the_first_row_counts() -> None:
    rows = parse(INDEX.replace("999920000", "999920005"), INDEX, INDEX.replace("999920000", "999999999"))
    assert [(row.symbol, row.token) for row in rows] == [("NIFTY", "999920005")]


@pytest.mark.parametrize(
    ("row", "exchange"),
    [
        (USDINR.replace("N,U", "B,U"), "BCD"),
        (USDINR, "CDS"),
        (BSE_SHARE.replace("500325", "999900"), "BSE"),
        (BSE_SHARE.replace("500325", "999901"), "BSE_INDEX"),
    ],
)
def test_segment_and_code_make_the_exchange(row: str, exchange: str) -> None:
    (found,) = parse(row)
    assert (found.exchange, found.brexchange) == (exchange, exchange)


def test_the_broker_symbol_is_upper_case_and_ends_without_blanks() -> None:
    (found,) = parse(FUTURE.replace("NIFTY 28 Aug 2025,", "Nifty 28 Aug 2025   ,"))
    assert found.brsymbol == "NIFTY 28 AUG 2025"


@pytest.mark.parametrize(
    ("root", "symbol"),
    [
        ("NIFTY 50", "NIFTY"),
        ("Nifty Next 50", "NIFTYNXT50"),
        ("NIFTY BANK", "BANKNIFTY"),
        ("BANKNIFTY", "BANKNIFTY"),
        ("NIFTY FIN", "FINNIFTY"),
        ("NIFTY FINANCIAL SERVICES", "FINNIFTY"),
        ("NIFTY MIDCAP SELECT", "MIDCPNIFTY"),
        ("NIFTY SMALLCAP 250", "NIFTYSMLCAP250"),
        ("NIFTY100 LOW VOLATILITY 30", "NIFTY100LOWVOL30"),
        ("INDIA VIX", "INDIAVIX"),
        ("SNSX50", "SENSEX50"),
        ("BSE-SENSEX 50", "SENSEX50"),
        ("BSE-BANKEX", "BANKEX"),
        ("ENERGY", "BSEENERGY"),
        ("FIN", "BSEFINANCIALSERVICES"),
        ("BSE CD", "BSECONSUMERDURABLES"),
        ("BSEDOL200", "BSEDOLLEX200"),
        ("MSL400", "BSE400MIDSMALLCAPINDEX"),
        ("NIFTY PHARMA", "NIFTYPHARMA"),
    ],
)
def test_index_names_become_our_symbols(root: str, symbol: str) -> None:
    assert index_symbol(root) == symbol


def test_a_share_keeps_the_name_that_is_also_an_index() -> None:
    (found,) = parse(SHARE.replace("SBIN", "ENERGY"))
    assert (found.symbol, found.exchange) == ("ENERGY", "NSE")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (SHARE + ",extra", "wrong number of columns"),
        (SHARE.replace("STATE", '"STATE'), "broken quotes"),
        (SHARE.replace("N,C", "X,C"), "exchange that is not served"),
        (SHARE.replace("N,C", "M,C"), "exchange that is not served"),
        (SHARE.replace("_EQ,EQ", "_EQ,"), "series that is not served"),
        (SHARE.replace("_EQ,EQ", "_EQ, "), "series that is not served"),
        (SHARE.replace("_EQ,EQ", "_EQ,XX"), "series that is not served"),
        (SHARE.replace("3045", "30a"), "no scrip code"),
        (SHARE.replace(",1,SBIN,", ",1, ,"), "no symbol"),
        (SHARE.replace("0.05,1,", "0.05,x,"), "bad lot size"),
        (SHARE.replace("0.05,1,", "nan,1,"), "bad tick size"),
        (FUTURE.replace(",XX,0,", ",EQ,0,"), "scrip type that is not served"),
        (FUTURE.replace("2025-08-28", "1980-01-01"), "bad expiry"),
        (FUTURE.replace("2025-08-28", "2025-13-28"), "bad expiry"),
        (FUTURE.replace("2025-08-28 14:30:00", ""), "bad expiry"),
        (OPTION.replace("CE,25000,", "CE,0,"), "bad strike"),
        (OPTION.replace("CE,25000,", "CE,-5,"), "bad strike"),
    ],
)
def test_a_bad_row_is_skipped_and_counted_and_costs_no_other_row(line: str, reason: str) -> None:
    subject = FivepaisaInstruments()
    found = list(subject.parse("\n".join((HEADER, line, "", BSE_SHARE)).encode(), "scripmaster.csv"))
    assert [row.symbol for row in found] == ["RELIANCE"]
    assert subject.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Cache not available for segment all", "try again later"),
        (b'"Invalid segment"', "try again later"),
        (b'{"message":"x"}', "an error answer"),
        (b"<html>", "an error answer"),
        (b"", "another file"),
        (b"a,b\n1,2", "another file"),
        (b"\xff\xfe\x00", "another file"),
    ],
)
def test_what_is_no_scrip_master_is_refused_before_the_first_row(data: bytes, words: str) -> None:
    with pytest.raises(ListFormatError, match=words) as refused:
        FivepaisaInstruments().parse(data, "scripmaster.csv")
    assert "scripmaster.csv" in str(refused.value)


def test_the_list_needs_no_login() -> None:
    subject = FivepaisaInstruments({"api": "http://127.0.0.1:1/s"})
    assert not subject.needs_login
    (download,) = subject.downloads(None)
    assert (download.url, dict(download.headers)) == ("http://127.0.0.1:1/s/ScripMaster/segment/all", {})


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "B,D,870001,SENSEX 30 Sep 2025,2025-09-30 14:30:00,XX,0,X,0.05,20,1000,1,SENSEX,Y,,X,XX",
            ("SENSEX30SEP25FUT", "BFO", "30-SEP-25", 0.0, 20, "FUT", 0.05),
        ),
        (
            "B,U,9001,USDINR 26 Sep 2025 PE 87.25,2025-09-26 12:30:00,PE,87.2500,X,0.0025,1,1,1000,USDINR,N,,X,  ",
            ("USDINR26SEP2587.25PE", "BCD", "26-SEP-25", 87.25, 1, "PE", 0.0025),
        ),
        (
            "M,D,447600,CRUDEOIL 16 Sep 2025 CE 5600.00,2025-09-16 23:30:00,CE,5600,X,0.1,1,1,100,CRUDEOIL,N,,X,  ",
            ("CRUDEOIL16SEP255600CE", "MCX", "16-SEP-25", 5600.0, 1, "CE", 0.1),
        ),
        (
            "N,D,60001,BAJAJ-AUTO 25 Sep 2025,2025-09-25 14:30:00,XX,0,X,0.5,75,1,1,BAJAJ-AUTO,Y,,X,XX",
            ("BAJAJ-AUTO25SEP25FUT", "NFO", "25-SEP-25", 0.0, 75, "FUT", 0.5),
        ),
        (
            "B,C,999914,BSE IT,1980-01-01 00:00:00,EQ,0,BSE IT,0.05,1,0,1,BSE IT,N,,X,EQ",
            ("BSEINFORMATIONTECHNOLOGY", "BSE_INDEX", "", 0.0, 1, "INDEX", 0.05),
        ),
        (
            "N,C,16675,GANGESSEC,,EQ,0,GANGES SECURITIES,0.01,1,0,1,GANGESSEC,Y,X,GANGESSEC_BE,BE",
            ("GANGESSEC", "NSE", "", 0.0, 1, "EQ", 0.01),
        ),
    ],
)
def test_rows_of_every_segment(line: str, wanted: tuple[object, ...]) -> None:
    (found,) = parse(line)
    told = (found.symbol, found.exchange, found.expiry, found.strike, found.lotsize, found.instrumenttype)
    assert (*told, found.tick_size) == wanted
