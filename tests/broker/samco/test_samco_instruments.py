"""Samco's instrument list: the specification's rows, indices, bad rows, files that are none."""

import pytest

from tickmux.broker.samco.instruments import SamcoInstruments
from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

HEADER = (
    "exchange,exchangeSegment,symbolCode,tradingSymbol,name,lastPrice,instrument,lotSize,strikePrice,expiryDate,"
    "tickSize"
)
SAMPLE = """\
NSE,NSE_CM,3045_NSE,SBIN-EQ,SBIN,812.35,EQ,1,,,0.05
BSE,BSE_CM,500325_BSE,RELIANCE,RELIANCE,1389.05,EQ,1,,,0.05
NFO,NSE_FO,53001_NFO,NIFTY25AUGFUT,NIFTY,24712.4,FUTIDX,75,,28/08/25,0.1
NFO,NSE_FO,52800_NFO,NIFTY25AUG25000CE,NIFTY,96.4,OPTIDX,75,25000.0,28/08/25,0.05
NFO,NSE_FO,99120_NFO,BANKBARODA25SEP287.5PE,BANKBARODA,4.35,OPTSTK,2925,287.5,25/09/25,0.05
BFO,BSE_FO,870044_BFO,SENSEX2590480500CE,SENSEX,233.65,IO,20,80500.0,04/09/25,0.05
CDS,NSE_CD,1143_CDS,USDINR25SEPFUT,USDINR,87.6975,FUTCUR,1000,,26/09/25,0.0025
MFO,MCX_FO,447552_MFO,CRUDEOIL25SEPFUT,CRUDEOIL,5643.0,FUTCOM,100,,18/09/25,1.0"""
EXPECTED = """\
NIFTY28AUG25FUT | NFO | 53001_NFO | NFO | NIFTY25AUGFUT | 28-AUG-25 | 0 | 75 | FUT | 0.1
NIFTY28AUG2525000CE | NFO | 52800_NFO | NFO | NIFTY25AUG25000CE | 28-AUG-25 | 25000 | 75 | CE | 0.05
BANKBARODA25SEP25287.5PE | NFO | 99120_NFO | NFO | BANKBARODA25SEP287.5PE | 25-SEP-25 | 287.5 | 2925 | PE | 0.05
SENSEX04SEP2580500CE | BFO | 870044_BFO | BFO | SENSEX2590480500CE | 04-SEP-25 | 80500 | 20 | CE | 0.05
USDINR26SEP25FUT | CDS | 1143_CDS | CDS | USDINR25SEPFUT | 26-SEP-25 | 0 | 1000 | FUT | 0.0025
CRUDEOIL18SEP25FUT | MCX | 447552_MFO | MFO | CRUDEOIL25SEPFUT | 18-SEP-25 | 0 | 100 | FUT | 1
RELIANCE | BSE | 500325_BSE | BSE | RELIANCE | | 0 | 1 | EQ | 0.05
SBIN | NSE | 3045_NSE | NSE | SBIN-EQ | | 0 | 1 | EQ | 0.05"""


def parse(rows: str, reader: SamcoInstruments | None = None) -> list[Instrument]:
    """What the rows become; the indices, which every file brings along, are left out."""
    found = (reader or SamcoInstruments()).parse(f"{HEADER}\n{rows}\n".encode(), "ScripMaster.csv")
    return [row for row in found if not row.is_index]


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


def indices() -> dict[tuple[str, str], Instrument]:
    rows = SamcoInstruments().parse(HEADER.encode(), "ScripMaster.csv")
    return {(row.symbol, row.exchange): row for row in rows}


