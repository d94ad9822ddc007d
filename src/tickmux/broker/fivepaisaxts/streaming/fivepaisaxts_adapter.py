"""5paisa's XTS addresses and exchanges; the protocol is the family's."""

from tickmux.broker._xts.adapter import NSE_AND_BSE, XtsAdapter, xts_urls


class FivepaisaXtsAdapter(XtsAdapter):
    """JSON events; neither currency nor commodities."""

    name = "fivepaisaxts"
    display_name = "5paisa (XTS)"
    exchanges = NSE_AND_BSE
    default_urls = xts_urls("https://xtsmum.5paisa.com")
