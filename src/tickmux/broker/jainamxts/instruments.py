"""Jainam's XTS instrument list: the family's."""

from tickmux.broker._xts.instruments import XtsInstruments
from tickmux.broker.jainamxts.streaming.jainamxts_adapter import JainamXtsAdapter


class JainamXtsInstruments(XtsInstruments):
    adapter = JainamXtsAdapter