@pytest.mark.parametrize(
    ("symbol", "exchange", "name"),
    [
        ("NIFTY", "NSE", "NIFTY 50"),
        ("BANKNIFTY", "NSE", "NIFTY BANK"),
        ("FINNIFTY", "NSE", "NIFTY FIN SERVICE"),
        ("MIDCPNIFTY", "NSE", "NIFTY MID SELECT"),
        ("NIFTYNXT50", "NSE", "NIFTY NEXT 50"),
        ("INDIAVIX", "NSE", "INDIA VIX"),
        ("NIFTY100", "NSE", "NIFTY 100"),
        ("NIFTYMIDCAP50", "NSE", "NIFTY MIDCAP 50"),
        ("NIFTYIT", "NSE", "NIFTY IT"),
        ("NIFTYCONSUMPTION", "NSE", "NIFTY CONSUMPTION"),
        ("NIFTYPSUBANK", "NSE", "NIFTY PSU BANK"),
        ("NIFTYSERVSECTOR", "NSE", "NIFTY SERV SECTOR"),
        ("NIFTYDIVOPPS50", "NSE", "NIFTY DIV OPPS 50"),
        ("NIFTY50VALUE20", "NSE", "NIFTY50 VALUE 20"),
        ("NIFTYMIDLIQ15", "NSE", "NIFTY Mid LIQ 15"),
        ("NIFTY100LIQ15", "NSE", "NIFTY100 LIQ 15"),
        ("SENSEX", "BSE", "SENSEX"),
        ("BANKEX", "BSE", "BANKEX"),
        ("SENSEX50", "BSE", "SNSX50"),
        ("BSESENSEXNEXT50", "BSE", "SNXT50"),
        ("BSEINFORMATIONTECHNOLOGY", "BSE", "BSE IT"),
        ("BSECONSUMERDURABLES", "BSE", "BSE CD"),
        ("BSEPSU", "BSE", "BSEPSU"),
        ("BSEFASTMOVINGCONSUMERGOODS", "BSE", "BSEFMC"),
        ("BSEIPO", "BSE", "BSEIPO"),
        ("BSEMETAL", "BSE", "METAL"),
        ("BSEOIL&GAS", "BSE", "OILGAS"),
        ("BSEALLCAP", "BSE", "ALLCAP"),
        ("BSELARGECAP", "BSE", "LRGCAP"),
        ("BSEMIDCAPSELECTINDEX", "BSE", "MIDSEL"),
        ("BSESMALLCAPSELECTINDEX", "BSE", "SMLSEL"),
        ("BSECARBONEX", "BSE", "CARBON"),
        ("BSEDOLLEX200", "BSE", "DOL200"),
        ("BSESMEIPO", "BSE", "SMEIPO"),
    ],
)
def test_the_indices_come_with_every_file(symbol: str, exchange: str, name: str) -> None:
    row = indices()[symbol, f"{exchange}_INDEX"]
    assert (row.token, row.brsymbol, row.brexchange) == (name, name, exchange)
    assert (row.instrumenttype, row.lotsize, row.tick_size) == ("INDEX", 1, 0.05)


def test_no_two_indices_share_a_name() -> None:
    rows = list(SamcoInstruments().parse(HEADER.encode(), "ScripMaster.csv"))
    assert len(rows) == len(indices()) == len({row.token for row in rows}) == 58


def test_the_best_series_of_a_share_bears_the_name_and_a_bond_never() -> None:
    rows = parse(
        "NSE,,1_NSE,ABC-BE,ABC,0,EQ,1,,,0.05\n"
        "NSE,,2_NSE,ABC-EQ,ABC,0,EQ,1,,,0.05\n"
        "NSE,,3_NSE,XYZ-BE,XYZ,0,EQ,1,,,0.05\n"
        "NSE,,4_NSE,MNO-SG,MNO,0,EQ,1,,,0.05\n"
        "NSE,,5_NSE,MNO-MF,MNO,0,EQ,1,,,0.05\n"
        "NSE,,6_NSE,M-BL,M,0,EQ,1,,,0.05\n"
        "BSE,,7_BSE,ABC,ABC,0,EQ,1,,,0.05\n"
    )
    assert {(row.symbol, row.exchange): row.token for row in rows} == {
        ("ABC", "NSE"): "2_NSE",
        ("ABC-BE", "NSE"): "1_NSE",
        ("XYZ", "NSE"): "3_NSE",
        ("MNO-MF", "NSE"): "5_NSE",
        ("MNO-SG", "NSE"): "4_NSE",
        ("M-BL", "NSE"): "6_NSE",
        ("ABC", "BSE"): "7_BSE",
    }


def test_the_instrument_may_be_the_series_too() -> None:
    rows = parse(
        "NSE,,1_NSE,ABC-BZ,ABC,0,BZ,1,,,0.05\nBSE,,2_BSE,ABC,ABC,0,,1,,,0.05\nNSE,,3_NSE,X-N1,X,0,FUT,1,,,0.05\n"
    )
    assert [(row.symbol, row.token, row.instrumenttype) for row in rows] == [("ABC", "1_NSE", "EQ")]


