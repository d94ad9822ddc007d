"""Zerodha (Kite Connect): a length-prefixed big-endian binary feed."""

from tickmux.broker.zerodha.instruments import ZerodhaInstruments
from tickmux.broker.zerodha.login import ZerodhaLogin
from tickmux.broker.zerodha.streaming.zerodha_adapter import ZerodhaAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=ZerodhaAdapter, login=ZerodhaLogin, instruments=ZerodhaInstruments)
