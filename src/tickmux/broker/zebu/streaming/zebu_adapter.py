"""Zebu's endpoints, and the choice between its two tokens (specification sections 1 to 3)."""

from tickmux.broker._noren.noren_adapter import NorenAdapter
from tickmux.broker.zebu.streaming.zebu_mapping import ZebuCodec
from tickmux.codec import Credentials


class ZebuAdapter(NorenAdapter):
    """One connection a user id; no limit of scrips is published."""

    name = "zebu"
    display_name = "Zebu (MYNT)"
    codec_class = ZebuCodec
    default_urls = {
        "feed": "wss://go.mynt.in/NorenWSAPI/",
        "login": "https://go.mynt.in/OAuthlogin/authorize/oauth",
        "token": "https://go.mynt.in/NorenWClientAPI/GenAcsTok",
        "instruments": "https://go.mynt.in",
    }

    def spare_refusals(self, credentials: Credentials) -> int:
        return 1 if credentials.get("other_token") else 0
