"""Indiabulls Securities' instrument list: the family's."""

from tickmux.broker._xts.instruments import XtsInstruments
from tickmux.broker.ibulls.streaming.ibulls_adapter import IbullsAdapter


class IbullsInstruments(XtsInstruments):
    adapter = IbullsAdapter
