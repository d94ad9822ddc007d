"""Index names as the family's lists spell them, and our symbols (family specification, section 9.2)."""

_ALIASES = {
    "NIFTY": ("NIFTY50", "NIFTYINDEX", "NIFTY"),
    "BANKNIFTY": ("NIFTYBANK", "BANKNIFTY"),
    "FINNIFTY": ("NIFTYFIN", "NIFTYFINSERVICE", "NIFTYFINSERVICES", "NIFTYFINANCIALSERVICES", "FINNIFTY"),
    "MIDCPNIFTY": ("NIFTYMIDSELECT", "NIFTYMIDCAPSELECT", "MIDCPNIFTY"),
    "NIFTYNXT50": ("NIFTYNEXT50", "NIFTYNXT50"),
    "INDIAVIX": ("INDIAVIX",),
    "SENSEX": ("BSESENSEX", "S&PBSESENSEX", "SENSEX"),
    "BANKEX": ("BSEBANKEX", "S&PBSEBANKEX", "BANKEX"),
    "SENSEX50": ("BSESENSEX50", "S&PBSESENSEX50", "SNSX50", "SENSEX50"),
}
_SYMBOLS = {alias: symbol for symbol, aliases in _ALIASES.items() for alias in aliases}


def index_symbol(*names: str) -> str:
    """Our symbol by the first of these names that is known; otherwise the first name, compacted."""
    compact = [name.upper().replace(" ", "").replace("-", "") for name in names]
    return next((_SYMBOLS[name] for name in compact if name in _SYMBOLS), compact[0])
