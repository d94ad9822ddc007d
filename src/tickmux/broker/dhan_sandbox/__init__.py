"""Dhan's sandbox, which has no market data of its own: prices are made up here, or come from Dhan's live feed.

It is Dhan with another profile, so this package differs from `tickmux.broker.dhan` and imports from it.
"""

from tickmux.broker.dhan_sandbox.instruments import DhanSandboxInstruments
from tickmux.broker.dhan_sandbox.login import DhanSandboxLogin
from tickmux.broker.dhan_sandbox.streaming.dhan_sandbox_adapter import DhanSandboxAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=DhanSandboxAdapter, login=DhanSandboxLogin, instruments=DhanSandboxInstruments)
