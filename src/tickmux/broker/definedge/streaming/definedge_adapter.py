"""Definedge's endpoints and limits (specification sections 1 to 3)."""

from tickmux.broker._noren.noren_adapter import NorenAdapter, noren_channel
from tickmux.broker.definedge.streaming.definedge_mapping import DefinedgeCodec


class DefinedgeAdapter(NorenAdapter):
    """One connection, and 500 scrips on it (documented)."""

    name = "definedge"
    display_name = "Definedge Securities"
    codec_class = DefinedgeCodec
    channels = {"main": noren_channel(symbols=500, max_symbols=500)}
    default_urls = {
        "feed": "wss://trade.definedgesecurities.com/NorenWSTRTP/",
        "auth": "https://signin.definedgesecurities.com/auth/realms/debroking/dsbpkc",
        "instruments": "https://app.definedgesecurities.com/public",
    }
