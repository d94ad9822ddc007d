"""Flattrade: a member of the Noren family with a login and lists of its own."""

from tickmux.broker.flattrade.instruments import FlattradeInstruments
from tickmux.broker.flattrade.login import FlattradeLogin
from tickmux.broker.flattrade.streaming.flattrade_adapter import FlattradeAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=FlattradeAdapter, login=FlattradeLogin, instruments=FlattradeInstruments)
