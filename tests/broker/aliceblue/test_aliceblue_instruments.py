"""Alice Blue's instrument lists: every row of the specification, and what is its own."""

import pytest

from broker._noren.list_cases import check
from tickmux.broker.aliceblue import BROKER

HEAD_0 = "Exch,Exchange Segment,Group Name,Symbol,Token,Instrument Type,Instrument Name,Formatted Ins Name,Trading Symbol,Lot Size,Tick Size"

HEAD_1 = "Exch,Exchange Segment,Symbol,Token,Instrument Type,Option Type,Strike Price,Instrument Name,Formatted Ins Name,Trading Symbol,Expiry Date,Lot Size,Tick Size"

HEAD_2 = "exch,symbol,token"

FILES = {
    "NSE": (HEAD_0, {
        "NSE,nse_cm,EQ,TCS,11536,EQ,TATA CONSULTANCY SERV LT,TCS EQ,TCS-EQ,1,0.1": "TCS, NSE, 11536, NSE, TCS-EQ, –, –, 1, EQ, 0.1",
        "NSE,nse_cm,BE,YESBANK,11915,EQ,YES BANK,YESBANK BE,YESBANK-BE,1,0.01": "YESBANK, NSE, 11915, NSE, YESBANK-BE, –, –, 1, EQ, 0.01",
    }),
    "BSE": (HEAD_0, {
        "BSE,bse_cm,A,TCS,532540,A,TCS LTD.,TCS,TCS,1,0.05": "TCS, BSE, 532540, BSE, TCS, –, –, 1, EQ, 0.05",
    }),
    "NFO": (HEAD_1, {
        "NFO,nse_fo,NIFTY,53001,FUTIDX,,,FUTIDX,NIFTY AUG FUT,NIFTY28AUG25F,2025-08-28,75,0.1": "NIFTY28AUG25FUT, NFO, 53001, NFO, NIFTY28AUG25F, 28-AUG-25, –, 75, FUT, 0.1",
        "NFO,nse_fo,NIFTY,54957,OPTIDX,CE,25000,OPTIDX,NIFTY 28 AUG 25000 CE,NIFTY28AUG25C25000,2025-08-28,75,0.05": "NIFTY28AUG2525000CE, NFO, 54957, NFO, NIFTY28AUG25C25000, 28-AUG-25, 25000, 75, CE, 0.05",
        "NFO,nse_fo,VEDL,144601,OPTSTK,PE,422.5,OPTSTK,VEDL 30 SEP 422.5 PE,VEDL30SEP25P422.5,2025-09-30,1150,0.05": "VEDL30SEP25422.5PE, NFO, 144601, NFO, VEDL30SEP25P422.5, 30-SEP-25, 422.5, 1150, PE, 0.05",
    }),
    "CDS": (HEAD_1, {
        "CDS,cde_fo,USDINR,8817,OPTCUR,CE,88.25,OPTCUR,USDINR 26 SEP 88.25 CE,USDINR26SEP25C88.25,26-09-2025,1,0.0025": "USDINR26SEP2588.25CE, CDS, 8817, CDS, USDINR26SEP25C88.25, 26-SEP-25, 88.25, 1, CE, 0.0025",
    }),
    "MCX": (HEAD_1, {
        "MCX,mcx_fo,CRUDEOIL,447552,FUTCOM,,0,FUTCOM,CRUDEOIL 19SEP25 FUT,CRUDEOIL19SEP25,2025-09-19,100,1": "CRUDEOIL19SEP25FUT, MCX, 447552, MCX, CRUDEOIL19SEP25, 19-SEP-25, –, 100, FUT, 1",
    }),
    "BFO": (HEAD_1, {
        "BFO,bse_fo,BSXOPT,859358,IO,CE,81000,IO,SENSEX 02SEP25 81000 CE,SENSEX2590281000CE,2025-09-02,20,0.05": "SENSEX02SEP2581000CE, BFO, 859358, BFO, SENSEX2590281000CE, 02-SEP-25, 81000, 20, CE, 0.05",
        "BFO,bse_fo,BSXFUT,862001,IF,,,IF,SENSEX 25SEP25 FUT,SENSEX25SEPFUT,2025-09-25,20,0.05": "SENSEX25SEP25FUT, BFO, 862001, BFO, SENSEX25SEPFUT, 25-SEP-25, –, 20, FUT, 0.05",
    }),
    "INDICES": (HEAD_2, {
        "NSE,NIFTY 50,26000": "NIFTY, NSE_INDEX, 26000, NSE, NIFTY 50, –, –, 1, INDEX, 0.05",
        "BSE,SENSEX,1": "SENSEX, BSE_INDEX, 1, BSE, SENSEX, –, –, 1, INDEX, 0.05",
        "MCX,MCXBULLDEX,30001": "MCXBULLDEX, MCX_INDEX, 30001, MCX, MCXBULLDEX, –, –, 1, INDEX, 0.05",
    }),
}  # fmt: skip
# ruff: noqa: E501


@pytest.mark.parametrize("exchange", FILES)
def test_every_row_of_the_specification_becomes_what_it_says(exchange: str) -> None:
    check(BROKER.instruments, *FILES[exchange])


def parsed(head: str, *rows: str) -> list[tuple[str, str, str]]:
    found = BROKER.instruments().parse("\n".join((head, *rows)).encode(), "x.csv")
    return [(one.symbol, one.exchange, one.token) for one in found]


def test_tokens_lose_their_decimal_and_indices_their_prefix() -> None:
    assert parsed(
        "exch,symbol,token", "NSE,NIFTY 50,99926000", "BSE,SNSX50,47.0", "NSE,X,999", "BSE,SENSEX,9991"
    ) == [
        ("NIFTY", "NSE_INDEX", "26000"),
        ("SENSEX50", "BSE_INDEX", "47"),
        ("X", "NSE_INDEX", "999"),
        ("SENSEX", "BSE_INDEX", "1"),
    ]


def test_an_index_among_the_contracts_of_mcx_is_left_to_the_list_of_indices() -> None:
    row = "MCX,mcx_idx,MCXBULLDEX,30001,FUTIDX,,,FUTIDX,MCXBULLDEX,MCXBULLDEX,2025-09-25,1,1"
    assert parsed(FILES["MCX"][0], row) == []


def test_a_hyphen_in_a_name_stays() -> None:
    row = "NSE,nse_cm,EQ,BAJAJ-AUTO,16669.0,EQ,BAJAJ AUTO,BAJAJ-AUTO EQ,BAJAJ-AUTO-EQ,1,0.5"
    assert parsed(FILES["NSE"][0], row) == [("BAJAJ-AUTO", "NSE", "16669")]
    other = "NSE,nse_cm,SM,ABC,77,SM,ABC LTD,ABC SM,ABC-SM,1,0.05"
    assert parsed(FILES["NSE"][0], other) == [("ABC", "NSE", "77")]


def test_currency_of_bse_is_an_exchange_of_its_own() -> None:
    row = "BCD,bcs_fo,USDINR,88,FUTCUR,,,FUTCUR,USDINR FUT,USDINR26SEP25F,26-09-2025,1,0.0025"
    assert parsed(FILES["CDS"][0], row) == [("USDINR26SEP25FUT", "BCD", "88")]


def test_a_file_without_the_columns_of_contracts_skips_its_rows() -> None:
    subject = BROKER.instruments()
    assert list(subject.parse(b"exch,symbol,token\nXXX,A,1\nNSE,,1\nNSE,A,x\n", "x")) == []
    assert sum(subject.skipped.values()) == 3
