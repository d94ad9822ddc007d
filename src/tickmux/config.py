"""Configuration: one frozen `Settings`, from command line, environment, `.env` and defaults, in this order.

The fields of `Settings` are the only list of variables there is: a field's name in capitals is the variable, its
annotation says how a text becomes its value and what it is for. `.env.example` and `docs/configuration.md` are
rendered from the same list (`tickmux config --format env` and `--format markdown`).
"""

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import date, time
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

from tickmux.env_file import EnvFileUnreadable, read_env
from tickmux.secrets_file import FILE_NAME, SecretsDamaged, kept_secrets

log = logging.getLogger(__name__)

MIN_SECRET_BYTES = 32


class ConfigError(Exception):
    """A wrong setting: one line that names the variable, its value (never a secret one) and what is allowed."""


class Kind(NamedTuple):
    """How the text of a variable becomes a value: `parse` raises ValueError, `allowed` says what it takes."""

    allowed: str
    parse: Callable[[str], Any]


class About(NamedTuple):
    """What belongs to a variable besides its type and default; `default` words one that is worked out."""

    group: str
    kind: Kind
    text: str
    default: str = ""
    secret: bool = False


class Variable(NamedTuple):
    """One line of the table of variables."""

    name: str
    field: str
    default: Any
    about: About

    @property
    def default_text(self) -> str:
        """The default as documentation shows it; empty when there is none."""
        return self.about.default or as_text(self.default)


# -- kinds of values ---------------------------------------------------------------------------------------


def _whole(least: int, most: int, what: str = "") -> Kind:
    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return Kind(f"a whole number from {least} to {most}{what and f' ({what})'}", parse)


def _seconds(least: float, most: float) -> Kind:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
            raise ValueError
        return float(text)

    return Kind(f"seconds from {least:g} to {most:g}", parse)


def _matching(pattern: str, allowed: str, change: Callable[[str], str] = str) -> Kind:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return change(text)

    return Kind(allowed, parse)


_TRUTH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _parse_bool(text: str) -> bool:
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise ValueError from None


def _parse_dates(text: str) -> frozenset[date]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", part) for part in parts):
        raise ValueError  # the other spellings of ISO 8601 (weeks, no dashes)
    return frozenset(map(date.fromisoformat, parts))


def _parse_clock(text: str) -> time | None:
    """`08:00`; None for `off`."""
    if text.lower() == "off":
        return None
    if not re.fullmatch(r"[0-9]{2}:[0-9]{2}", text):
        raise ValueError
    return time.fromisoformat(text)


def _parse_secret(text: str) -> str:
    if len(text.encode()) < MIN_SECRET_BYTES:
        raise ValueError
    return text


def _parse_name(text: str) -> str:
    if not (0 < len(text) <= 64 and text.isprintable()):
        raise ValueError
    return text


