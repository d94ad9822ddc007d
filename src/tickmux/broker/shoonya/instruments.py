"""Shoonya's instrument lists: the family's (specification section 9)."""

from tickmux.broker._noren.instruments import NorenInstruments
from tickmux.broker.shoonya.streaming.shoonya_adapter import ShoonyaAdapter


class ShoonyaInstruments(NorenInstruments):
    broker = "Shoonya"
    default_urls = ShoonyaAdapter.default_urls
