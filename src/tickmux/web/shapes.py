"""The API's bodies, queries and answers. The OpenAPI document is made of these, and so is the validation.

Times are epoch milliseconds; what is not known is null.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tickmux.instrument import EXCHANGES

Exchange = Literal[EXCHANGES]  # type: ignore[valid-type]
FeedStateName = Literal["connecting", "live", "stalled", "reconnecting", "auth_expired", "market_closed", "stopped"]

Username = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._@-]{1,64}\Z", description="letters, digits, . _ - @; up to 64")]
Password = Annotated[str, Meta(min_length=10, max_length=256, description="10 to 256 characters")]
KeyName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}\Z", description="1 to 64 printable characters")]
Value = Annotated[str, Meta(max_length=8192)]
Values = Annotated[dict[Annotated[str, Meta(max_length=64)], Value], Meta(max_length=40)]


class Answer(Struct, kw_only=True):
    """What every success begins with."""

    status: Literal["success"] = "success"


class Failure(Struct, kw_only=True):
    """What every failure is."""

    code: Annotated[str, Meta(pattern="^[A-Z_]+$")]
    message: str
    status: Literal["error"] = "error"
    fields: dict[str, str] | None = None
    retry_after: float | None = None


# -- session -----------------------------------------------------------------------------------------------


class SessionAnswer(Answer, kw_only=True):
    """Who is logged in. `suggested_username` (before the first user) is the one whom the command line means."""

    setup_required: bool
    authenticated: bool
    username: str | None
    csrf_token: str
    version: str
    suggested_username: str | None = None
    setup_code_required: bool = False
    """Whether this browser has to give the code that the server's console shows, to create the first user."""


class NewUser(Struct):
    username: Username
    password: Password
    code: Annotated[str, Meta(max_length=64, description="the setup code, where one is asked for")] = ""


class NewPassword(Struct):
    password: Annotated[str, Meta(max_length=256, description="the present one")]
    new_password: Password


class Credential(Struct):
    username: Annotated[str, Meta(max_length=256)]
    password: Annotated[str, Meta(max_length=256)]


# -- WebSocket ---------------------------------------------------------------------------------------------


class WebSocketConfig(Answer, kw_only=True):
    websocket_url: str
    is_secure: bool
    original_url: str


class WebSocketKey(Answer, kw_only=True):
    api_key: str
    expires_at: int


# -- state -------------------------------------------------------------------------------------------------


class ProxyHealth(Struct):
    running: bool
    clients: int | None


class FeedHealth(Struct):
    broker: str
    state: FeedStateName


class Health(Answer, kw_only=True):
    state: Literal["ok", "degraded"]
    version: str
    uptime_seconds: float | None
    proxy: ProxyHealth
    feed: FeedHealth | None
    message: str = ""


class Latency(Struct):
    """Milliseconds."""

    p50: float
    p99: float
    max: float


class ClientState(Struct):
    """`behind`: messages that a client which does not read has missed; it gets the newest of each subscription."""

    id: int
    user: str
    since: int | None
    subscriptions: int
    messages: int | None
    behind: int
    buffered_bytes: int


class ProxyState(Struct, kw_only=True):
    url: str
    started_at: int
    clients: int
    clients_total: int
    subscriptions: int
    instruments: int
    messages: int
    bytes: int | None
    conflated: int
    latency_ms: Latency | None
    clients_detail: list[ClientState]


class ConnectionState(Struct, kw_only=True):
    id: str
    channel: str
    state: FeedStateName
    since: int | None
    symbols: int
    max_symbols: int
    reconnects: int | None
    last_frame: int | None


class FeedDetail(Struct, kw_only=True):
    broker: str
    title: str
    account: str | None
    simulated: bool
    state: FeedStateName
    since: int
    message: str
    market_open: bool | None
    symbols: int
    max_symbols: int | None
    max_connections: int | None
    ticks: int | None
    frames: int | None
    bytes: int | None
    reconnects: int | None
    drops: int | None
    decode_errors: int | None
    unknown_frames: int | None
    last_tick: int | None
    latency_ms: Latency | None
    token_expires_at: int | None
    connections: list[ConnectionState]


