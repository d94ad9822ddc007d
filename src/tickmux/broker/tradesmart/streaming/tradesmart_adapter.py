"""TradeSmart's endpoints and limits (specification sections 1 to 3)."""

from tickmux.broker._noren.noren_adapter import NorenAdapter, noren_channel


class TradeSmartAdapter(NorenAdapter):
    """Exactly one connection a user id: a second one evicts the first. 500 scrips are the cautious reading."""

    name = "tradesmart"
    display_name = "TradeSmart"
    evictions = 3
    channels = {"main": noren_channel(symbols=500, max_symbols=500, batch=50)}
    default_urls = {
        "feed": "wss://v2api.tradesmartonline.in/NorenWSAPI/",
        "login": "https://v2api.tradesmartonline.in/OAuthlogin/authorize/oauth",
        "token": "https://v2api.tradesmartonline.in/NorenWClientAPIv2/GenAcsTok",
        "instruments": "https://v2api.tradesmartonline.in",
    }
