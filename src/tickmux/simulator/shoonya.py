"""Shoonya's servers: the Noren family's, set to this member."""

from tickmux.simulator._noren.server import NorenSimulator


class ShoonyaSimulator(NorenSimulator):
    name = "shoonya"
    endpoints = {
        "feed": "ws:/NorenWSAPI/",
        "login": "http:/OAuthlogin/authorize/oauth",
        "token": "http:/NorenWClientAPI/GenAcsTok",
        "instruments": "http:/",
    }
    accepted_word = "OK"
    ticks_in_paise = True


SIMULATOR = ShoonyaSimulator
