"""Wisdom Capital's market-data login: the family's."""

from tickmux.broker._xts.login import XtsLogin
from tickmux.broker.wisdom.streaming.wisdom_adapter import WisdomAdapter


class WisdomLogin(XtsLogin):
    adapter = WisdomAdapter
