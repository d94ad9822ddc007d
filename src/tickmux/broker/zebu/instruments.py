"""Zebu's instrument lists: the family's (specification section 9)."""

from tickmux.broker._noren.instruments import NorenInstruments
from tickmux.broker.zebu.streaming.zebu_adapter import ZebuAdapter


class ZebuInstruments(NorenInstruments):
    broker = "Zebu"
    default_urls = ZebuAdapter.default_urls
