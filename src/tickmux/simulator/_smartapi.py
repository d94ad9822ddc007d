"""What the clients of SmartAPI's feeds send: the requests that Angel One and m.Stock read alike."""

from collections.abc import Mapping, Sequence

import msgspec

from tickmux.simulator.market.security import Security

SUBSCRIBE, UNSUBSCRIBE = 1, 0


class Group(msgspec.Struct):
    """Tokens of one exchange type."""

    exchange_type: int = msgspec.field(name="exchangeType")
    tokens: list[str]


class Params(msgspec.Struct):
    mode: int
    groups: list[Group] = msgspec.field(name="tokenList")


class ClientRequest(msgspec.Struct):
    action: int
    params: Params
    correlation: str | None = msgspec.field(default=None, name="correlationID")

    def asks_for(self, modes: range) -> bool:
        """Whether it is about one of the modes."""
        return self.action in (SUBSCRIBE, UNSUBSCRIBE) and self.params.mode in modes


_decode = msgspec.json.Decoder(ClientRequest).decode


def read_request(message: str | bytes) -> ClientRequest | None:
    """The request; None for what is none."""
    try:
        return _decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


Table = Mapping[tuple[int, str], Security]
"""The instruments by exchange type and token."""


def chosen(groups: Sequence[Group], table: Table) -> list[Security]:
    """The instruments of the groups, each once; unknown tokens are ignored."""
    found = (table.get((group.exchange_type, token)) for group in groups for token in group.tokens)
    return list(dict.fromkeys(security for security in found if security is not None))
