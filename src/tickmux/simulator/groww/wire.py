"""What Groww's simulator says: payloads, socket tokens and rows of the instrument list, from the specification.

Nothing here knows of sockets or clients. The socket tokens are genuine NATS user tokens, so that any NATS server
which trusts the simulator's account takes them.
"""

import base64
import hashlib
import os
from datetime import timedelta

import msgspec
import nkeys
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from tickmux.instrument import format_expiry, format_strike
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.protobuf_wire import double, integer, message, text

FOLDERS = {
    "NSE": "/ld/eq/nse/",
    "BSE": "/ld/eq/bse/",
    "NFO": "/ld/fo/nse/",
    "BFO": "/ld/fo/bse/",
    "NSE_INDEX": "/ld/indices/nse/",
    "BSE_INDEX": "/ld/indices/bse/",
}
_INDEX_SYMBOLS = {"NIFTYNXT50": "NIFTYJR", "MIDCPNIFTY": "NIFTYMIDSELECT"}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKLY_MONTHS = "123456789OND"

# -- payloads (section 5) ----------------------------------------------------------------------------------


def subject(security: Security, kind: str) -> str:
    """Section 4: `kind` is price or book."""
    return f"{FOLDERS[security.exchange]}{kind}.{exchange_token(security)}"


def encode_payload(security: Security, kind: str) -> bytes:
    """A `StocksSocketResponseProtoDto` with the arm that belongs to the instrument and `kind`."""
    if security.is_index:
        arm = message(6, double(1, security.updated_at), double(2, security.ltp / PRICE_UNIT))
    elif kind == "book":
        # Books carry seconds where prices carry milliseconds.
        seconds = double(1, security.updated_at / 1000)
        arm = message(5, seconds, _book(2, security.bids), _book(3, security.asks))
    else:
        arm = message(4, _live_price(security))
    segment = 1 if security.is_derivative else 0
    exchange = 1 if security.exchange in ("NSE", "NFO", "NSE_INDEX") else 0
    return text(1, trading_symbol(security)) + integer(2, segment) + integer(3, exchange) + arm


def _live_price(security: Security) -> bytes:
    rupees = (security.open, security.high, security.low, security.close)
    return b"".join(
        (
            double(1, security.updated_at),
            *(double(number, price / PRICE_UNIT) for number, price in enumerate(rupees, 2)),
            double(6, security.volume),
            double(7, security.turnover / PRICE_UNIT),
            double(8, security.total_buy),
            double(9, security.total_sell),
            double(10, security.average / PRICE_UNIT),
            double(11, security.upper_circuit / PRICE_UNIT),
            double(12, security.lower_circuit / PRICE_UNIT),
            double(13, security.ltp / PRICE_UNIT),
            double(14, security.oi if security.is_derivative else 0),
            double(15, security.year_low / PRICE_UNIT),
            double(16, security.year_high / PRICE_UNIT),
        )
    )


def _book(number: int, levels: list[Level]) -> bytes:
    """A map of level number -> level; the order of a map's entries means nothing, so the best comes last here."""
    return b"".join(
        message(number, integer(1, place), message(2, double(1, level.price / PRICE_UNIT), double(2, level.quantity)))
        for place, level in reversed([*enumerate(levels[:5], 1)])
    )


# -- socket tokens (sections 2 and 3) ----------------------------------------------------------------------


class Account:
    """A NATS account: it makes the tokens of its users."""

    def __init__(self) -> None:
        self._pair = nkeys.from_seed(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_ACCOUNT))
        self.public_key: str = self._pair.public_key.decode()

    def user_token(self, public_key: str, number: int, **claims: object) -> str:
        """The `number`-th token, good for the holder of the key pair of `public_key`."""
        user = {"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        return signed_token(self._pair, public_key, {"jti": f"simulated-{number}", "nats": user, **claims})


def signed_token(issuer: nkeys.KeyPair, subject_key: str, claims: dict[str, object]) -> str:
    """A JWT as NATS has them: signed with the issuer's nkey."""
    parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, {"iss": issuer.public_key.decode(), "sub": subject_key, **claims})
    head = ".".join(_unpadded(msgspec.json.encode(part)) for part in parts)
    return f"{head}.{_unpadded(issuer.sign(head.encode()))}"


