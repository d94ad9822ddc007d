"""IIFL's Blaze addresses and exchanges; the protocol is the family's."""

from tickmux.broker._xts.adapter import ALL_EXCHANGES, XtsAdapter, xts_urls


class IiflAdapter(XtsAdapter):
    """JSON events on every exchange of the family."""

    name = "iifl"
    display_name = "IIFL (XTS, Blaze)"
    exchanges = ALL_EXCHANGES
    default_urls = xts_urls("https://ttblaze.iifl.com")
