"""The family's instrument files: every row of the specification, scales, archives, bad rows."""

import io
import zipfile

import pytest

from broker._noren.list_cases import listed
from tickmux.broker._list_rows import BadRow
from tickmux.broker._noren.index_names import index_symbol
from tickmux.broker._noren.instruments import NorenInstruments, expiry_day
from tickmux.instrument_list import ListFormatError

CASH = "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,"
NFO = "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"
CDS = (
    "Exchange,Token,LotSize,Precision,Multiplier,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,"
    "TickSize,"
)
MCX = "Exchange,Token,LotSize,GNGD,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,"
BFO_OF_ZEBU = NFO.replace("StrikePrice", "Strike")


class Lists(NorenInstruments):
    broker = "The broker"
    default_urls = {"instruments": "https://files.example"}


FILES = {
    "NSE": (CASH, {
        "NSE,3045,1,SBIN,SBIN-EQ,EQ,5,": "SBIN, NSE, 3045, NSE, SBIN-EQ, –, –, 1, EQ, 0.05",
        "NSE,16669,1,BAJAJ-AUTO,BAJAJ-AUTO-EQ,EQ,50,":
            "BAJAJ-AUTO, NSE, 16669, NSE, BAJAJ-AUTO-EQ, –, –, 1, EQ, 0.5",
        "NSE,14366,1,IDEA,IDEA-BE,BE,1,": "IDEA, NSE, 14366, NSE, IDEA-BE, –, –, 1, EQ, 0.01",
        "NSE,26000,1,Nifty 50,NIFTY INDEX,INDEX,0,":
            "NIFTY, NSE_INDEX, 26000, NSE, NIFTY INDEX, –, –, 1, INDEX, 0.05",
        "NSE,26074,1,NIFTY MID SELECT,NIFTY MID SELECT,INDEX,0,":
            "MIDCPNIFTY, NSE_INDEX, 26074, NSE, NIFTY MID SELECT, –, –, 1, INDEX, 0.05",
        "NSE,777,1,ABC,ABC-SM,SM,5,": "ABC, NSE, 777, NSE, ABC-SM, –, –, 1, SM, 0.05",
        "NSE,778,1,ABC,ABC-BE-EQ,EQ,0,": "ABC-BE, NSE, 778, NSE, ABC-BE-EQ, –, –, 1, EQ, 0.05",
        "NSE,779,1,ABD,ABD-BE,EQ,5,": "ABD, NSE, 779, NSE, ABD-BE, –, –, 1, EQ, 0.05",
        "NSE,780,1,ABE,ABE-GB,GB,5,": "ABE-GB, NSE, 780, NSE, ABE-GB, –, –, 1, GB, 0.05",
        "NSE,781,1,ABF,-EQ,EQ,5,": "ABF, NSE, 781, NSE, -EQ, –, –, 1, EQ, 0.05",
    }),
    "BSE": (CASH, {
        "BSE,500112,1,SBIN,SBIN,A,5,": "SBIN, BSE, 500112, BSE, SBIN, –, –, 1, EQ, 0.05",
        "": "SENSEX, BSE_INDEX, 1, BSE, SENSEX, –, –, 1, INDEX, 0.05",
        " ": "BANKEX, BSE_INDEX, 12, BSE, BANKEX, –, –, 1, INDEX, 0.05",
    }),
    "NFO": (NFO, {
        "NFO,53001,75,NIFTY,NIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,0.05,":
            "NIFTY28AUG25FUT, NFO, 53001, NFO, NIFTY28AUG25F, 28-AUG-25, –, 75, FUT, 0.05",
        "NFO,54957,75,NIFTY,NIFTY28AUG25C25000,28-AUG-2025,OPTIDX,CE,25000,0.05,":
            "NIFTY28AUG2525000CE, NFO, 54957, NFO, NIFTY28AUG25C25000, 28-AUG-25, 25000, 75, CE, 0.05",
        "NFO,144537,1150,VEDL,VEDL30SEP25P422.5,30-SEP-2025,OPTSTK,PE,422.5,0.05,":
            "VEDL30SEP25422.5PE, NFO, 144537, NFO, VEDL30SEP25P422.5, 30-SEP-25, 422.5, 1150, PE, 0.05",
    }),
    "CDS": (CDS, {
        "CDS,3045,1,4,1000,USDINR,USDINR26SEP25F,26-SEP-2025,FUTCUR,XX,-0.01,0.0025,":
            "USDINR26SEP25FUT, CDS, 3045, CDS, USDINR26SEP25F, 26-SEP-25, –, 1, FUT, 0.0025",
        "CDS,8817,1,4,1000,USDINR,USDINR26SEP25C88.25,26-SEP-2025,OPTCUR,CE,88.25,0,":
            "USDINR26SEP2588.25CE, CDS, 8817, CDS, USDINR26SEP25C88.25, 26-SEP-25, 88.25, 1, CE, 0.0025",
    }),
    "MCX": (MCX, {
        "MCX,447552,100,1,CRUDEOIL,CRUDEOIL19SEP25,19-SEP-2025,FUTCOM,XX,0,1,":
            "CRUDEOIL19SEP25FUT, MCX, 447552, MCX, CRUDEOIL19SEP25, 19-SEP-25, –, 100, FUT, 1",
        "MCX,466123,100,1,CRUDEOIL,CRUDEOIL17SEP25C5600,17-SEP-2025,OPTFUT,CE,5600,0.1,":
            "CRUDEOIL17SEP255600CE, MCX, 466123, MCX, CRUDEOIL17SEP25C5600, 17-SEP-25, 5600, 100, CE, 0.1",
    }),
    "BFO": (BFO_OF_ZEBU, {
        "BFO,862001,20,BSXFUT,SENSEX25SEPFUT,25-SEP-2025,FUTIDX,XX,0,0.05,":
            "SENSEX25SEP25FUT, BFO, 862001, BFO, SENSEX25SEPFUT, 25-SEP-25, –, 20, FUT, 0.05",
        "BFO,859358,20,BSXOPT,SENSEX2590281000CE,02-SEP-2025,OPTIDX,CE,81000,0.05,":
            "SENSEX02SEP2581000CE, BFO, 859358, BFO, SENSEX2590281000CE, 02-SEP-25, 81000, 20, CE, 0.05",
        "BFO,861777,75,SX50OPT,SENSEX5025SEP27000PE,25-SEP-2025,OPTIDX,PE,27000,0.05,":
            "SENSEX5025SEP2527000PE, BFO, 861777, BFO, SENSEX5025SEP27000PE, 25-SEP-25, 27000, 75, PE, 0.05",
        "BFO,10,20,NEWOPT,NEW5025D04100.5PE,04-DEC-2025,OPTIDX,PE,100.5,0.05,":
            "NEW5004DEC25100.5PE, BFO, 10, BFO, NEW5025D04100.5PE, 04-DEC-25, 100.5, 20, PE, 0.05",
        "BFO,11,20,NEWFUT,NEW5025DECFUT,24-DEC-2025,FUTIDX,XX,0,0.05,":
            "NEW5024DEC25FUT, BFO, 11, BFO, NEW5025DECFUT, 24-DEC-25, –, 20, FUT, 0.05",
        "BFO,12,20,NEWOPT,NEW5024DEC25100CE,24-DEC-2025,OPTIDX,CE,100,0.05,":
            "NEW5024DEC25100CE, BFO, 12, BFO, NEW5024DEC25100CE, 24-DEC-25, 100, 20, CE, 0.05",
        "BFO,13,500,RELIANCE,RELIANCE25SEP1400CE,25-SEP-2025,OPTSTK,CE,1400,0.05,":
            "RELIANCE25SEP251400CE, BFO, 13, BFO, RELIANCE25SEP1400CE, 25-SEP-25, 1400, 500, CE, 0.05",
    }),
}  # fmt: skip


