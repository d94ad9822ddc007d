"""Paytm Money: packed little-endian packets of floats, several in a frame."""

from tickmux.broker.paytm.instruments import PaytmInstruments
from tickmux.broker.paytm.login import PaytmLogin
from tickmux.broker.paytm.streaming.paytm_adapter import PaytmAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=PaytmAdapter, login=PaytmLogin, instruments=PaytmInstruments)
