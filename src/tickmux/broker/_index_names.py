"""BSE's short index names and our symbols of them, for the brokers whose lists carry BSE's own abbreviations.

NSE's are in `tickmux.instrument`, since clients use those too. A broker whose specification names other
renames passes them as `more`.
"""

from collections.abc import Mapping

BSE_INDEX_NAMES: Mapping[str, str] = {
    "SNSX50": "SENSEX50",
    "SNXT50": "BSESENSEXNEXT50",
    "MID150": "BSE150MIDCAPINDEX",
    "LMI250": "BSE250LARGEMIDCAPINDEX",
    "MSL400": "BSE400MIDSMALLCAPINDEX",
    "AUTO": "BSEAUTO",
    "BSE CG": "BSECAPITALGOODS",
    "BSE CD": "BSECONSUMERDURABLES",
    "BSE HC": "BSEHEALTHCARE",
    "BSE IT": "BSEINFORMATIONTECHNOLOGY",
    "CARBON": "BSECARBONEX",
    "CPSE": "BSECPSE",
    "DOL30": "BSEDOLLEX30",
    "DOL100": "BSEDOLLEX100",
    "DOL200": "BSEDOLLEX200",
    "ENERGY": "BSEENERGY",
    "BSEFMC": "BSEFASTMOVINGCONSUMERGOODS",
    "FINSER": "BSEFINANCIALSERVICES",
    "GREENX": "BSEGREENEX",
    "INFRA": "BSEINDIAINFRASTRUCTUREINDEX",
    "INDSTR": "BSEINDUSTRIALS",
    "LRGCAP": "BSELARGECAP",
    "METAL": "BSEMETAL",
    "MIDCAP": "BSEMIDCAP",
    "MIDSEL": "BSEMIDCAPSELECTINDEX",
    "OILGAS": "BSEOIL&GAS",
    "POWER": "BSEPOWER",
    "REALTY": "BSEREALTY",
    "SMLCAP": "BSESMALLCAP",
    "SMLSEL": "BSESMALLCAPSELECTINDEX",
    "SMEIPO": "BSESMEIPO",
    "TECK": "BSETECK",
    "TELCOM": "BSETELECOM",
}
"""BSE's abbreviation, upper case with single spaces, to our symbol; every other name only loses its spaces."""


def bse_index_symbol(name: str, more: Mapping[str, str] | None = None) -> str:
    """Our symbol of a BSE index by BSE's short name, in any case; `more` holds a broker's additional renames."""
    upper = " ".join(name.upper().split())
    if more and upper in more:
        return more[upper]
    return BSE_INDEX_NAMES.get(upper, upper.replace(" ", ""))
