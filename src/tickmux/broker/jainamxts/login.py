"""Jainam's XTS market-data login: the family's."""

from tickmux.broker._xts.login import XtsLogin
from tickmux.broker.jainamxts.streaming.jainamxts_adapter import JainamXtsAdapter


class JainamXtsLogin(XtsLogin):
    adapter = JainamXtsAdapter
