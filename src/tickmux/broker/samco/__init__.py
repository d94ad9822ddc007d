"""Samco (Stocknote): JSON texts, line by line, in two streams that complement each other."""

from tickmux.broker.samco.instruments import SamcoInstruments
from tickmux.broker.samco.login import SamcoLogin
from tickmux.broker.samco.streaming.samco_adapter import SamcoAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=SamcoAdapter, login=SamcoLogin, instruments=SamcoInstruments)
