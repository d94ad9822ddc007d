"""5paisa (XTS), a member of the XTS family."""

from tickmux.broker.fivepaisaxts.instruments import FivepaisaXtsInstruments
from tickmux.broker.fivepaisaxts.login import FivepaisaXtsLogin
from tickmux.broker.fivepaisaxts.streaming.fivepaisaxts_adapter import FivepaisaXtsAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=FivepaisaXtsAdapter, login=FivepaisaXtsLogin, instruments=FivepaisaXtsInstruments)
