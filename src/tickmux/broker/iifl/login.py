"""IIFL's Blaze market-data login: the family's."""

from tickmux.broker._xts.login import XtsLogin
from tickmux.broker.iifl.streaming.iifl_adapter import IiflAdapter


class IiflLogin(XtsLogin):
    adapter = IiflAdapter
