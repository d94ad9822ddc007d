"""What the made-up exchange lists, as tables: names, tokens and prices are plausible, markets are not real.

Tokens are those of the exchanges where they are widely known. They repeat across exchanges on purpose
(`TOKEN_TWINS`), as they do in life.
"""

from typing import NamedTuple


class Equity(NamedTuple):
    """A share: NSE token, previous close in rupees, free-float weight, BSE code (0: not on BSE), index groups.

    `groups`: N in NIFTY 50, J in NIFTY NEXT 50, B bank, F other financial company, M midcap select.
    """

    symbol: str
    name: str
    token: int
    close: float
    weight: float
    bse_code: int
    groups: str


EQUITIES = (
    Equity("RELIANCE", "RELIANCE INDUSTRIES LTD", 2885, 1412.0, 8.5, 500325, "N"),
    Equity("HDFCBANK", "HDFC BANK LTD", 1333, 1991.0, 13.1, 500180, "NB"),
    Equity("ICICIBANK", "ICICI BANK LTD", 4963, 1436.0, 9.1, 532174, "NB"),
    Equity("INFY", "INFOSYS LIMITED", 1594, 1484.0, 5.2, 500209, "N"),
    Equity("TCS", "TATA CONSULTANCY SERV LT", 11536, 3082.0, 2.9, 532540, "N"),
    Equity("SBIN", "STATE BANK OF INDIA", 3045, 812.0, 2.9, 500112, "NB"),
    Equity("AXISBANK", "AXIS BANK LIMITED", 5900, 1084.0, 2.8, 532215, "NB"),
    Equity("KOTAKBANK", "KOTAK MAHINDRA BANK LTD", 1922, 2010.0, 2.6, 500247, "NB"),
    Equity("BHARTIARTL", "BHARTI AIRTEL LIMITED", 10604, 1890.0, 4.5, 532454, "N"),
    Equity("LT", "LARSEN & TOUBRO LTD.", 11483, 3590.0, 3.8, 500510, "N"),
    Equity("ITC", "ITC LTD", 1660, 407.0, 3.4, 500875, "N"),
    Equity("HINDUNILVR", "HINDUSTAN UNILEVER LTD.", 1394, 2620.0, 2.0, 500696, "N"),
    Equity("BAJFINANCE", "BAJAJ FINANCE LIMITED", 317, 902.0, 2.2, 500034, "NF"),
    Equity("BAJAJFINSV", "BAJAJ FINSERV LTD.", 16675, 1975.0, 1.0, 532978, "NF"),
    Equity("MARUTI", "MARUTI SUZUKI INDIA LTD.", 10999, 14120.0, 1.7, 532500, "N"),
    Equity("M&M", "MAHINDRA & MAHINDRA LTD", 2031, 3340.0, 2.5, 500520, "N"),
    Equity("SUNPHARMA", "SUN PHARMACEUTICAL IND L", 3351, 1640.0, 1.6, 524715, "N"),
    Equity("NTPC", "NTPC LTD", 11630, 338.0, 1.5, 532555, "N"),
    Equity("POWERGRID", "POWER GRID CORP. LTD.", 14977, 287.0, 1.2, 532898, "N"),
    Equity("TITAN", "TITAN COMPANY LIMITED", 3506, 3560.0, 1.3, 500114, "N"),
    Equity("ULTRACEMCO", "ULTRATECH CEMENT LIMITED", 11532, 12830.0, 1.3, 532538, "N"),
    Equity("TATASTEEL", "TATA STEEL LIMITED", 3499, 158.0, 1.2, 500470, "N"),
    Equity("TATAMOTORS", "TATA MOTORS LIMITED", 3456, 681.0, 1.2, 500570, "N"),
    Equity("ASIANPAINT", "ASIAN PAINTS LIMITED", 236, 2560.0, 0.9, 500820, "N"),
    Equity("HCLTECH", "HCL TECHNOLOGIES LTD", 7229, 1490.0, 1.4, 532281, "N"),
    Equity("TECHM", "TECH MAHINDRA LIMITED", 13538, 1505.0, 0.8, 532755, "N"),
    Equity("ADANIPORTS", "ADANI PORT & SEZ LTD", 15083, 1330.0, 0.9, 532921, "N"),
    Equity("INDUSINDBK", "INDUSIND BANK LIMITED", 5258, 772.0, 0.5, 532187, "NB"),
    Equity("WIPRO", "WIPRO LTD", 3787, 249.0, 0.6, 507685, "N"),
    Equity("ONGC", "OIL AND NATURAL GAS CORP.", 2475, 237.0, 0.8, 500312, "N"),
    Equity("NESTLEIND", "NESTLE INDIA LIMITED", 17963, 1150.0, 0.8, 500790, "N"),
    Equity("COALINDIA", "COAL INDIA LTD", 20374, 384.0, 0.8, 0, "N"),
    Equity("JSWSTEEL", "JSW STEEL LIMITED", 11723, 1068.0, 0.9, 0, "N"),
    Equity("HINDALCO", "HINDALCO INDUSTRIES LTD", 1363, 705.0, 0.9, 0, "N"),
    Equity("GRASIM", "GRASIM INDUSTRIES LTD", 1232, 2790.0, 0.9, 0, "N"),
    Equity("CIPLA", "CIPLA LTD", 694, 1560.0, 0.8, 0, "N"),
    Equity("DRREDDY", "DR. REDDY S LABORATORIES", 881, 1260.0, 0.7, 0, "N"),
    Equity("EICHERMOT", "EICHER MOTORS LTD", 910, 5870.0, 0.7, 0, "N"),
    Equity("HEROMOTOCO", "HERO MOTOCORP LIMITED", 1348, 5080.0, 0.5, 0, "N"),
    Equity("BAJAJ-AUTO", "BAJAJ AUTO LIMITED", 16669, 8650.0, 0.8, 0, "N"),
    Equity("ADANIENT", "ADANI ENTERPRISES LIMITED", 25, 2290.0, 0.6, 0, "N"),
    Equity("APOLLOHOSP", "APOLLO HOSPITALS ENTER. L", 157, 7790.0, 0.6, 0, "N"),
    Equity("SBILIFE", "SBI LIFE INSURANCE CO LTD", 21808, 1840.0, 0.7, 0, "NF"),
    Equity("HDFCLIFE", "HDFC LIFE INS CO LTD", 467, 781.0, 0.7, 0, "NF"),
    Equity("TRENT", "TRENT LTD", 1964, 5420.0, 0.9, 0, "N"),
    Equity("BEL", "BHARAT ELECTRONICS LTD", 383, 375.0, 1.2, 0, "N"),
    Equity("ETERNAL", "ETERNAL LIMITED", 5097, 318.0, 1.7, 0, "N"),
    Equity("JIOFIN", "JIO FIN SERVICES LTD", 18143, 327.0, 0.9, 0, "NF"),
    Equity("BANKBARODA", "BANK OF BARODA", 4668, 244.0, 0.9, 532134, "JB"),
    Equity("PNB", "PUNJAB NATIONAL BANK", 10666, 107.0, 0.6, 532461, "JB"),
    Equity("CANBK", "CANARA BANK", 10794, 111.0, 0.6, 532483, "JB"),
    Equity("VEDL", "VEDANTA LIMITED", 3063, 442.0, 1.0, 0, "J"),
    Equity("IOC", "INDIAN OIL CORP LTD", 1624, 140.0, 0.7, 0, "J"),
    Equity("GAIL", "GAIL (INDIA) LTD", 4717, 176.0, 0.7, 0, "J"),
    Equity("DLF", "DLF LIMITED", 14732, 768.0, 0.7, 0, "J"),
    Equity("HAL", "HINDUSTAN AERONAUTICS LTD", 2303, 4530.0, 1.0, 0, "J"),
    Equity("TATAPOWER", "TATA POWER CO LTD", 3426, 387.0, 0.9, 0, "J"),
    Equity("DABUR", "DABUR INDIA LTD", 772, 505.0, 0.4, 0, "J"),
    Equity("AUBANK", "AU SMALL FINANCE BANK LTD", 21238, 742.0, 0.6, 0, "MB"),
    Equity("FEDERALBNK", "FEDERAL BANK LTD", 1023, 198.0, 0.7, 500469, "MB"),
    Equity("IDFCFIRSTB", "IDFC FIRST BANK LIMITED", 11184, 70.4, 0.6, 0, "MB"),
    Equity("SUZLON", "SUZLON ENERGY LTD", 12018, 60.2, 0.5, 0, "M"),
    Equity("YESBANK", "YES BANK LIMITED", 11915, 19.3, 0.4, 532648, "M"),
    Equity("IDEA", "VODAFONE IDEA LIMITED", 14366, 6.55, 0.3, 532822, "M"),
)

