"""Definedge's instrument lists: every row of the specification, and what is its own."""

import pytest

from broker._noren.list_cases import check
from tickmux.broker.definedge import BROKER
from tickmux.instrument_list import ListFormatError

FILES = {
    "NSE": ("", {
        "NSE,2885,RELIANCE,RELIANCE-EQ,EQ,,10,1,,0,2,1,INE002A01018,1.000000,RELIANCE INDUSTRIES": "RELIANCE, NSE, 2885, NSE, RELIANCE-EQ, –, –, 1, EQ, 0.1",
        "NSE,26000,Nifty 50,Nifty 50,IDX,,5,1,,0,2,1,,1.000000,": "NIFTY, NSE_INDEX, 26000, NSE, Nifty 50, –, –, 1, INDEX, 0.05",
    }),
    "BSE": ("", {
        "BSE,500325,RELIANCE,RELIANCE,EQ,,5,1,,0,2,1,INE002A01018,1.000000,RELIANCE INDUSTRIES": "RELIANCE, BSE, 500325, BSE, RELIANCE, –, –, 1, EQ, 0.05",
        "BSE,1,SENSEX,SENSEX,IDX,,1,1,,0,2,1,,1.000000,": "SENSEX, BSE_INDEX, 1, BSE, SENSEX, –, –, 1, INDEX, 0.01",
    }),
    "NFO": ("", {
        "NFO,53001,NIFTY,NIFTY30SEP25FUT,FUTIDX,30092025,10,75,XX,0,2,1,,1.000000,": "NIFTY30SEP25FUT, NFO, 53001, NFO, NIFTY30SEP25FUT, 30-SEP-25, –, 75, FUT, 0.1",
        "NFO,144537,ZYDUSLIFE,ZYDUSLIFE30SEP25P1360,OPTSTK,30092025,5,900,PE,136000,2,1,,1.000000,": "ZYDUSLIFE30SEP251360PE, NFO, 144537, NFO, ZYDUSLIFE30SEP25P1360, 30-SEP-25, 1360, 900, PE, 0.05",
        "NFO,144601,VEDL,VEDL30SEP25P422.5,OPTSTK,30092025,5,1150,PE,42250,2,1,,1.000000,": "VEDL30SEP25422.5PE, NFO, 144601, NFO, VEDL30SEP25P422.5, 30-SEP-25, 422.5, 1150, PE, 0.05",
    }),
    "CDS": ("", {
        "CDS,8817,USDINR,USDINR26SEP25C88.25,OPTCUR,26092025,25000,1,CE,882500000,4,1000,,1000.000000,": "USDINR26SEP2588.25CE, CDS, 8817, CDS, USDINR26SEP25C88.25, 26-SEP-25, 88.25, 1, CE, 0.0025",
    }),
    "MCX": ("", {
        "MCX,447552,CRUDEOIL,CRUDEOIL19SEP25FUT,FUTCOM,19092025,100,100,XX,0,2,1,,100.000000,": "CRUDEOIL19SEP25FUT, MCX, 447552, MCX, CRUDEOIL19SEP25FUT, 19-SEP-25, –, 100, FUT, 1",
    }),
    "BFO": ("", {
        "BFO,859358,SENSEX,SENSEX2590281000CE,OPTIDX,02092025,5,20,CE,8100000,2,1,,1.000000,": "SENSEX02SEP2581000CE, BFO, 859358, BFO, SENSEX2590281000CE, 02-SEP-25, 81000, 20, CE, 0.05",
    }),
}  # fmt: skip
# ruff: noqa: E501


@pytest.mark.parametrize("exchange", FILES)
def test_every_row_of_the_specification_becomes_what_it_says(exchange: str) -> None:
    check(BROKER.instruments, *FILES[exchange])


def test_a_company_name_may_have_commas() -> None:
    row = "NSE,1,A,A-EQ,EQ,,5,1,,0,2,1,INE1,1.000000,A, B AND COMPANY"
    assert [one.symbol for one in BROKER.instruments().parse(row.encode(), "allmaster.csv")] == ["A"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("NFO,1,A,A30SEP25F,FUTSTK,30092025,5,1,XX,0,x,1,,1.0,", "bad tick size"),
        ("NFO,1,A,A30SEP25F,FUTSTK,30092025,5,1,XX,0,2,0,,1.0,", "bad tick size"),
        ("NFO,1,A,A30SEP25C1,OPTSTK,30092025,5,1,CE,100,2,1E999,,1.0,", "bad strike"),
        ("NFO,1,A,A30SEP25C1,OPTSTK,30092025,5,1,CE,nan,2,1,,1.0,", "bad strike"),
        ("NFO,1,A,A30SEP25C1,OPTSTK,30092025.0,5,1,CE,100,2,1,,1.0,", "bad expiry"),
    ],
)
def test_a_bad_row_is_skipped_and_counted(row: str, reason: str) -> None:
    subject = BROKER.instruments()
    assert list(subject.parse(row.encode(), "allmaster.csv")) == []
    assert subject.skipped == {reason: 1}


@pytest.mark.parametrize(("tick", "expected"), [("0", 0.05), ("50000", 0.05), ("10000", 100.0), ("5", 0.05)])
def test_a_tick_size_out_of_reason_is_the_default(tick: str, expected: float) -> None:
    row = f"NSE,1,A,A-EQ,EQ,,{tick},1,,0,2,1,INE1,1.000000,A"
    assert [one.tick_size for one in BROKER.instruments().parse(row.encode(), "x")] == [expected]


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"status":"ERROR"}', b"a,b\n"])
def test_what_is_no_list_at_all_is_an_error(data: bytes) -> None:
    with pytest.raises(ListFormatError):
        list(BROKER.instruments().parse(data, "allmaster.zip"))
