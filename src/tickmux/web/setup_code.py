"""The code that whoever creates the first user has to know, unless he surely sits at this machine.

It is printed where only the operator looks: on the console, in the log. It is derived from TICKMUX_SECRET, so that
all worker processes know the same one, and is worth nothing once there is a user.
"""

import hashlib
import hmac
import re

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 12
"""Characters, of 4.9 bits each."""


def setup_code(secret: str) -> str:
    """The code of a server with that TICKMUX_SECRET, as it is shown: `4FKW-9XQ2-TB7M`."""
    number = int.from_bytes(hmac.digest(secret.encode(), b"tickmux setup code", hashlib.sha256))
    letters = []
    for _ in range(_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "-".join("".join(letters[start : start + 4]) for start in range(0, _LENGTH, 4))


def is_setup_code(secret: str, given: str) -> bool:
    """Whether `given` is that code, however it is spaced and spelt."""
    plain = re.sub(r"[\s-]", "", given).upper()
    return hmac.compare_digest(plain.encode(errors="replace"), setup_code(secret).replace("-", "").encode())