REAL_ISINS = {
    "SBIN": "INE062A01020",
    "RELIANCE": "INE002A01018",
    "INFY": "INE009A01021",
    "TCS": "INE467B01029",
    "HDFCBANK": "INE040A01034",
    "ICICIBANK": "INE090A01021",
}
"""ISINs of the best known; the others get made-up ones of the right form."""


class Index(NamedTuple):
    """An index: exchange's number, previous close, and which groups of equities it follows (empty: none)."""

    symbol: str
    exchange: str
    name: str
    token: int
    close: float
    groups: str


INDICES = (
    Index("NIFTY", "NSE_INDEX", "NIFTY 50", 26000, 24980.65, "N"),
    Index("BANKNIFTY", "NSE_INDEX", "NIFTY BANK", 26009, 55698.5, "B"),
    Index("FINNIFTY", "NSE_INDEX", "NIFTY FIN SERVICE", 26037, 26552.3, "BF"),
    Index("MIDCPNIFTY", "NSE_INDEX", "NIFTY MID SELECT", 26074, 12782.15, "M"),
    Index("NIFTYNXT50", "NSE_INDEX", "NIFTY NEXT 50", 26013, 66831.7, "J"),
    Index("INDIAVIX", "NSE_INDEX", "INDIA VIX", 26017, 12.36, ""),
    Index("SENSEX", "BSE_INDEX", "SENSEX", 1, 81644.39, "N"),
    Index("BANKEX", "BSE_INDEX", "BANKEX", 12, 62215.8, "B"),
    Index("SENSEX50", "BSE_INDEX", "SNSX50", 47, 26124.25, "NBF"),
)