@pytest.mark.parametrize("exchange", FILES)
def test_every_row_of_the_specification_becomes_what_it_says(exchange: str) -> None:
    head, cases = FILES[exchange]
    subject = Lists()
    assert listed(subject, [head, *cases]) == list(cases.values())
    assert not subject.skipped


def test_a_zip_is_unpacked_and_line_ends_of_any_kind_are_read() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("NSE_symbols.txt", f"\ufeff{CASH}\r\nNSE,3045,1,SBIN,SBIN-EQ,EQ,0.05,\r\n")
    (found,) = Lists().parse(packed.getvalue(), "NSE_symbols.txt.zip")
    assert (found.symbol, found.tick_size) == ("SBIN", 0.05)


@pytest.mark.parametrize(
    ("head", "row", "ticks", "expected"),
    [
        (CASH, "NSE,{n},1,S,S{n}-EQ,EQ,{tick},", ("5", "10"), [0.05, 0.1]),
        (CASH, "NSE,{n},1,S,S{n}-EQ,EQ,{tick},", ("0.05", "5"), [0.05, 5.0]),
        (CASH, "NSE,{n},1,S,S{n}-EQ,EQ,{tick},", ("0", "100"), [0.05, 1.0]),
        (CASH, "NSE,{n},1,S,S{n}-EQ,EQ,{tick},", ("", "x", "1"), [0.05, 0.01]),
        (NFO, "NFO,{n},1,S,S{n},30-SEP-2025,FUTIDX,XX,0,{tick},", ("5", "10"), [0.05, 0.1]),
        (MCX, "MCX,{n},1,1,S,S{n},30-SEP-2025,FUTCOM,XX,0,{tick},", ("1", "10"), [1.0, 10.0]),
        (MCX, "MCX,{n},1,1,S,S{n},30-SEP-2025,FUTCOM,XX,0,{tick},", ("5", "100"), [0.05, 1.0]),
        (CDS, "CDS,{n},1,4,1000,S,S{n},30-SEP-2025,FUTCUR,XX,0,{tick},", ("0.25", "1"), [0.0025, 0.01]),
        (CDS, "CDS,{n},1,4,1000,S,S{n},30-SEP-2025,FUTCUR,XX,0,{tick},", ("0.0025", "0.25"), [0.0025, 0.25]),
    ],
)
def test_the_scale_of_tick_sizes_is_that_of_the_files_smallest(
    head: str, row: str, ticks: tuple[str, ...], expected: list[float]
) -> None:
    lines = [head, *(row.format(n=200 + n, tick=tick) for n, tick in enumerate(ticks))]
    assert [one.tick_size for one in Lists().parse("\n".join(lines).encode(), "x.txt")] == expected