@pytest.mark.parametrize("expiry", ["28/08/25", "28/08/2025", "2025-08-28", "28-Aug-2025", "28-AUG-2025"])
def test_an_expiry_is_read_in_all_its_spellings(expiry: str) -> None:
    row = one(f"NFO,,1_NFO,NIFTY25AUGFUT,NIFTY,0,FUTIDX,75.0,0,{expiry},0.1")
    assert (row.symbol, row.expiry, row.lotsize) == ("NIFTY28AUG25FUT", "28-AUG-25", 75)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("BFO,,1_BFO,SENSEX25SEPFUT,SENSEX,0,IF,20,,25/09/25,0.05", "FUT"),
        ("BFO,,1_BFO,SENSEX25925,SENSEX,0,IF,20,,25/09/25,0.05", "FUT"),
        ("MFO,,1_MFO,CRUDEOIL25SEP,CRUDEOIL,0,FUTCOM,100,,25/09/25,1", "FUT"),
        ("MFO,,1_MFO,CRUDEOIL25SEP5600PE,CRUDEOIL,0,OPTFUT,100,5600,25/09/25,0.1", "PE"),
        ("BFO,,1_BFO,RELIANCE25SEP1400PE,RELIANCE,0,SO,500,1400,25/09/25,0.05", "PE"),
    ],
)
def test_the_trading_symbol_says_what_a_contract_is(row: str, kind: str) -> None:
    assert one(row).instrumenttype == kind


def test_a_share_whose_name_ends_like_an_option_is_a_share() -> None:
    assert one("NSE,,2885_NSE,RELIANCE-EQ,RELIANCE,0,EQ,1,0,,0.05").symbol == "RELIANCE"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("NSE,,1_NSE,SBIN-EQ", "wrong number of columns"),
        ("MCX,,1_MFO,X,X,0,FUTCOM,1,,18/09/25,1", "unknown exchange"),
        ("NSE,,1_BSE,SBIN-EQ,SBIN,0,EQ,1,,,0.05", "no token of its exchange"),
        ("NSE,,-1_NSE,SBIN-EQ,SBIN,0,EQ,1,,,0.05", "no token of its exchange"),
        ("NSE,,3045,SBIN-EQ,SBIN,0,EQ,1,,,0.05", "no token of its exchange"),
        ("NSE,,1_NSE,,SBIN,0,EQ,1,,,0.05", "no trading symbol"),
        ("NSE,,1_NSE,SBIN-EQ,SBIN,0,BOND,1,,,0.05", "instrument type that is not served"),
        ("NFO,,1_NFO,NIFTYX,NIFTY,0,XX,1,,28/08/25,0.05", "instrument type that is not served"),
        ("NFO,,1_NFO,NIFTY25AUGFUT,,0,FUTIDX,1,,28/08/25,0.05", "derivative without an underlying"),
        ("NFO,,1_NFO,NIFTY25AUGFUT,NIFTY,0,FUTIDX,1,,08/28/25,0.05", "bad expiry"),
        ("NFO,,1_NFO,NIFTY25AUGFUT,NIFTY,0,FUTIDX,1,,,0.05", "bad expiry"),
        ("NFO,,1_NFO,NIFTY25AUGFUT,NIFTY,0,FUTIDX,1,,28-Foo-2025,0.05", "bad expiry"),
        ("NFO,,1_NFO,NIFTY25AUG25000CE,NIFTY,0,OPTIDX,1,,28/08/25,0.05", "bad strike"),
        ("BFO,,1_BFO,SENSEX2590480500CE,SENSEX,0,IO,1,,04/09/25,0.05", "bad strike"),
        ("NFO,,1_NFO,NIFTY25AUG25000CE,NIFTY,0,OPTIDX,1,nan,28/08/25,0.05", "bad strike"),
        ("NFO,,1_NFO,NIFTY25AUG25000XX,NIFTY,0,OPTIDX,1,25000,28/08/25,0.05", "option that is neither call nor put"),
        ("NSE,,1_NSE,SBIN-EQ,SBIN,0,EQ,-1,,,0.05", "bad lot size"),
        ("NSE,,1_NSE,SBIN-EQ,SBIN,0,EQ,1,,,cheap", "bad tick size"),
        ('NSE,,1_NSE,"SBIN-EQ,SBIN,0,EQ,1,,,0.05', "broken quotes"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(row: str, reason: str) -> None:
    reader = SamcoInstruments()
    good = "NSE,,3045_NSE,SBIN-EQ,SBIN,0,EQ,1,,,0.05"
    assert [found.symbol for found in parse(f"{row}\n{good}", reader)] == ["SBIN"]
    assert reader.skipped == {reason: 1}


@pytest.mark.parametrize(
    "data", [b"", b"<html>maintenance</html>", b'{"status":"Failure"}', b"a,b,c\n1,2,3\n", bytes(range(256))]
)
def test_another_file_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ListFormatError, match="no column"):
        SamcoInstruments().parse(data, "mine.csv")


def test_the_list_needs_no_login() -> None:
    (download,) = SamcoInstruments({"master": "http://x/list.csv"}).downloads(None)
    assert (download.url, download.filename, SamcoInstruments.needs_login) == (
        "http://x/list.csv",
        "ScripMaster.csv",
        False,
    )
