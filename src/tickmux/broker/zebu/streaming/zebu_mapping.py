"""Zebu's codec: the family's, with a second token to try (specification section 2)."""

from tickmux.broker._noren.noren_codec import NorenCodec
from tickmux.codec import Credentials


class ZebuCodec(NorenCodec):
    """A login may give two tokens, and it is not said which one the feed wants: a refused one makes room for the
    `other_token`, once."""

    def identity(self, credentials: Credentials) -> tuple[str, str]:
        user, token = super().identity(credentials)
        tokens = (token, credentials.get("other_token") or token)
        return user, tokens[self._memory.turn % 2]
