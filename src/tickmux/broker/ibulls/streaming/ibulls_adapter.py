"""Indiabulls Securities' addresses and exchanges; the protocol is the family's."""

from tickmux.broker._xts.adapter import NSE_AND_BSE, XtsAdapter, xts_urls
from tickmux.broker._xts.rest import BINARY_PREFIX


class IbullsAdapter(XtsAdapter):
    """Binary packets; no currency."""

    name = "ibulls"
    display_name = "Indiabulls Securities (XTS)"
    transport = "Socket.IO 2 over WebSocket, binary; subscriptions over REST"
    exchanges = (*NSE_AND_BSE, "MCX")
    default_urls = xts_urls("https://xts.ibullssecurities.com", BINARY_PREFIX)
