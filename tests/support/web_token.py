"""JSON web tokens as brokers issue them, signed by nobody."""

import base64
import json


def jwt(claims: object) -> str:
    return f"{_part({'alg': 'HS256'})}.{_part(claims)}.c2ln"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