@pytest.mark.parametrize(
    ("head", "row", "reason"),
    [
        (NFO, "NFO,1,1,,,,,XX,0,0.05,", "no trading symbol"),
        (NFO, "NFO,1,1,,NIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,0.05,", "no symbol"),
        (NFO, "NFO,1,1,NIFTY,NIFTY28AUG25F,,FUTIDX,XX,0,0.05,", "no expiry"),
        (NFO, "NFO,1,1,NIFTY,NIFTY28AUG25F,31-FEB-2025,FUTIDX,XX,0,0.05,", "bad expiry"),
        (NFO, "NFO,1,1,NIFTY,NIFTY28AUG25F,28-AUG-25,FUTIDX,XX,0,0.05,", "bad expiry"),
        (NFO, "NFO,1,1,NIFTY,NIFTY28AUG25C1,28-AUG-2025,OPTIDX,CE,,0.05,", "bad strike"),
        (NFO, "NFO,1,1,NIFTY,NIFTY28AUG25C1,28-AUG-2025,OPTIDX,CE,inf,0.05,", "bad strike"),
        (NFO, "NFO,1,1,NIFTY,NIFTY28AUG25C1,28-AUG-2025,COM,,1,0.05,", "neither future nor option"),
        (NFO, "NFO,x,1,NIFTY,NIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,0.05,", "no token"),
        (NFO, "NFO,1,z,NIFTY,NIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,0.05,", "bad lot size"),
        (NFO, "NFO,1,1,NIFTY,NIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,nan,", "bad tick size"),
        (NFO, "NCX,1,1,NIFTY,NIFTY28AUG25F,28-AUG-2025,FUTIDX,XX,0,1,", "unknown exchange"),
        (NFO, "NFO,1,1,NIFTY,NIFTY28AUG25F,28-AUG-2025,FUTIDX", "wrong number of columns"),
        (CASH, "NSE,1,1,A,B,A-EQ,EQ,5,", "wrong number of columns"),
        (CASH, 'NSE,1,1,A,"A-EQ,EQ,5,', "broken quotes"),
        (CASH, "NSE,1,1,,NIFTY,INDEX,0,", "no symbol"),
        (CASH, "NSE,1,1,,SBIN-EQ,EQ,5,", "no symbol"),
        (CASH, "BSE,1,1,,SBIN,A,5,", "no symbol"),
        (CASH, "NSE,1,1,SBIN,,EQ,5,", "no trading symbol"),
        (CDS, "CDS,100,1,4,1000,S,S,30-SEP-2025,FUTCUR,XX,0,0.0025,", "placeholder"),
    ],
)
def test_a_bad_row_is_skipped_and_counted_and_spoils_no_other(head: str, row: str, reason: str) -> None:
    good = {CASH: FILES["NSE"], NFO: FILES["NFO"], CDS: FILES["CDS"]}[head][1]
    subject = Lists()
    assert listed(subject, [head, row, *good]) == list(good.values())
    assert subject.skipped == {reason: 1}


def test_the_key_is_exchange_and_token() -> None:
    rows = ["NSE,3045,1,SBIN,SBIN-EQ,EQ,0.05,", "BSE,3045,1,X,X,A,0.05,", "NSE,3045,1,SBIN,SBIN-EQ,EQ,0.05,"]
    subject = Lists()
    found = [(one.exchange, one.token) for one in subject.parse("\n".join([CASH, *rows]).encode(), "x")]
    assert found[:2] == [("NSE", "3045"), ("BSE", "3045")]
    assert subject.skipped == {"a token that the file had already": 1}


