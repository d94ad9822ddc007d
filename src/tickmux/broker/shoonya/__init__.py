"""Shoonya (Finvasia): a member of the Noren family."""

from tickmux.broker.shoonya.instruments import ShoonyaInstruments
from tickmux.broker.shoonya.login import ShoonyaLogin
from tickmux.broker.shoonya.streaming.shoonya_adapter import ShoonyaAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=ShoonyaAdapter, login=ShoonyaLogin, instruments=ShoonyaInstruments)
