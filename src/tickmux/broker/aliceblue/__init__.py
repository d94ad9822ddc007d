"""Alice Blue: a member of the Noren family with WebSocket sessions of its own."""

from tickmux.broker.aliceblue.instruments import AliceBlueInstruments
from tickmux.broker.aliceblue.login import AliceBlueLogin
from tickmux.broker.aliceblue.streaming.aliceblue_adapter import AliceBlueAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=AliceBlueAdapter, login=AliceBlueLogin, instruments=AliceBlueInstruments)
