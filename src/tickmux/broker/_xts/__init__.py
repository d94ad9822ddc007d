"""The XTS family: Symphony's market-data API, which several brokers run (specification `_xts`).

A member's package holds what differs: address and prefix, exchanges, what LTP subscribes, the login's body. Its
adapter subclasses `XtsAdapter`; `XtsLogin` and `XtsInstruments` are told the adapter and have nothing else to know.
"""

from tickmux.broker._xts.adapter import ALL_EXCHANGES, XtsAdapter, xts_urls


class _AnyMember(XtsAdapter):
    """A member of no particular broker, under the address that the family's vectors use."""

    name = "_xts"
    display_name = "XTS"
    exchanges = ALL_EXCHANGES
    default_urls = xts_urls("https://xts.broker.test")


VECTOR_ADAPTER = _AnyMember
