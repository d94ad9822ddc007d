"""Jainam's XTS addresses and exchanges; the protocol is the family's."""

from tickmux.broker._xts.adapter import NSE_AND_BSE, XtsAdapter, xts_urls
from tickmux.broker._xts.rest import BINARY_PREFIX


class JainamXtsAdapter(XtsAdapter):
    """Binary packets with 64-bit quantities; neither currency nor commodities."""

    name = "jainamxts"
    display_name = "Jainam (XTS)"
    transport = "Socket.IO 2 over WebSocket, binary; subscriptions over REST"
    exchanges = NSE_AND_BSE
    default_urls = xts_urls("https://jtrade.jainam.in:5000", BINARY_PREFIX)
    has_other_prefix = False  # the other one does not exist on this host
