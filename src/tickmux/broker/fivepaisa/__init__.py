"""5paisa (Xstream API): JSON both ways, one method for each stream of an instrument."""

from tickmux.broker.fivepaisa.instruments import FivepaisaInstruments
from tickmux.broker.fivepaisa.login import FivepaisaLogin
from tickmux.broker.fivepaisa.streaming.fivepaisa_adapter import FivepaisaAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=FivepaisaAdapter, login=FivepaisaLogin, instruments=FivepaisaInstruments)