class OptionChain(NamedTuple):
    """Options on an index or on a future of the same root: how many expiries, how far apart the strikes."""

    root: str
    exchange: str
    strike_step: float
    strikes: int
    expiries: int
    expiry_rule: str


class FutureSeries(NamedTuple):
    """Futures of one root. `spot` is the price in rupees where no listed index is the underlying.

    `tick` rupees; `lot` the step of quantities; `multiplier` units of the underlying in one of them.
    """

    root: str
    exchange: str
    spot: float
    tick: float
    lot: int
    multiplier: int
    expiries: int
    expiry_rule: str
    first_token: int


FUTURES = (
    FutureSeries("NIFTY", "NFO", 0.0, 0.1, 75, 1, 3, "nse-monthly", 53001),
    FutureSeries("BANKNIFTY", "NFO", 0.0, 0.2, 35, 1, 3, "nse-monthly", 53011),
    FutureSeries("SENSEX", "BFO", 0.0, 0.05, 20, 1, 3, "bse-monthly", 1104001),
    FutureSeries("CRUDEOIL", "MCX", 5538.0, 1.0, 1, 100, 3, "nineteenth", 447552),
    FutureSeries("NATURALGAS", "MCX", 243.5, 0.1, 1, 1250, 3, "twenty-seventh", 447571),
    FutureSeries("GOLD", "MCX", 99120.0, 1.0, 1, 100, 3, "fifth", 447601),
    FutureSeries("GOLDM", "MCX", 98940.0, 1.0, 1, 10, 3, "fifth", 447611),
    FutureSeries("SILVER", "MCX", 113450.0, 1.0, 1, 30, 3, "fifth", 447621),
    FutureSeries("COPPER", "MCX", 887.4, 0.05, 1, 2500, 2, "twenty-seventh", 447631),
    FutureSeries("SILVER", "NCO", 232150.0, 1.0, 1, 30, 1, "fifth", 21001),
    FutureSeries("USDINR", "CDS", 87.2575, 0.0025, 1, 1000, 3, "twenty-seventh", 5132),
    FutureSeries("EURINR", "CDS", 101.865, 0.0025, 1, 1000, 2, "twenty-seventh", 5142),
    FutureSeries("GBPINR", "CDS", 117.92, 0.0025, 1, 1000, 2, "twenty-seventh", 5152),
    FutureSeries("JPYINR", "CDS", 59.3, 0.0025, 1, 1000, 2, "twenty-seventh", 5162),
    FutureSeries("USDINR", "BCD", 87.26, 0.0025, 1, 1000, 2, "twenty-seventh", 1131),
)

OPTIONS = (
    OptionChain("NIFTY", "NFO", 50.0, 15, 2, "nse-weekly"),
    OptionChain("BANKNIFTY", "NFO", 100.0, 15, 1, "nse-monthly"),
    OptionChain("SENSEX", "BFO", 100.0, 15, 2, "bse-weekly"),
    OptionChain("CRUDEOIL", "MCX", 50.0, 7, 1, "sixteenth"),
    OptionChain("USDINR", "CDS", 0.25, 5, 1, "twenty-seventh"),
)

FIRST_OPTION_TOKEN = {"NFO": 47001, "BFO": 1133001, "MCX": 452201, "CDS": 7701}

TOKEN_TWINS = {
    ("USDINR", "CDS"): 2885,
    ("NATURALGAS", "MCX"): 3045,
    ("GBPINR", "CDS"): 1594,
    ("BANKNIFTY", "NFO"): 26000,
    ("SILVER", "NCO"): 11536,
}
"""The nearest future of these bears the token of an NSE share or index: RELIANCE, SBIN, INFY, NIFTY, TCS."""
