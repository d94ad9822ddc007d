"""Frames and calls beyond the shared vectors, their meaning worked out from the specification, for every member.

The ticks have to have these fields exactly: one that an earlier frame would have left behind is a failure.
"""

import json
from typing import Any, NamedTuple

import pytest

from broker import vector_cases
from tickmux.decode import decode_document

MEMBERS = ("shoonya", "flattrade", "zebu", "tradesmart", "definedge", "aliceblue")
INSTRUMENTS = vector_cases.load("_noren")["instruments"]
SBIN, FUTURE, OPTION = ("NSE", "3045"), ("NFO", "53001"), ("NFO", "54957")
USDINR, CRUDE, BFO = ("CDS", "3045"), ("MCX", "447552"), ("BFO", "859358")
NIFTY, SENSEX = ("NSE", "26000"), ("BSE", "1")
NAMES = {(row["brexchange"], row["token"]): (row["symbol"], row["exchange"]) for row in INSTRUMENTS}


def wire(kind: str, key: tuple[str, str], **fields: Any) -> str:
    return json.dumps({"t": kind, "e": key[0], "tk": key[1]} | fields)


def tick(mode: str, key: tuple[str, str], **fields: Any) -> dict[str, Any]:
    symbol, exchange = NAMES[key]
    return {"symbol": symbol, "exchange": exchange, "mode": mode} | fields


def book(buy: list[tuple[Any, ...]], sell: list[tuple[Any, ...]]) -> dict[str, Any]:
    names = ("price", "quantity", "orders")
    return {
        side: [dict(zip(names, level, strict=False)) for level in levels]
        for side, levels in (("buy", buy), ("sell", sell))
    }


class Item(NamedTuple):
    name: str
    frames: list[str]
    expect: list[dict[str, Any]]
    event: str | None = None
    more: dict[str, Any] = {}


MORNING = {"ltp": 812.35, "open": 809.0, "high": 815.2, "low": 806.1, "close": 808.95, "avg_trade_price": 811.02}