class Feeds(Answer, kw_only=True):
    server_time: int
    proxy: ProxyState
    feeds: list[FeedDetail]


# -- instruments -------------------------------------------------------------------------------------------


class SymbolQuery(Struct):
    q: Annotated[str, Meta(min_length=1, max_length=100, description="words of the symbol or the name")]
    exchange: Exchange | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class FoundSymbol(Struct):
    symbol: str
    exchange: str
    name: str
    instrumenttype: str
    expiry: str
    strike: float
    lotsize: int
    tick_size: float
    depth_levels: list[int]


class SymbolAnswer(Answer, kw_only=True):
    query: str
    broker: str
    total: int | None
    results: list[FoundSymbol]


# -- brokers -----------------------------------------------------------------------------------------------


class ActiveBroker(Struct):
    broker: Annotated[str, Meta(max_length=64)]
    simulated: bool = False


class LoginField(Struct):
    name: str
    label: str
    help: str
    secret: bool
    remember: bool
    optional: bool


class StoredBrokerSession(Struct):
    account: str | None
    created_at: int
    expires_at: int | None
    state: Literal["valid", "not tried", "expired", "rejected"]


class InstrumentListState(Struct):
    count: int
    updated_at: int | None
    updating: bool
    message: str


class BrokerDetail(Struct, kw_only=True):
    name: str
    title: str
    transport: str
    modes: list[Literal["LTP", "QUOTE", "DEPTH"]]
    depth: dict[str, list[int]]
    symbols_per_connection: int
    max_connections: int
    login: Literal["redirect", "totp", "keys"]
    token_life: str
    simulator: bool
    fields: list[LoginField]
    token_fields: list[LoginField]
    redirect_uri: str
    remembered: list[str]
    session: StoredBrokerSession | None
    instruments: InstrumentListState


class BrokersAnswer(Answer, kw_only=True):
    active: ActiveBroker | None
    fixed: str | None
    redirect_base: str
    brokers: list[BrokerDetail]


class BrokerAnswer(Answer, kw_only=True):
    broker: BrokerDetail


class ActiveAnswer(Answer, kw_only=True):
    active: ActiveBroker


class LoginValues(Struct):
    values: Values


class RedirectStep(Struct, tag_field="step", tag="redirect", kw_only=True):
    url: str
    expires_at: int
    status: Literal["success"] = "success"


class AnswerStep(Struct, tag_field="step", tag="answer", kw_only=True):
    """The broker asks something in the middle; `message` says what has happened, such as a code sent by SMS."""

    message: str
    field: LoginField
    expires_at: int
    status: Literal["success"] = "success"


class DoneStep(Struct, tag_field="step", tag="done", kw_only=True):
    broker: BrokerDetail
    status: Literal["success"] = "success"


class PastedRedirect(Struct):
    redirect_url: Annotated[str, Meta(min_length=1, max_length=8192)]


class GivenAnswer(Struct):
    answer: Value


class LoginOutcome(Answer, kw_only=True):
    """`field` and `expires_at` belong to an open question."""

    state: Literal["none", "pending", "question", "succeeded", "failed"]
    message: str
    field: LoginField | None = None
    expires_at: int | None = None


# -- API keys ----------------------------------------------------------------------------------------------


class KeyDetail(Struct):
    id: str
    name: str
    prefix: str
    created_at: int
    last_used_at: int | None
    revoked_at: int | None


class KeyNaming(Struct):
    name: KeyName


class KeysAnswer(Answer, kw_only=True):
    keys: list[KeyDetail]


class KeyAnswer(Answer, kw_only=True):
    key: KeyDetail


class NewKeyAnswer(KeyAnswer, kw_only=True):
    api_key: str


class OpenApiDocument(Struct):
    """An OpenAPI 3.1 document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]
