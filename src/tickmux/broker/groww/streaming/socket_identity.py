"""Who a connection is to Groww's NATS server: a key pair of its own, and the socket token made for it (section 2)."""

import base64
import os

import nkeys


class SocketIdentity:
    """A key pair, and `token`, the JWT that Groww makes for its public key; empty until it has been fetched.

    The seed never leaves the process; `repr` shows the public key alone.
    """

    def __init__(self, seed: str, token: str = "") -> None:
        """`seed` in its text form, `SU…`; raises ValueError for anything else."""
        try:
            self._pair = nkeys.from_seed(seed.encode())
            self.public_key: str = self._pair.public_key.decode()
        except (nkeys.NkeysError, ValueError):
            self.public_key = ""
        if self.public_key[:1] != "U":
            raise ValueError("this is no seed of a user's key pair")
        self.token = token

    @classmethod
    def fresh(cls) -> "SocketIdentity":
        """One that nobody had before."""
        return cls(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())

    def sign(self, nonce: str) -> str:
        """The signature of the server's nonce, as text."""
        return base64.b64encode(self._pair.sign(nonce.encode())).decode()

    def __repr__(self) -> str:
        return f"<SocketIdentity {self.public_key}>"


class Refusals:
    """How many socket tokens in a row were refused before their connection was ever accepted."""

    def __init__(self) -> None:
        self.in_a_row = 0
