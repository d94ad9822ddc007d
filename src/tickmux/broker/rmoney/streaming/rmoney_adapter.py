"""RMoney's addresses and exchanges; the protocol is the family's."""

import msgspec

from tickmux.broker._xts.adapter import NSE_AND_BSE, XtsAdapter, xts_urls
from tickmux.broker._xts.messages import QUOTE
from tickmux.broker._xts.rest import BINARY_PREFIX


class RmoneyAdapter(XtsAdapter):
    """JSON events; LTP is served by quotes, and the master is under the binary prefix."""

    name = "rmoney"
    display_name = "RMoney (XTS)"
    exchanges = NSE_AND_BSE
    default_urls = xts_urls("https://xts.rmoneyindia.co.in:3000")
    channels = {"main": msgspec.structs.replace(XtsAdapter.channels["main"], max_symbols=0)}  # 50 for every key
    ltp_code = QUOTE  # 1512 may work and 1501 certainly does
    login_source = ""
    master_prefix = BINARY_PREFIX
