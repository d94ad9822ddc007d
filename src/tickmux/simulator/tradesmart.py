"""TradeSmart's servers: the Noren family's, set to this member."""

from tickmux.simulator._noren.server import NorenSimulator


class TradeSmartSimulator(NorenSimulator):
    name = "tradesmart"
    endpoints = {
        "feed": "ws:/NorenWSAPI/",
        "login": "http:/OAuthlogin/authorize/oauth",
        "token": "http:/NorenWClientAPIv2/GenAcsTok",
        "instruments": "http:/",
    }
    most_scrips = 500
    ticks_in_paise = True


SIMULATOR = TradeSmartSimulator