INCOMING = [
    Item(
        "5.9: a touchline, a price, a volume with a zero open",
        [
            wire(
                "tk", SBIN, pp="2", ts="SBIN-EQ", ti="0.05", ls="1", lp="812.35", pc="0.42", c="808.95", o="809.00",
                h="815.20", l="806.10", ap="811.02", v="4211873", bp1="812.30", bq1="120", sp1="812.40", sq1="75",
                ft="1756371600",
            ),
            wire("tf", SBIN, lp="812.50", ft="1756371601"),
            wire("tf", SBIN, v="4211999", o="0.00"),
        ],
        [
            tick("QUOTE", SBIN, **MORNING, volume=4211873, timestamp=1756371600000),
            tick("QUOTE", SBIN, **MORNING | {"ltp": 812.5}, volume=4211873, timestamp=1756371601000),
            tick("QUOTE", SBIN, **MORNING | {"ltp": 812.5}, volume=4211999, timestamp=1756371601000),
        ],
    ),
    Item(
        "5.9: a book, then its offers are gone",
        [
            wire(
                "dk", OPTION, lp="112.40", ft="1756371600", ltt="14:29:58", ltq="75", oi="7361100", toi="90211000",
                bp1="112.35", bq1="300", bo1="4", sp1="112.45", sq1="75", so1="1",
            ),
            wire("df", OPTION, sq1="0", sp1="0.00"),
        ],
        [
            tick(
                "DEPTH", OPTION, ltp=112.4, timestamp=1756371600000, ltt=1756371598000, last_trade_quantity=75,
                oi=7361100, depth=book([(112.35, 300, 4)], [(112.45, 75, 1)]),
            ),
            tick(
                "DEPTH", OPTION, ltp=112.4, timestamp=1756371600000, ltt=1756371598000, last_trade_quantity=75,
                oi=7361100, depth=book([(112.35, 300, 4)], []),
            ),
        ],
    ),
    Item(
        "touchline deltas before any snapshot: nothing without a price, then all that is known",
        [wire("tf", SBIN, v="77", o="809.00"), wire("tf", SBIN, lp="810.10"), wire("tf", SBIN, h="811")],
        [
            tick("QUOTE", SBIN, ltp=810.1, open=809.0, volume=77),
            tick("QUOTE", SBIN, ltp=810.1, open=809.0, high=811.0, volume=77),
        ],
    ),
    Item(
        "depth deltas before any snapshot: a quantity is no level, with its price it is one",
        [wire("df", OPTION, bq1="75"), wire("df", OPTION, bp1="84.15"), wire("df", OPTION, lp="84.20", bo1="3")],
        [
            tick("DEPTH", OPTION, depth=book([(84.15, 75)], [])),
            tick("DEPTH", OPTION, ltp=84.2, depth=book([(84.15, 75, 3)], [])),
        ],
    ),
    Item(
        "a second snapshot forgets everything that it does not carry",
        [
            wire(
                "dk", OPTION, lp="84.20", o="83.75", v="10", oi="20", ft="1756103089", ltt="11:54:47", uc="120.00",
                bp1="84.15", bq1="75", bo1="1",
            ),
            wire("dk", OPTION, lp="84.30"),
            wire("df", OPTION, ltt="11:54:50"),
        ],
        [
            tick(
                "DEPTH", OPTION, ltp=84.2, open=83.75, volume=10, oi=20, timestamp=1756103089000, ltt=1756103087000,
                upper_circuit=120.0, depth=book([(84.15, 75, 1)], []),
            ),
            tick("DEPTH", OPTION, ltp=84.3),
            tick("DEPTH", OPTION, ltp=84.3),  # no feed time, so no date for the last trade
        ],
    ),
    Item(
        "the channels share nothing",
        [
            wire("tk", OPTION, lp="84.20", o="83.75", v="10"),
            wire("df", OPTION, lp="84.30"),
            wire("tf", OPTION, v="11"),
        ],
        [
            tick("QUOTE", OPTION, ltp=84.2, open=83.75, volume=10),
            tick("DEPTH", OPTION, ltp=84.3),
            tick("QUOTE", OPTION, ltp=84.2, open=83.75, volume=11),
        ],
    ),
    Item(
        "JSON numbers are read like text",
        [
            '{"t":"dk","e":"CDS","tk":3045,"lp":88.2575,"v":12,"oi":0,"ft":1756103084,"bp1":88.255,"bq1":3,"bo1":1,'
            '"sp1":88.26,"sq1":2}'
        ],
        [
            tick(
                "DEPTH", USDINR, ltp=88.2575, volume=12, oi=0, timestamp=1756103084000,
                depth=book([(88.255, 3, 1)], [(88.26, 2)]),
            )
        ],
    ),
    Item(
        "every spelling of no value keeps what was known",
        [
            wire("dk", FUTURE, lp="24981.40", o="24844.90", v="3412725", ltq="75", ft="1756103088", ltt="11:54:47"),
            wire("df", FUTURE, lp="-", o="NA", v=" ", ltq=None, ft="", ltt="-"),
            wire("df", FUTURE, lp="about 5", o="", v="x", ltq="NA", ft="-", ltt="NA"),
        ],
        [
            tick(
                "DEPTH", FUTURE, ltp=24981.4, open=24844.9, volume=3412725, last_trade_quantity=75,
                timestamp=1756103088000, ltt=1756103087000,
            )
        ]
        * 3,
    ),
    Item(
        "counts of zero are counts, prices and times of zero are none",
        [
            wire(
                "dk", FUTURE, lp="24981.40", o="0", h="0.0", l="0.00", c="0", ap="0.00", uc="0", lc="0.0000", v="0",
                ltq="0", tbq="0", tsq="0", oi="0", ft="0", ltt="11:54:47",
            )
        ],
        [
            tick(
                "DEPTH", FUTURE, ltp=24981.4, volume=0, last_trade_quantity=0, total_buy_quantity=0,
                total_sell_quantity=0, oi=0,
            )
        ],
    ),
    Item(
        "counts of zero overwrite, a feed time of zero does not",
        [
            wire("dk", FUTURE, lp="24981.40", v="75", oi="150", tbq="225", ft="1756103088"),
            wire("df", FUTURE, v="0", oi="0", tbq="0", ft="0"),
        ],
        [
            tick("DEPTH", FUTURE, ltp=24981.4, volume=75, oi=150, total_buy_quantity=225, timestamp=1756103088000),
            tick("DEPTH", FUTURE, ltp=24981.4, volume=0, oi=0, total_buy_quantity=0, timestamp=1756103088000),
        ],
    ),
    Item(
        "before the open: zero prices and empty levels are no tick, a level alone is one",
        [
            wire("dk", BFO, lp="0.00", c="410.80", v="0", bp1="0.00", bq1="0", bo1="0", sp1="0.00", sq1="0", so1="0"),
            wire("df", BFO, bp1="410.75", bq1="40", bo1="2"),
        ],
        [tick("DEPTH", BFO, close=410.8, volume=0, depth=book([(410.75, 40, 2)], []))],
    ),
    Item(
        "a known price of a level makes the book exist, though it is empty",
        [wire("dk", OPTION, lp="84.20", sp3="0.00"), wire("dk", OPTION, lp="84.20", sq3="75", so3="1")],
        [tick("DEPTH", OPTION, ltp=84.2, depth=book([], [])), tick("DEPTH", OPTION, ltp=84.2)],
    ),
    Item(
        "levels are dropped, not sorted and not padded; the placeholder of market orders is no price on either side",
        [
            wire(
                "dk", BFO, lp="412.35", bp1="42949672.95", bq1="40", bo1="1", bp2="412.10", bq2="20", bp3="412.25",
                bq3="60", bo3="8", bp4="412.15", bq4="0", bo4="0", bp5="412.05", sp1="42949672.95", sq1="5",
                sp2="412.45", sq2="500", so2="3", sp3="", sq3="10", sp4="412.55", sq4="220", so4="0", sp5="0.05",
                sq5="20", so5="1",
            )
        ],
        [
            tick(
                "DEPTH", BFO, ltp=412.35,
                depth=book([(412.1, 20), (412.25, 60, 8)], [(412.45, 500, 3), (412.55, 220, 0), (0.05, 20, 1)]),
            )
        ],
    ),
    Item(
        "a level's price, quantity and orders change one by one",
        [
            wire("dk", CRUDE, lp="5568.00", bp5="5563.00", bq5="3", bo5="2"),
            wire("df", CRUDE, bq5="4"),
            wire("df", CRUDE, bp5="5562.00", bo5="-"),
            wire("df", CRUDE, bq5="0"),
            wire("df", CRUDE, bq5="9"),
        ],
        [
            tick("DEPTH", CRUDE, ltp=5568.0, depth=book(levels, []))
            for levels in (
                [(5563.0, 3, 2)], [(5563.0, 4, 2)], [(5562.0, 4, 2)], [], [(5562.0, 9, 2)],
            )
        ],
    ),
    Item(
        "the last trade's date: yesterday's where it would lie ahead, none without a feed time, none at epoch 0",
        [
            wire("dk", FUTURE, lp="1", ltt="23:59:58", ft="1756146605"),  # 00:00:05 in India on 26 August
            wire("dk", FUTURE, lp="1", ltt="15:29:59"),
            wire("dk", FUTURE, lp="1", ltt="05:30:00", ft="1756103084"),
            wire("df", FUTURE, ltt="11:54:44"),
            wire("df", FUTURE, ltt="05:30:00", ft="1756103090"),
        ],
        [
            tick("DEPTH", FUTURE, ltp=1.0, timestamp=1756146605000, ltt=1756146598000),
            tick("DEPTH", FUTURE, ltp=1.0),
            tick("DEPTH", FUTURE, ltp=1.0, timestamp=1756103084000),
            tick("DEPTH", FUTURE, ltp=1.0, timestamp=1756103084000, ltt=1756103084000),
            tick("DEPTH", FUTURE, ltp=1.0, timestamp=1756103090000, ltt=1756103084000),
        ],
    ),
    Item(
        "5.6: the documented pair of feed time and last trade time",
        [wire("dk", SBIN, lp="1", ft="1658910517", ltt="13:58:37")],
        [tick("DEPTH", SBIN, ltp=1.0, timestamp=1658910517000, ltt=1658910517000)],
    ),
    Item(
        "open interest is neither the underlying's nor yesterday's",
        [wire("tk", OPTION, lp="84.20", toi="158730", poi="4161"), wire("tf", OPTION, oi="4290")],
        [tick("QUOTE", OPTION, ltp=84.2), tick("QUOTE", OPTION, ltp=84.2, oi=4290)],
    ),
    Item(
        "fields of the other channel are used alike, a touchline's levels are not",
        [
            wire(
                "tk", OPTION, lp="84.20", ltq="75", tbq="10", tsq="20", uc="90.00", lc="70.00", ltt="11:54:43",
                ft="1756103084", bp1="84.15", bq1="75", bp2="84.10", bq2="75", sp1="84.25", sq1="150",
            )
        ],
        [
            tick(
                "QUOTE", OPTION, ltp=84.2, last_trade_quantity=75, total_buy_quantity=10, total_sell_quantity=20,
                upper_circuit=90.0, lower_circuit=70.0, ltt=1756103083000, timestamp=1756103084000,
            )
        ],
    ),
    Item(
        "a touchline that has only a best bid is no tick",
        [wire("tk", OPTION, bp1="84.15", bq1="75", c="83.00")],
        [],
    ),
    Item(
        "members' other fields are ignored: close of the day, price band, changes, the year's range",
        [
            wire(
                "dk", FUTURE, lp="24981.40", cp="25000.00", ue="26000.00", le="24000.00", ord_msg="text", cv="1.00",
                pc="0.1", ml="1", **{"52h": "30000.00", "52l": "20000.00"},
            )
        ],
        [tick("DEPTH", FUTURE, ltp=24981.4)],
    ),
    Item(
        "an index has prices and a time, whatever else a frame holds",
        [
            wire(
                "dk", NIFTY, lp="24980.65", o="24844.90", h="25081.40", l="24769.90", c="24870.10", ft="1756103084",
                ltt="11:54:43", v="0", oi="0", ap="1.00", uc="5.00", bp1="0.00", bq1="0", sp1="0.00", sq1="0",
            ),
            wire("tf", SENSEX, lp="81500.25"),
        ],
        [
            tick(
                "DEPTH", NIFTY, ltp=24980.65, open=24844.9, high=25081.4, low=24769.9, close=24870.1,
                timestamp=1756103084000,
            ),
            tick("QUOTE", SENSEX, ltp=81500.25),
        ],
    ),
    Item(
        "quantities: a fraction is cut off, lots stay lots",
        [wire("dk", CRUDE, lp="5568", v="469.0", ltq="1.9", oi="4290.00", bp1="5567", bq1="4.0", bo1="2.0")],
        [
            tick(
                "DEPTH", CRUDE, ltp=5568.0, volume=469, last_trade_quantity=1, oi=4290,
                depth=book([(5567.0, 4, 2)], []),
            )
        ],
    ),
    Item(
        "without an exchange a frame is nobody's",
        [
            '{"t":"tk","tk":"54957","lp":"84.20"}',
            '{"t":"tf","e":"","tk":"54957","v":"5"}',
            '{"t":"tk","e":"","tk":"3045","lp":"812.35"}',  # NSE and CDS
            '{"t":"tk","tk":"777","lp":"1.00"}',
        ],
        [],
    ),
    Item(
        "exchange and token decide together",
        [
            wire("tk", ("BSE", "3045"), lp="1.00"),
            wire("tk", ("NFO", "3045"), lp="2.00"),
            wire("tk", USDINR, lp="88.2575", o="0.0000", c="88.1225"),
        ],
        [tick("QUOTE", USDINR, ltp=88.2575, close=88.1225)],
    ),
    Item(
        "only what an item subscribes is routed; late frames of the other channel count",
        [wire("tk", FUTURE, lp="1.00"), wire("dk", SBIN, lp="812.35", bp1="812.30", bq1="5")],
        [tick("DEPTH", SBIN, ltp=812.35, depth=book([(812.3, 5)], []))],
        more={"instruments": [["SBIN", "NSE"]], "mode": "QUOTE"},
    ),
    Item("a snapshot in a binary frame", [], [tick("QUOTE", SBIN, ltp=812.35)], more={"frames": [
        {"hex": wire("tk", SBIN, lp="812.35").encode().hex()}
    ]}),
    Item("connect answers: any spelling of ok", [
        '{"t":"ak","uid":"X","s":"OK"}', '{"t":"ak","uid":"X","s":"Ok"}', '{"t":"ck","uid":"X","s":"ok"}',
        '{"t":"cf","k":"OK"}', '{"t":"ck","k":"Ok"}',
    ], [], "ack"),
    *(
        Item(f"a refusal: {text}", [text], [], "auth_error")
        for text in (
            '{"t":"ak","uid":"X","s":"Not_Ok"}', '{"t":"ck","s":"NOT_OK"}', '{"t":"cf","k":"failed"}',
            '{"t":"cf","k":"NOT_OK"}', '{"t":"ak","uid":"X"}', '{"t":"ck","s":"","k":"OK"}',
            '{"stat":"Not_Ok","emsg":"Session Expired :  Invalid Session Key"}',
            '{"stat":"NOT_OK","emsg":"SESSION is over"}',
        )
    ),
    *(
        Item(f"{event or 'nothing'}: {text[:60]}", [text], [], event)
        for event, text in (
            ("error", '{"stat":"Not_Ok","emsg":"Server Timeout"}'),
            ("error", '{"stat":"Not_Ok"}'),
            ("heartbeat", '{"t":"hk","hk":"1756103084"}'),
            ("heartbeat", '{"t":"h"}'),
            *(("ack", f'{{"t":"{kind}"}}') for kind in ("uk", "udk", "ok", "uok", "pk", "upk")),
            *((None, f'{{"t":"{kind}","e":"NSE","tk":"3045","lp":"1"}}') for kind in (
                "lk", "lf", "ulk", "pm", "am", "rm", "ms", "zz"
            )),
            (None, '{"t":"hh","stat":"Not_Ok"}'),
            ("malformed", '{"t":"om","e":"NSE","tk":"3045","lp":"1"}'),  # an order without its number
            ("malformed", '{"stat":"Ok"}'),
            ("malformed", '{"e":"NSE","tk":"3045","lp":"812.35"}'),
            ("malformed", "[]"),
            ("malformed", "null"),
            ("malformed", '"tk"'),
            ("malformed", ""),
            ("malformed", "hello"),
            *(("malformed", f'{{"t":"{kind}","e":"NSE","lp":"1"}}') for kind in ("tk", "tf", "dk", "df")),
            ("malformed", wire("tk", SBIN, lp="812.35") * 2),
        )
    ),
    Item(
        "a malformed frame spoils no other",
        [wire("tk", SBIN, lp="812.35"), '{"t":"tf","e":"NSE","tk":"30', wire("tf", SBIN, v="9")],
        [tick("QUOTE", SBIN, ltp=812.35), tick("QUOTE", SBIN, ltp=812.35, volume=9)],
        "malformed",
    ),
]  # fmt: skip