def _parse_folder(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # ~ of a user that there is not
        raise ValueError from None


def _parse_broker_urls(text: str) -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        if not (match := re.fullmatch(r"(\w+)\.(\w+)=((?:https?|wss?)://[^\s,]+)", part)):
            raise ValueError
        broker, name, url = match.groups()
        found.setdefault(broker, {})[name] = url
    return found


def _parse_origins(text: str) -> frozenset[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part in ("*", "null") or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/,]+/?", part) for part in parts):
        raise ValueError
    return frozenset(part.rstrip("/") for part in parts)


_PORT = _whole(0, 65535, "0: the system chooses")
_HOST = _matching(r"[\w.:%-]{1,253}", "a host name or an IP address")
_BOOL = Kind("true or false", _parse_bool)
_LIMIT = _whole(1, 1_000_000)
_NAME = Kind("1 to 64 printable characters", _parse_name)
_LEVEL = _matching(
    r"(?i)debug|info|warning|error|critical", "DEBUG, INFO, WARNING, ERROR or CRITICAL", lambda text: text.upper()
)
_WS_URL = _matching(r"wss?://\S+", "a URL that begins with ws:// or wss://")
_DATABASE = _matching(
    r"(?s)sqlite(\+pysqlite)?:///(?!:memory:).+|postgres(ql)?(\+psycopg)?://.+",
    "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
)
_SECRET = Kind(f"at least {MIN_SECRET_BYTES} bytes", _parse_secret)
_CLOCK = Kind("a time as 08:00, or off", _parse_clock)
_DATES = Kind("dates as 2025-08-15, separated by commas", _parse_dates)
_ORIGINS = Kind("origins as https://charts.example.com, separated by commas, or *", _parse_origins)
_FOLDER = Kind("a folder", _parse_folder)
_BROKER_URLS = Kind("BROKER.NAME=URL, separated by commas", _parse_broker_urls)


# -- the settings ------------------------------------------------------------------------------------------

_CLIENTS, _FEEDS, _BUS, _WEB = "Clients", "Broker feeds", "Bus", "Web app"
_DATA, _OTHER = "Data and secrets", "Other"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set. Made by `load`; `repr` shows no secret."""

    websocket_host: Annotated[
        str, About(_CLIENTS, _HOST, "Address on which clients are served; 0.0.0.0 for every interface.")
    ] = "127.0.0.1"
    websocket_port: Annotated[int, About(_CLIENTS, _PORT, "Port on which clients are served.")] = 8765
    websocket_url: Annotated[
        str,
        About(
            _CLIENTS,
            _WS_URL,
            "Where clients reach the server, if that is another address (behind a proxy, say).",
            default="ws://WEBSOCKET_HOST:WEBSOCKET_PORT",
        ),
    ] = ""
    message_throttle_ms: Annotated[
        int,
        About(
            _CLIENTS,
            _whole(0, 60_000),
            "Milliseconds between two messages of one instrument and mode; 0 sends every tick.",
        ),
    ] = 50
    ws_auth_grace_seconds: Annotated[
        float, About(_CLIENTS, _seconds(0.1, 3600), "Time that a client has to authenticate.")
    ] = 15.0
    ws_auth_attempts: Annotated[
        int, About(_CLIENTS, _whole(1, 1000), "Wrong API keys on one connection before it is closed.")
    ] = 5
    ws_max_connections: Annotated[int, About(_CLIENTS, _LIMIT, "Clients connected at a time.")] = 5000
    ws_max_subscriptions: Annotated[int, About(_CLIENTS, _LIMIT, "Subscriptions of one client.")] = 10_000
    ws_max_message_bytes: Annotated[
        int, About(_CLIENTS, _whole(1024, 64 * 1024 * 1024), "Longest message that a client may send, in bytes.")
    ] = 1024 * 1024
    ws_max_unauthenticated: Annotated[
        int,
        About(
            _CLIENTS,
            _whole(2, 1_000_000),
            "Connections that have not shown a key yet, which take no client's place; half of them for one address.",
        ),
    ] = 2000
    ws_allowed_origins: Annotated[
        frozenset[str],
        About(
            _CLIENTS,
            _ORIGINS,
            "Web sites whose pages may connect, besides this machine and the server's own host name; * for all.",
        ),
    ] = frozenset()
    ws_max_requests_per_second: Annotated[
        int,
        About(
            _CLIENTS,
            _LIMIT,
            "Requests of one client that are carried out in a second; each 50 instruments in one count as one more.",
        ),
    ] = 100
    ws_request_burst: Annotated[
        int, About(_CLIENTS, _LIMIT, "Requests of one client that are carried out at once; more have to wait.")
    ] = 200
    ws_ping_interval: Annotated[
        float, About(_CLIENTS, _seconds(0, 3600), "Seconds between pings to a client that says nothing; 0: none.")
    ] = 20.0
    ws_ping_timeout: Annotated[
        float,
        About(
            _CLIENTS,
            _seconds(0.1, 3600),
            "Seconds without an answer to a ping, or any sign of its machine, after which a client is let go.",
        ),
    ] = 20.0
    ws_slow_consumer_seconds: Annotated[
        float,
        About(_CLIENTS, _seconds(0.1, 3600), "A client that reads nothing for so long while data waits is closed."),
    ] = 30.0

    max_symbols_per_websocket: Annotated[
        int | None,
        About(
            _FEEDS,
            _LIMIT,
            "Instruments on one connection to the broker; never above what the broker allows.",
            default="the broker's",
        ),
    ] = None
    max_websocket_connections: Annotated[
        int | None,
        About(
            _FEEDS,
            _LIMIT,
            "Connections to the broker; never above what the broker allows.",
            default="the broker's",
        ),
    ] = None
    enable_connection_pooling: Annotated[
        bool, About(_FEEDS, _BOOL, "Several connections to the broker; off means one.")
    ] = True
    market_holidays: Annotated[
        frozenset[date],
        About(_FEEDS, _DATES, "Days without trading besides Saturdays and Sundays: a silent feed is normal then."),
    ] = frozenset()
    instruments_renewal: Annotated[
        time | None,
        About(
            _FEEDS,
            _CLOCK,
            "When lists of instruments are fetched anew on trading days (India's time), and at the start if older; "
            "off: never.",
            default="08:00",
        ),
    ] = time(8, 0)
    broker_urls: Annotated[
        Mapping[str, Mapping[str, str]],
        About(
            _FEEDS,
            _BROKER_URLS,
            "Other addresses for a broker's servers (a simulator, a proxy of your own): "
            "zerodha.feed=ws://127.0.0.1:9000. The broker's page has the names.",
        ),
    ] = field(default_factory=dict)

    feed_process: Annotated[
        bool, About(_FEEDS, _BOOL, "Feeds run in `tickmux feed`, a process of its own, instead of the server's.")
    ] = False
    feed_host: Annotated[str, About(_FEEDS, _HOST, "Address of that process.")] = "127.0.0.1"
    feed_port: Annotated[int, About(_FEEDS, _PORT, "Port of that process.")] = 5556

    zmq_host: Annotated[
        str,
        About(_BUS, _HOST, "Address of the ZeroMQ bus, which is open with FEED_PROCESS or --external only."),
    ] = "127.0.0.1"
    zmq_port: Annotated[int, About(_BUS, _PORT, "Port of the ZeroMQ bus.")] = 5555
    zmq_plain: Annotated[
        str | None,
        About(
            _BUS,
            _matching("(?i)loopback", "loopback, or nothing", str.lower),
            "loopback: with --external, publishers on this machine need no keys (OpenAlgo's adapters have none).",
            default="keys are needed",
        ),
    ] = None
    zmq_hwm: Annotated[
        int, About(_BUS, _whole(1, 100_000_000), "Messages that the bus holds for one peer before it drops some.")
    ] = 100_000

    web_host: Annotated[str, About(_WEB, _HOST, "Address of the web app.")] = "127.0.0.1"
    web_port: Annotated[int, About(_WEB, _PORT, "Port of the web app.")] = 5000
    web_max_connections: Annotated[
        int,
        About(
            _WEB,
            _whole(16, 1_000_000),
            "Connections to the web app at a time, a quarter of them from one address (loopback apart).",
        ),
    ] = 1000

    tickmux_home: Annotated[
        Path,
        About(
            _DATA,
            _FOLDER,
            "Folder for the database and secrets; a .env in it is read too.",
            default="$XDG_DATA_HOME/tickmux, else ~/.local/share/tickmux",
        ),
    ]
    database_url: Annotated[
        str,
        About(_DATA, _DATABASE, "Where the data is kept.", default="sqlite:///TICKMUX_HOME/tickmux.db", secret=True),
    ] = field(repr=False)
    api_key_pepper: Annotated[
        str,
        About(
            _DATA,
            _SECRET,
            "Mixed into the hashes of API keys; a changed one makes all keys useless.",
            default=f"made once, in TICKMUX_HOME/{FILE_NAME}",
            secret=True,
        ),
    ] = field(repr=False)
    tickmux_secret: Annotated[
        str,
        About(
            _DATA,
            _SECRET,
            "Encrypts stored broker sessions; a changed one means logging in again.",
            default=f"made once, in TICKMUX_HOME/{FILE_NAME}",
            secret=True,
        ),
    ] = field(repr=False)

    tickmux_user: Annotated[
        str, About(_OTHER, _NAME, "Whose broker session and keys commands mean when they do not say.")
    ] = "trader"
    log_level: Annotated[str, About(_OTHER, _LEVEL, "How much is logged.")] = "INFO"

    @classmethod
    def load(
        cls,
        overrides: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> "Settings":
        """The settings in effect. Raises ConfigError.

        `overrides` come from the command line, by field or variable name; None stands for "not given". `.env` is
        looked for in `folder` (the working directory), where one that others could have written is not read and the
        log says so, and in TICKMUX_HOME; the former wins. An empty value counts as unset. Missing secrets are made
        and kept in TICKMUX_HOME.
        """
        # Empty values go first: one that stands before another in rank must not hide it.
        environ = _set_ones(os.environ if environ is None else environ)
        known = {variable.name for variable in variables()}
        given = {name.upper(): as_text(value) for name, value in (overrides or {}).items() if value is not None}
        if unknown := given.keys() - known:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        given = _set_ones(given)
        beside = _dotenv((folder or Path.cwd()) / ".env", trust_all=False)
        home = _home({**beside, **environ, **given}, environ)
        texts = {**_dotenv(home / ".env"), **beside, **environ, **given, "TICKMUX_HOME": str(home)}
        values = {
            variable.field: _parse(variable, text) for variable in variables() if (text := texts.get(variable.name))
        }
        _check_broker_urls(values.get("broker_urls", {}))
        _complete(values, home)
        return cls(**values)

    @staticmethod
    def usual_home() -> Path:
        """TICKMUX_HOME where it is not set."""
        return _home({}, {name: value for name, value in os.environ.items() if name == "XDG_DATA_HOME"})

    def urls(self, broker: str) -> Mapping[str, str]:
        """The addresses that replace the broker's own, by their names."""
        return self.broker_urls.get(broker, {})


@cache
def variables() -> tuple[Variable, ...]:
    """The table of all variables, in the order in which documentation shows them."""
    hints = get_type_hints(Settings, include_extras=True)
    found = []
    for item in fields(Settings):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        about = hints[item.name].__metadata__[0]
        found.append(Variable(item.name.upper(), item.name, None if default is MISSING else default, about))
    return tuple(found)


def _table() -> dict[str, Variable]:
    return {variable.field: variable for variable in variables()}


def as_text(value: object) -> str:
    """A value as `.env` spells it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")  # all digits: what is shown is what is in effect
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    if isinstance(value, Mapping):
        return ",".join(f"{broker}.{name}={url}" for broker, urls in value.items() for name, url in urls.items())
    return str(value)


def replaced_addresses(settings: Settings) -> list[str]:
    """The brokers' servers that BROKER_URLS replaces, a line for each: `zerodha's feed is at ws://127.0.0.1:9000`.

    Whoever set them, logins and tokens go there, so a start says them. User names and passwords in them are left out.
    """
    return [
        f"{broker}'s {name} is at {re.sub('//[^/@]*@', '//', url)}"
        for broker, urls in settings.broker_urls.items()
        for name, url in urls.items()
    ]


def _set_ones(texts: Mapping[str, str]) -> dict[str, str]:
    """Without those that are empty, which count as unset."""
    return {name: stripped for name, text in texts.items() if (stripped := text.strip())}


def _home(texts: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    if text := texts.get("TICKMUX_HOME"):
        return Path(_parse(_table()["tickmux_home"], text))
    data = Path(environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path("~/.local/share").expanduser()) / "tickmux"


def _dotenv(path: Path, *, trust_all: bool = True) -> dict[str, str]:
    try:
        found, distrust = read_env(path)
    except EnvFileUnreadable as error:
        raise ConfigError(str(error)) from None
    if not distrust or trust_all:
        return _set_ones(found)
    ours = [
        f"{variable.name} (hidden)" if variable.about.secret else f"{variable.name}={found[variable.name]}"
        for variable in variables()
        if variable.name in found
    ]
    if ours:
        log.warning(
            "%s is not read, since %s; it would have set %s. If it is yours: chown it to yourself and chmod 600 it",
            path,
            distrust,
            ", ".join(ours),
        )
    return {}


def _check_broker_urls(given: Mapping[str, Mapping[str, str]]) -> None:
    """A name that no broker has would leave the broker's own address in use, unnoticed."""
    if not given:
        return
    from tickmux.websocket_proxy.broker_factory import UnknownBroker, load_broker

    for broker, urls in given.items():
        try:
            names = load_broker(broker).url_names
        except UnknownBroker as error:
            raise ConfigError(f"BROKER_URLS is not possible: {error}") from None
        for name in urls:
            if name not in names:
                raise ConfigError(
                    f"BROKER_URLS is not possible: {broker} has no address {name!r}; it has {', '.join(names)}"
                )


def _parse(variable: Variable, text: str) -> Any:
    try:
        return variable.about.kind.parse(text)
    except ValueError:
        shown = "" if variable.about.secret else f" {text if len(text) <= 60 else text[:57] + '…'!r}"
        raise ConfigError(
            f"{variable.name}{shown or ' (value hidden)'} is not possible: it takes {variable.about.kind.allowed}"
        ) from None


def _complete(values: dict[str, Any], home: Path) -> None:
    """Fills in the defaults that depend on other values."""
    if "websocket_url" not in values:
        host = values.get("websocket_host", Settings.websocket_host)
        port = values.get("websocket_port", Settings.websocket_port)
        values["websocket_url"] = f"ws://{reachable(host)}:{port}"
    values.setdefault("database_url", f"sqlite:///{home / 'tickmux.db'}")
    if missing := [name for name in ("api_key_pepper", "tickmux_secret") if name not in values]:
        try:
            kept = kept_secrets(home, [name.upper() for name in missing])
        except SecretsDamaged as error:
            raise ConfigError(str(error)) from None
        except OSError as error:
            raise ConfigError(
                f"TICKMUX_HOME {str(home)!r} is not possible: it takes a folder that can be written "
                f"({error.strerror or type(error).__name__})"
            ) from None
        values |= {name: _parse(_table()[name], kept[name.upper()]) for name in missing}


def reachable(host: str) -> str:
    """The host as a URL of this machine names it."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "[::1]" if address.version == 6 else "127.0.0.1"
    return f"[{host}]" if address.version == 6 else host
