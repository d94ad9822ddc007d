"""Zebu's servers: the Noren family's, set to this member."""

from tickmux.simulator._noren import NorenSimulator


class ZebuSimulator(NorenSimulator):
    name = "zebu"
    endpoints = {
        "feed": "ws:/NorenWSAPI/",
        "login": "http:/OAuthlogin/authorize/oauth",
        "token": "http:/NorenWClientAPI/GenAcsTok",
        "instruments": "http:/",
    }
    accepted_word = "OK"


SIMULATOR = ZebuSimulator