def lines(name: str, items: list[dict[str, Any]], direction: str = "incoming") -> list[dict[str, Any]]:
    return list(decode_document({"broker": name, "instruments": INSTRUMENTS, direction: items}))


@pytest.mark.parametrize("name", ["_noren", *MEMBERS])
def test_frames_mean_what_the_specification_says(name: str) -> None:
    items = [
        {"name": item.name, "frames": [{"text": text} for text in item.frames], **item.more} for item in INCOMING
    ]
    for item, line in zip(INCOMING, lines(name, items), strict=True):
        assert "error" not in line, line
        assert vector_cases.same_value(line["ticks"], item.expect), (item.name, line["ticks"])
        assert line["event"] == item.event, (item.name, line)


# -- calls -----------------------------------------------------------------------------------------------

MANY = [
    {"symbol": f"S{number}", "exchange": "NSE", "token": str(number), "brexchange": "NSE"} for number in range(1, 121)
]


def texts(*verbs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"text": json.dumps({"t": verb, "k": names})} for verb, names in verbs]


SBIN_ROW, NIFTY_ROW, OPTION_ROW = ["SBIN", "NSE"], ["NIFTY", "NSE_INDEX"], ["NIFTY28AUG2525000CE", "NFO"]
CALLS: list[tuple[dict[str, Any], list[dict[str, str]]]] = [
    ({"op": "subscribe", "mode": "DEPTH", "instruments": [NIFTY_ROW, OPTION_ROW]},
     texts(("d", "NSE|26000#NFO|54957"))),
    ({"op": "subscribe", "mode": "LTP", "instruments": [["RELIANCE", "BSE"]]}, texts(("t", "BSE|500325"))),
    ({"op": "subscribe", "mode": "QUOTE", "instruments": [SBIN_ROW, ["USDINR26SEP25FUT", "CDS"]]},
     texts(("t", "NSE|3045#CDS|3045"))),
    ({"op": "unsubscribe", "mode": "LTP", "instruments": [NIFTY_ROW]}, texts(("u", "NSE|26000"))),
    ({"op": "unsubscribe", "mode": "DEPTH", "instruments": [SBIN_ROW, OPTION_ROW]},
     texts(("ud", "NSE|3045#NFO|54957"))),
    ({"op": "change_mode", "from": "DEPTH", "to": "QUOTE", "instruments": [SBIN_ROW]},
     texts(("t", "NSE|3045"), ("ud", "NSE|3045"))),
    ({"op": "change_mode", "from": "DEPTH", "to": "LTP", "instruments": [SBIN_ROW]},
     texts(("t", "NSE|3045"), ("ud", "NSE|3045"))),
    ({"op": "change_mode", "from": "LTP", "to": "DEPTH", "instruments": [SBIN_ROW, NIFTY_ROW]},
     texts(("d", "NSE|3045#NSE|26000"), ("u", "NSE|3045#NSE|26000"))),
    ({"op": "change_mode", "from": "QUOTE", "to": "LTP", "instruments": [SBIN_ROW]}, []),
    ({"op": "disconnect"}, []),
]  # fmt: skip


