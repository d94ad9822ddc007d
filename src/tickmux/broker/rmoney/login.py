"""RMoney's market-data login: the family's."""

from tickmux.broker._xts.login import XtsLogin
from tickmux.broker.rmoney.streaming.rmoney_adapter import RmoneyAdapter


class RmoneyLogin(XtsLogin):
    adapter = RmoneyAdapter
