"""The sandbox reads Dhan's production list."""

from tickmux.broker.dhan_sandbox.instruments import DhanSandboxInstruments

HEADER = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
    "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,"
    "SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
)
PUT = (
    "NSE,D,58811,OPTIDX,0,BANKNIFTY-Aug2025-55000-PE,35.0,BANKNIFTY 28 AUG 55000 PUT,"
    "2025-08-28 14:30:00,55000.00000,PE,5.0000,M,OP,,"
)
SAMPLE = f"""\
NSE,E,1333,EQUITY,0,HDFCBANK,1.0,HDFC Bank,,,,5.0000,NA,ES,EQ,HDFC BANK LTD
NSE,E,1660,EQUITY,0,ITC,1.0,ITC,,,,5.0000,NA,ES,EQ,ITC LTD
NSE,I,38,INDEX,0,NIFTY NEXT 50,1.0,Nifty Next 50,0001-01-01,,XX,0.0500,,INDEX,X,NIFTY NEXT 50
{PUT}
NSE,D,53216,FUTSTK,0,RELIANCE-Aug2025-FUT,500.0,RELIANCE AUG FUT,2025-08-28 14:30:00,-0.01000,XX,10.0000,M,FUT,,
NSE,C,4411,FUTCUR,0,EURINR-Aug2025-FUT,1.0,EURINR AUG FUT,2025-08-29 12:30:00,-0.01000,XX,0.2500,M,FUT,,
MCX,M,445003,FUTCOM,0,GOLDM-05Sep2025-FUT,10.0,GOLDM SEP FUT,2025-09-05 23:30:00,-0.01000,XX,100.0,M,FUTCOM,,GOLDM"""
EXPECTED = """\
HDFCBANK | NSE | 1333 | NSE_EQ | HDFCBANK | | 0 | 1 | EQ | 0.05
ITC | NSE | 1660 | NSE_EQ | ITC | | 0 | 1 | EQ | 0.05
NIFTYNXT50 | NSE_INDEX | 38 | IDX_I | NIFTY NEXT 50 | | 0 | 1 | INDEX | 0
BANKNIFTY28AUG2555000PE | NFO | 58811 | NSE_FNO | BANKNIFTY-Aug2025-55000-PE | 28-AUG-25 | 55000 | 35 | PE | 0.05
RELIANCE28AUG25FUT | NFO | 53216 | NSE_FNO | RELIANCE-Aug2025-FUT | 28-AUG-25 | 0 | 500 | FUT | 0.1
EURINR29AUG25FUT | CDS | 4411 | NSE_CURRENCY | EURINR-Aug2025-FUT | 29-AUG-25 | 0 | 1 | FUT | 0.0025
GOLDM05SEP25FUT | MCX | 445003 | MCX_COMM | GOLDM-05Sep2025-FUT | 05-SEP-25 | 0 | 10 | FUT | 1"""


def test_the_sample_rows_become_the_expected_table() -> None:
    parser = DhanSandboxInstruments()
    table = {
        (
            *(row.symbol, row.exchange, row.token, row.brexchange, row.brsymbol, row.expiry),
            *(f"{row.strike:g}", str(row.lotsize), row.instrumenttype, f"{row.tick_size:g}"),
        )
        for row in parser.parse(f"{HEADER}\n{SAMPLE}\n".encode(), "api-scrip-master.csv")
    }
    assert table == {tuple(cell.strip() for cell in line.split("|")) for line in EXPECTED.split("\n")}
    assert not parser.skipped


def test_the_list_is_public_and_production_s() -> None:
    (download,) = DhanSandboxInstruments().downloads(None)
    assert download.url == "https://images.dhan.co/api-data/api-scrip-master.csv"
    assert not DhanSandboxInstruments.needs_login
