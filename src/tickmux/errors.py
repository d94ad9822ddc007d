"""Errors that a client sees: one table of codes, shared by server, examples and documentation.

RequestError            a request, or one item of it, cannot be carried out; carries `code` and `message`
 └─ CapacityExceeded    the pool is full; carries the numbers
"""

from enum import IntEnum, StrEnum


class ErrorCode(StrEnum):
    """`code` of an error answer (client protocol, section "Errors and limits")."""

    INVALID_JSON = "INVALID_JSON"
    INVALID_ACTION = "INVALID_ACTION"
    INVALID_PARAMETERS = "INVALID_PARAMETERS"
    INVALID_MODE = "INVALID_MODE"
    UNSUPPORTED_DEPTH_LEVEL = "UNSUPPORTED_DEPTH_LEVEL"
    AUTHENTICATION_ERROR = "AUTHENTICATION_ERROR"
    NOT_AUTHENTICATED = "NOT_AUTHENTICATED"
    BROKER_ERROR = "BROKER_ERROR"
    BROKER_INIT_ERROR = "BROKER_INIT_ERROR"
    BROKER_CONNECTION_ERROR = "BROKER_CONNECTION_ERROR"
    BROKER_AUTH_EXPIRED = "BROKER_AUTH_EXPIRED"
    SYMBOL_NOT_FOUND = "SYMBOL_NOT_FOUND"
    CAPACITY_EXCEEDED = "CAPACITY_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    SUBSCRIPTION_LIMIT = "SUBSCRIPTION_LIMIT"
    SERVER_ERROR = "SERVER_ERROR"


class CloseCode(IntEnum):
    """Why the server closes a client's connection."""

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    MESSAGE_TOO_BIG = 1009
    TRY_AGAIN_LATER = 1013
    NOT_AUTHENTICATED = 4401
    SLOW_CONSUMER = 4408


class RequestError(Exception):
    """Why a request or an item of one is refused; the message says what was wrong and what to do."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class CapacityExceeded(RequestError):
    """No connection has room for one more instrument."""

    def __init__(self, broker: str, connections: int, symbols: int) -> None:
        super().__init__(
            ErrorCode.CAPACITY_EXCEEDED,
            f"{broker}'s feed is full ({connections} × {symbols}: connections × symbols); "
            "unsubscribe what is no longer needed, or raise MAX_SYMBOLS_PER_WEBSOCKET or "
            "MAX_WEBSOCKET_CONNECTIONS if your account allows more",
        )
        self.broker = broker
        self.connections = connections
        self.symbols = symbols
