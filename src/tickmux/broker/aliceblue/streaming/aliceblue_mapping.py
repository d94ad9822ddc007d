"""Alice Blue's codec: the family's with a hashed session and other exchanges (specification sections 3, 7 and 8)."""

from tickmux.broker._noren.login import sha256
from tickmux.broker._noren.noren_codec import EXCHANGES, NorenCodec, noren_json
from tickmux.codec import Credentials


class AliceBlueCodec(NorenCodec):
    variant = "susertoken"
    exchanges = (*EXCHANGES, "BCD", "MCX_INDEX")
    heartbeat = noren_json({"k": "", "t": "h"})

    def identity(self, credentials: Credentials) -> tuple[str, str]:
        user, session = super().identity(credentials)
        return f"{user}_API", sha256(sha256(session))
