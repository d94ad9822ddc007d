"""Indiabulls Securities' market-data login: the family's."""

from tickmux.broker._xts.login import XtsLogin
from tickmux.broker.ibulls.streaming.ibulls_adapter import IbullsAdapter


class IbullsLogin(XtsLogin):
    adapter = IbullsAdapter
