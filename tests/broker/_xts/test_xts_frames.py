"""Frames and calls of the family that the shared vectors lack, at the family's codec and at every member's.

`more_frames.json` is written like the vectors, from the specification: layouts A, B and C plain and compressed,
full and partial messages in every order, open interest, limits, sentinels, broken and foreign packets.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from broker import vector_cases
from tickmux.decode import adapter_for, decode_document

FRAMES = json.loads((Path(__file__).parent / "more_frames.json").read_text())
NSE_BSE = {"NSE", "BSE", "NFO", "BFO", "NSE_INDEX", "BSE_INDEX"}
MEMBERS: dict[str, tuple[str, str, int, set[str]]] = {
    # base, prefix, LTP's code under it, exchanges: sections 1, 3, 4 and 8 of each member's specification
    "compositedge": ("https://xts.compositedge.com", "/apimarketdata", 1512, NSE_BSE | {"CDS", "MCX"}),
    "fivepaisaxts": ("https://xtsmum.5paisa.com", "/apimarketdata", 1512, NSE_BSE),
    "ibulls": ("https://xts.ibullssecurities.com", "/apibinarymarketdata", 1501, NSE_BSE | {"MCX"}),
    "iifl": ("https://ttblaze.iifl.com", "/apimarketdata", 1512, NSE_BSE | {"CDS", "MCX"}),
    "jainamxts": ("https://jtrade.jainam.in:5000", "/apibinarymarketdata", 1501, NSE_BSE),
    "rmoney": ("https://xts.rmoneyindia.co.in:3000", "/apimarketdata", 1501, NSE_BSE),
    "wisdom": ("https://trade.wisdomcapital.in", "/apimarketdata", 1512, NSE_BSE | {"CDS", "MCX"}),
}
SEGMENTS = {
    "NSE": 1, "NSE_INDEX": 1, "NFO": 2, "CDS": 3, "BSE": 11, "BSE_INDEX": 11, "BFO": 12, "MCX": 51,
}  # fmt: skip
EVERYTHING = [[row["symbol"], row["exchange"]] for row in FRAMES["instruments"]]
FUTURE = ["NIFTY28AUG25FUT", "NFO"]


# -- incoming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broker", ["_xts", *MEMBERS])
def test_frames_mean_the_same_at_every_member(broker: str) -> None:
    exchanges = NSE_BSE | {"CDS", "MCX"} if broker == "_xts" else MEMBERS[broker][3]
    lines = list(decode_document({**FRAMES, "broker": broker}))
    assert [line["name"] for line in lines] == [item["name"] for item in FRAMES["incoming"]]
    for item, line in zip(FRAMES["incoming"], lines, strict=True):
        served = [tick for tick in item["expect"] if tick["exchange"] in exchanges]
        try:
            vector_cases.assert_incoming({**item, "expect": served}, line)
            for tick, wanted in zip(line["ticks"], served, strict=True):
                assert tick.keys() == wanted.keys()
        except AssertionError as error:
            raise AssertionError(f"{item['name']}: {error}") from error


# -- outgoing ----------------------------------------------------------------------------------------------


def frames(broker: str, call: dict[str, Any], **item: Any) -> list[dict[str, Any]]:
    document = {**FRAMES, "broker": broker, "incoming": [], "outgoing": [{"name": "it", "call": call, **item}]}
    (line,) = decode_document(document)
    assert "error" not in line
    found: list[dict[str, Any]] = line["frames"]
    return found


def request(broker: str, method: str, code: int, *names: list[str], prefix: str = "") -> dict[str, Any]:
    base, own, _, _ = MEMBERS[broker]
    tokens = {(row["symbol"], row["exchange"]): int(row["token"]) for row in FRAMES["instruments"]}
    instruments = [
        {"exchangeSegment": SEGMENTS[exchange], "exchangeInstrumentID": tokens[symbol, exchange]}
        for symbol, exchange in names
    ]
    return {
        "http": {
            "method": method,
            "url": f"{base}{prefix or own}/instruments/subscription",
            "headers": {"Content-Type": "application/json", "Authorization": "TOKEN1"},
            "json": {"instruments": instruments, "xtsMessageCode": code},
        }
    }


@pytest.mark.parametrize("broker", MEMBERS)
def test_what_a_member_subscribes(broker: str) -> None:
    _, _, ltp, exchanges = MEMBERS[broker]
    served = [name for name in EVERYTHING if name[1] in exchanges]
    for mode, code in (("LTP", ltp), ("QUOTE", 1501), ("DEPTH", 1502)):
        call = {"mode": mode, "token": "TOKEN1", "instruments": EVERYTHING}
        assert frames(broker, {"op": "subscribe", **call}) == [request(broker, "POST", code, *served)]
        assert frames(broker, {"op": "unsubscribe", **call}) == [request(broker, "PUT", code, *served)]
    oi = {"mode": "OI", "token": "TOKEN1", "instruments": [FUTURE]}
    assert frames(broker, {"op": "subscribe", **oi}) == [request(broker, "POST", 1510, FUTURE)]
    assert frames(broker, {"op": "unsubscribe", **oi}) == [request(broker, "PUT", 1510, FUTURE)]


@pytest.mark.parametrize("broker", MEMBERS)
@pytest.mark.parametrize(("old", "new"), [("LTP", "DEPTH"), ("DEPTH", "LTP"), ("QUOTE", "DEPTH"), ("LTP", "QUOTE")])
def test_a_mode_changes_by_the_new_code_and_then_the_end_of_the_old(broker: str, old: str, new: str) -> None:
    codes = {"LTP": MEMBERS[broker][2], "QUOTE": 1501, "DEPTH": 1502}
    call = {"op": "change_mode", "from": old, "to": new, "token": "TOKEN1", "instruments": [FUTURE]}
    calls = [("POST", codes[new]), ("PUT", codes[old])] if codes[old] != codes[new] else []
    assert frames(broker, call) == [request(broker, method, code, FUTURE) for method, code in calls]


@pytest.mark.parametrize("broker", MEMBERS)
@pytest.mark.parametrize("prefix", ["/apimarketdata", "/apibinarymarketdata"])
def test_one_prefix_serves_login_subscription_and_stream(broker: str, prefix: str) -> None:
    base = MEMBERS[broker][0]
    ltp = 1512 if prefix == "/apimarketdata" and broker != "rmoney" else 1501
    call = {"op": "subscribe", "mode": "LTP", "token": "TOKEN1", "instruments": [FUTURE]}
    config = {"prefix": prefix}
    assert frames(broker, call, config=config) == [request(broker, "POST", ltp, FUTURE, prefix=prefix)]
    (login,) = frames(broker, {"op": "login", "app_key": "A", "secret_key": "S"}, config=config)
    source = {} if broker == "rmoney" else {"source": "WebAPI"}
    assert (login["http"]["method"], login["http"]["url"]) == ("POST", f"{base}{prefix}/auth/login")
    assert login["http"]["json"] == {"appKey": "A", "secretKey": "S", **source}
    assert "Authorization" not in login["http"]["headers"]
    document = {**FRAMES, "broker": broker, "incoming": []}
    document["outgoing"] = [{"call": {"op": "connect", "token": "a/b+c=", "user_id": "C 1_K"}, "config": config}]
    (line,) = decode_document(document | {"format": {}})
    (handshake,) = line["frames"]
    host = base.removeprefix("https://")
    assert vector_cases.split_url(handshake["ws"]["url"]) == vector_cases.split_url(
        f"wss://{host}{prefix}/socket.io/?token=a%2Fb%2Bc%3D&userID=C%201_K&publishFormat=JSON&broadcastMode=Full"
        "&transport=websocket&EIO=3"
    )


@pytest.mark.parametrize("broker", MEMBERS)
def test_the_pool_is_what_most_keys_get(broker: str) -> None:
    channel = adapter_for(broker).channels["main"]
    assert (channel.symbols, channel.connections, channel.connection_limit) == (50, 1, 1)
    assert channel.symbol_limit == (50 if broker == "rmoney" else 1000)
    assert (channel.batch, channel.frame_gap) == (50, 0.5)
