"""Requests that are decoded a piece at a time say the same as when decoded whole."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.errors import ErrorCode
from tickmux.websocket_proxy.large_message import PIECE, decoded
from tickmux.websocket_proxy.protocol import BadRequest


def whole(text, most=100_000):
    *pieces, message = decoded(text if isinstance(text, bytes) else text.encode(), most)
    assert set(pieces) <= {None}
    return message, len(pieces)


_nasty = st.text(alphabet='ab"\\[]{},: ü\n', max_size=20)
_entries = st.one_of(
    _nasty,
    st.fixed_dictionaries({"symbol": _nasty, "exchange": _nasty}),
    st.fixed_dictionaries({"symbol": _nasty, "x": st.lists(st.fixed_dictionaries({"y": _nasty}), max_size=3)}),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(_entries, min_size=1, max_size=30),
    st.sampled_from(["symbols", "instruments"]),
    st.sampled_from([None, 1]),
    st.dictionaries(st.sampled_from("abc"), st.one_of(_nasty, st.lists(_nasty, max_size=3)), max_size=3),
    st.booleans(),
)
def test_in_pieces_is_the_same_as_whole(entries, name, indent, more, last):
    entries = entries * (1 + 3000 // len(entries))
    message = {"action": "subscribe", name: entries, **more} if not last else {**more, name: entries}
    text = json.dumps(message, indent=indent, ensure_ascii=False)
    found, pieces = whole(text)
    assert found == message
    assert pieces >= len(text.encode()) // (4 * PIECE)


@pytest.mark.parametrize(
    "text",
    [
        '{"action":"subscribe","symbols":[' + '"A",' * 9000,
        '{"action":"subscribe","symbols":[' + '"A",' * 9000 + '"B"]',
        '{"action":"subscribe","symbols":[' + '"A",' * 9000 + "]}",
        '{"action":"subscribe","symbols":[' + '"A" ' * 9000 + "]}",
        '{"action":"subscribe","symbols":[' + '{"a":' * 9000 + "1" + "}" * 9000 + "]}",
        '{"action":"subscribe","symbols":[' + "1," * 50_000 + "1]}",
        "[" * 200_000,
        '{"pad":"' + "x" * 100_000 + '","symbols":["A"]}',
        '{"symbols":["' + "x" * 100_000 + '"]}',
    ],
)
def test_what_is_no_list_of_instruments_is_refused(text):
    with pytest.raises(BadRequest) as caught:
        whole(text)
    assert caught.value.code == ErrorCode.INVALID_JSON


def test_too_many_are_refused_before_the_rest_is_looked_at_and_the_request_is_named():
    text = json.dumps({"action": "subscribe", "request_id": 7, "symbols": ["NSE:SBIN"] * 100_000})
    pieces = 0
    with pytest.raises(BadRequest) as caught:
        for _ in decoded(text.encode(), 10_000):
            pieces += 1
    assert (caught.value.code, caught.value.request_id) == (ErrorCode.SUBSCRIPTION_LIMIT, 7)
    assert pieces < 10
