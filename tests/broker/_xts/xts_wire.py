"""Building what XTS servers send, and holding what a codec reads, for the family's tests."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import uvloop

from tickmux.broker._xts.codec import XtsCodec
from tickmux.broker._xts.rest import BINARY_PREFIX, JSON_PREFIX
from tickmux.broker.compositedge import BROKER as COMPOSITEDGE
from tickmux.broker.fivepaisaxts import BROKER as FIVEPAISAXTS
from tickmux.broker.ibulls import BROKER as IBULLS
from tickmux.broker.iifl import BROKER as IIFL
from tickmux.broker.jainamxts import BROKER as JAINAMXTS
from tickmux.broker.rmoney import BROKER as RMONEY
from tickmux.broker.wisdom import BROKER as WISDOM
from tickmux.codec import Credentials, Decoded, HttpRequest
from tickmux.instrument import Instrument
from tickmux.tick import tick_fields

MEMBERS = (COMPOSITEDGE, FIVEPAISAXTS, IBULLS, IIFL, JAINAMXTS, RMONEY, WISDOM)
SESSION = Credentials({"token": "TOKEN1", "user_id": "USER1"})
JSON, BINARY = JSON_PREFIX, BINARY_PREFIX

SBIN = Instrument("SBIN", "NSE", "3045", "NSECM")
RELIANCE = Instrument("RELIANCE", "NSE", "2885", "NSECM")
USDINR = Instrument("USDINR26AUG25FUT", "CDS", "2885", "NSECD")
"""Bears RELIANCE's number in another segment."""
NIFTY = Instrument("NIFTY", "NSE_INDEX", "26000", "NSECM")
FUTURE = Instrument("NIFTY28AUG25FUT", "NFO", "35013", "NSEFO")
CRUDE = Instrument("CRUDEOIL18SEP25FUT", "MCX", "458305", "MCXFO")

HALF_PAST_TEN = 1440324930  # 2025-08-22 10:15:30 IST in NSE's seconds
HALF_PAST_TEN_MS = 1755837930000


def codec(*instruments: Instrument, kind: str = "quote", prefix: str = JSON, **options: Any) -> XtsCodec:
    """A codec with a session, on which the instruments are subscribed."""
    made = XtsCodec(prefix, **options)
    made.open_frames(SESSION)
    if instruments:
        made.subscribe(list(instruments), kind)
    return made


def event(name: str, payload: Any) -> str:
    return "42" + json.dumps([name, payload])


def quote(code: int = 1501, segment: int = 1, number: int = 3045, **fields: Any) -> str:
    """A full event whose payload is text, as servers send it."""
    payload = {"MessageCode": code, "ExchangeSegment": segment, "ExchangeInstrumentID": number, **fields}
    return event(f"{code}-json-full", json.dumps(payload))


def partial(text: str, code: int = 1501) -> str:
    return event(f"{code}-json-partial", text)


def fields(decoded: Decoded) -> list[dict[str, Any]]:
    """The ticks' fields with the mode's name."""
    return [{"mode": tick.mode.name, **tick_fields(tick)} for tick in decoded.ticks]


def field(decoded: Decoded) -> dict[str, Any]:
    (found,) = fields(decoded)
    return found


def answer(code: str = "", description: str = "", result: Mapping[str, Any] | None = None) -> bytes:
    """The body of a REST answer; without a code it is a success."""
    kind = "error" if code.startswith("e-") or (description and not code) else "success"
    return json.dumps({"type": kind, "code": code, "description": description, "result": dict(result or {})}).encode()


def named(request: HttpRequest) -> tuple[str, int, list[int]]:
    """Method, code and instrument numbers of a subscription request."""
    numbers = [each["exchangeInstrumentID"] for each in request.body["instruments"]]
    return request.method, request.body["xtsMessageCode"], numbers


def run(main: Any) -> Any:
    return uvloop.run(asyncio.wait_for(main, 20))
