"""Zebu (MYNT): a member of the Noren family with two tokens to choose from."""

from tickmux.broker.zebu.instruments import ZebuInstruments
from tickmux.broker.zebu.login import ZebuLogin
from tickmux.broker.zebu.streaming.zebu_adapter import ZebuAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=ZebuAdapter, login=ZebuLogin, instruments=ZebuInstruments)
