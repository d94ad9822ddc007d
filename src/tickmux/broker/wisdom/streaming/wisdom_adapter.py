"""Wisdom Capital's addresses and exchanges; the protocol is the family's."""

from tickmux.broker._xts.adapter import ALL_EXCHANGES, XtsAdapter, xts_urls


class WisdomAdapter(XtsAdapter):
    """JSON events on every exchange of the family."""

    name = "wisdom"
    display_name = "Wisdom Capital (XTS)"
    exchanges = ALL_EXCHANGES
    default_urls = xts_urls("https://trade.wisdomcapital.in")
