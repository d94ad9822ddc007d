"""Indiabulls Securities (XTS), a member of the XTS family."""

from tickmux.broker.ibulls.instruments import IbullsInstruments
from tickmux.broker.ibulls.login import IbullsLogin
from tickmux.broker.ibulls.streaming.ibulls_adapter import IbullsAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=IbullsAdapter, login=IbullsLogin, instruments=IbullsInstruments)
