"""Zebu's login: the family's OAuth code flow, with two tokens in the answer (specification section 2)."""

from tickmux.broker._noren.login import Answer, NorenOAuthLogin, text_of
from tickmux.broker.zebu.streaming.zebu_adapter import ZebuAdapter


class ZebuLogin(NorenOAuthLogin):
    broker = "Zebu"
    default_urls = ZebuAdapter.default_urls

    def tokens(self, answer: Answer) -> dict[str, str]:
        found = super().tokens(answer)
        other = text_of(answer, "susertoken")
        return {**found, "other_token": other} if other not in ("", found.get("token")) else found
