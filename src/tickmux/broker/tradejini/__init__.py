"""Tradejini (CubePlus): compressed binary packets of tagged fields, updates that hold only what has changed."""

from tickmux.broker.tradejini.instruments import TradejiniInstruments
from tickmux.broker.tradejini.login import TradejiniLogin
from tickmux.broker.tradejini.streaming.tradejini_adapter import TradejiniAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=TradejiniAdapter, login=TradejiniLogin, instruments=TradejiniInstruments)
