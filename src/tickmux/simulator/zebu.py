"""Zebu's servers: the Noren family's, set to this member."""

import time

from tickmux.simulator._noren.server import USER_ID, NorenSimulator
from tickmux.simulator._noren.wire import Fields


class ZebuSimulator(NorenSimulator):
    name = "zebu"
    endpoints = {
        "feed": "ws:/NorenWSAPI/",
        "login": "http:/OAuthlogin/authorize/oauth",
        "token": "http:/NorenWClientAPI/GenAcsTok",
        "instruments": "http:/",
    }
    accepted_word = "OK"

    def token_answer(self, token: str) -> Fields:
        """The official SDK takes `uid` and `susertoken` of it, others `access_token`: both open the feed."""
        answer = {**super().token_answer(token), "susertoken": token, "uid": USER_ID}
        return {**answer, "lastaccesstime": str(int(time.time()))}


SIMULATOR = ZebuSimulator