@pytest.mark.parametrize("name", ["_noren", *MEMBERS])
def test_calls_send_what_the_specification_says_in_its_order(name: str) -> None:
    items = [{"name": str(call), "call": call} for call, _ in CALLS]
    for (call, frames), line in zip(CALLS, lines(name, items, "outgoing"), strict=True):
        assert "error" not in line, line
        found = [json.loads(frame["text"]) for frame in line["frames"]]
        assert found == [json.loads(frame["text"]) for frame in frames], call


@pytest.mark.parametrize("name", MEMBERS)
def test_a_frame_names_as_many_as_the_member_takes(name: str) -> None:
    wanted = [[row["symbol"], row["exchange"]] for row in MANY]
    call = {"op": "subscribe", "mode": "QUOTE", "instruments": wanted}
    document = {"broker": name, "instruments": MANY, "outgoing": [{"name": "many", "call": call}]}
    (line,) = decode_document(document)
    sizes = [json.loads(frame["text"])["k"].count("#") + 1 for frame in line["frames"]]
    assert sizes == ([50, 50, 20] if name == "tradesmart" else [100, 20])


TOKEN = "t0ken"
DIGEST_OF_THE_DIGEST = "dfe7a23fefeea519e9bbfdd1a6be94c4b2e4529dd6b7cbea83f9959c2621b13c"
"""Of the session `abc`, as the specification writes it."""
A = {"t": "a", "uid": "U1", "actid": "U1", "source": "API", "accesstoken": TOKEN}
HELLOS: dict[str, tuple[str, dict[str, str]]] = {
    **dict.fromkeys(("shoonya", "flattrade", "zebu", "tradesmart"), (TOKEN, A)),
    "definedge": (TOKEN, {"t": "c", "uid": "U1", "actid": "U1", "source": "TRTP", "susertoken": TOKEN}),
    "aliceblue": (
        "abc",
        {"t": "c", "uid": "U1_API", "actid": "U1_API", "source": "API", "susertoken": DIGEST_OF_THE_DIGEST},
    ),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_says_hello_and_keeps_alive_as_it_is_used_to(name: str) -> None:
    token, hello = HELLOS[name]
    connect = {"op": "connect", "credentials": {"user_id": "U1", "token": token}}
    items = [{"name": "hello", "call": connect}, {"name": "beat", "call": {"op": "heartbeat"}}]
    first, second = lines(name, items, "outgoing")
    assert [json.loads(frame["text"]) for frame in first["frames"]] == [hello]
    beat = {"k": "", "t": "h"} if name == "aliceblue" else {"t": "h"}
    assert [json.loads(frame["text"]) for frame in second["frames"]] == [beat]
