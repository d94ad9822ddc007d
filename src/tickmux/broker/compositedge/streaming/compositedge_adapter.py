"""CompositEdge's addresses and exchanges; the protocol is the family's."""

from tickmux.broker._xts.adapter import ALL_EXCHANGES, XtsAdapter, xts_urls


class CompositEdgeAdapter(XtsAdapter):
    """JSON events on every exchange of the family."""

    name = "compositedge"
    display_name = "CompositEdge"
    exchanges = ALL_EXCHANGES
    default_urls = xts_urls("https://xts.compositedge.com")