def is_user_key(public_key: object) -> bool:
    """Whether it is the public key of a user's pair: prefix, length and checksum."""
    if not isinstance(public_key, str) or len(public_key) != 56 or not public_key.isascii():
        return False
    try:
        raw = base64.b32decode(public_key)
    except ValueError:
        return False
    return raw[0] == nkeys.PREFIX_BYTE_USER and bool(nkeys.crc16_checksum(raw[:-2]) == raw[-2:])


def has_signed(public_key: str, nonce: str, signature: object) -> bool:
    """Whether `signature` (base64 of either alphabet) is that of the nonce by the holder of the public key."""
    if not isinstance(signature, str):
        return False
    try:
        plain = base64.urlsafe_b64decode(signature.translate(_TO_URL_SAFE) + "=" * (-len(signature) % 4))
        VerifyKey(base64.b32decode(public_key)[1:33]).verify(nonce.encode(), plain)
    except (BadSignatureError, ValueError):
        return False
    return True


_TO_URL_SAFE = str.maketrans("+/", "-_")


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def approval_checksum(secret: str, timestamp: str) -> str:
    return hashlib.sha256(f"{secret}{timestamp}".encode()).hexdigest()


# -- instrument list (section 9) ---------------------------------------------------------------------------

COLUMNS = (
    "exchange,exchange_token,trading_symbol,groww_symbol,name,instrument_type,segment,series,isin,underlying_symbol,"
    "underlying_exchange_token,expiry_date,strike_price,lot_size,tick_size,freeze_quantity,is_reserved,buy_allowed,"
    "sell_allowed"
)


def is_listed(security: Security) -> bool:
    return security.exchange in FOLDERS or security.exchange == "MCX"


def exchange_token(security: Security) -> str:
    """The exchange's number, but the name of an NSE index."""
    return trading_symbol(security) if security.exchange == "NSE_INDEX" else str(security.token)


def trading_symbol(security: Security) -> str:
    if security.is_index:
        return _INDEX_SYMBOLS.get(security.symbol, security.symbol)
    expiry = security.expiry
    if expiry is None:
        return security.symbol
    year, month = f"{expiry.year % 100:02d}", _MONTHS[expiry.month - 1]
    if security.kind == "FUT":
        return f"{security.name}{year}{month}FUT"
    # The last expiry of a month bears the month's name; an earlier, weekly one a compressed date.
    if security.exchange in ("NFO", "BFO") and (expiry + timedelta(days=7)).month == expiry.month:
        month = f"{_WEEKLY_MONTHS[expiry.month - 1]}{expiry.day:02d}"
    return f"{security.name}{year}{month}{format_strike(security.strike / PRICE_UNIT)}{security.kind}"


def instrument_row(security: Security) -> str:
    brexchange = {"NFO": "NSE", "BFO": "BSE"}.get(security.exchange, security.exchange.removesuffix("_INDEX"))
    symbol, kind = trading_symbol(security), "IDX" if security.is_index else security.kind
    tick = f"{security.tick / PRICE_UNIT:g}"
    if security.expiry is None:
        series = "" if security.is_index else ("EQ" if security.exchange == "NSE" else "A")
        return (
            f'{brexchange},{exchange_token(security)},{symbol},{brexchange}-{symbol},"{security.name}",{kind},CASH,'
            f"{series},{security.isin},,,,,1,{tick},,0,1,1"
        )
    segment = "COMMODITY" if security.exchange == "MCX" else "FNO"
    strike = format_strike(security.strike / PRICE_UNIT) if security.strike else ""
    words = (brexchange, security.name, format_expiry(security.expiry).replace("-", "").title(), strike, kind)
    underlying = security.underlying.token if security.underlying else ""
    return (
        f"{brexchange},{security.token},{symbol},{'-'.join(word for word in words if word)},,{kind},{segment},,,"
        f"{security.name},{underlying},{security.expiry.isoformat()},{strike},{security.lot_size},{tick},,0,1,1"
    )