def test_an_index_that_the_file_has_is_not_added_again() -> None:
    rows = ["BSE,1,1,SENSEX,BSE SENSEX,INDEX,0,", "BSE,500112,1,SBIN,SBIN,A,0.05,"]
    found = list(Lists().parse("\n".join([CASH, *rows]).encode(), "x"))
    assert [(one.symbol, one.brsymbol) for one in found if one.is_index] == [
        ("SENSEX", "BSE SENSEX"),
        ("BANKEX", "BANKEX"),
    ]


@pytest.mark.parametrize(
    "data", [b"", b"<html>down</html>", b'{"stat":"Not_Ok"}', b"a,b,c\n1,2,3\n", b"PK\x03\x04garbage", b"\x00" * 100]
)
def test_what_is_no_list_at_all_is_an_error(data: bytes) -> None:
    with pytest.raises(ListFormatError):
        list(Lists().parse(data, "NSE_symbols.txt.zip"))


def test_an_archive_that_was_damaged_on_its_way_is_an_error() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("NSE_symbols.txt", "\n".join([CASH, *(f"NSE,{n},1,S{n},S{n}-EQ,EQ,5," for n in range(999))]))
    whole = packed.getvalue()
    for damaged in (whole[:200], whole[:60] + bytes(40) + whole[100:], whole[:60] + b"\xff" * 40 + whole[100:]):
        with pytest.raises(ListFormatError):
            list(Lists().parse(damaged, "NSE_symbols.txt.zip"))


def test_a_file_of_contracts_without_a_column_of_names_is_an_error() -> None:
    head = NFO.replace("Symbol,TradingSymbol", "Name,TradingSymbol")
    with pytest.raises(ListFormatError, match="'symbol'"):
        list(Lists().parse(f"{head}\n{next(iter(FILES['NFO'][1]))}".encode(), "x"))


def test_an_archive_of_anything_else_is_an_error() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme.md", "hello")
    with pytest.raises(ListFormatError):
        list(Lists().parse(packed.getvalue(), "x.zip"))


def test_there_is_one_file_for_each_exchange_and_no_login_is_needed() -> None:
    urls = [download.url for download in Lists().downloads(None)]
    assert urls == [
        f"https://files.example/{exchange}_symbols.txt.zip" for exchange in ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX")
    ]
    assert not Lists.needs_login


@pytest.mark.parametrize(
    ("names", "symbol"),
    [
        (("Nifty 50",), "NIFTY"),
        (("Nifty Bank",), "BANKNIFTY"),
        (("NIFTY FIN SERVICE",), "FINNIFTY"),
        (("Nifty Next 50",), "NIFTYNXT50"),
        (("India VIX",), "INDIAVIX"),
        (("S&P BSE SENSEX",), "SENSEX"),
        (("SNSX50",), "SENSEX50"),
        (("X", "NIFTY INDEX"), "NIFTY"),
        (("Nifty IT", "also unknown"), "NIFTYIT"),
        (("Nifty 10 yr G-Sec",), "NIFTY10YRGSEC"),
    ],
)
def test_indices_get_our_names(names: tuple[str, ...], symbol: str) -> None:
    assert index_symbol(*names) == symbol


@pytest.mark.parametrize("text", ["28-AUG-2025", "28-Aug-2025", "2025-08-28", "28-08-2025", "28082025"])
def test_expiries_are_read_in_every_form(text: str) -> None:
    assert expiry_day(text).isoformat() == "2025-08-28"


@pytest.mark.parametrize("text", ["", "28-AUG", "2808202", "28082025.0", "२८-08-2025", "28-XXX-2025", "2025-13-01"])
def test_what_is_no_date_is_none(text: str) -> None:
    with pytest.raises(BadRow):
        expiry_day(text)


def test_where_a_symbol_is_no_name_another_field_of_the_row_gives_it() -> None:
    found = Lists().parse(
        "\n".join(
            (CASH, "NSE,1,1,12:,ALPHACO-EQ,EQ,5,", "BSE,2,1,BETACO,12:,B,5,", "NSE,3,1,GAMMACO,12:-EQ,EQ,5,")
        ).encode(),
        "x.txt",
    )
    assert [one.symbol for one in found if not one.is_index] == ["ALPHACO", "BETACO", "GAMMACO"]
    ((future,)) = Lists().parse(
        "\n".join((NFO, "NFO,1,1,12:,ALPHACO28AUG25F,28-AUG-2025,FUTSTK,XX,0,0.05,")).encode(), "x"
    )
    assert (future.symbol, future.name) == ("ALPHACO28AUG25FUT", "ALPHACO")
    nameless = Lists()
    assert list(nameless.parse("\n".join((CASH, "NSE,2,1,12:,12:,EQ,5,")).encode(), "x.txt")) == []
    assert nameless.skipped == {"no symbol": 1}
