"""Engine.IO 3 and Socket.IO 2, the client's side."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import vector_cases
from tickmux.broker._xts.socketio import Kind, SocketIo

ANNOUNCED = '451-["xts-binary-packet",{"_placeholder":true,"num":0}]'


def read(frame: bytes | str, generation: int = 3) -> Any:
    return SocketIo(generation).read(frame)


@pytest.mark.parametrize(
    ("frame", "kind", "name", "payload"),
    [
        ("40", Kind.CONNECTED, "", None),
        ('40{"sid":"x"}', Kind.CONNECTED, "", None),
        ("40/,", Kind.CONNECTED, "", None),
        ("40/admin,", Kind.IGNORED, "", None),
        ("41", Kind.CLOSED, "", None),
        ("41/admin,", Kind.IGNORED, "", None),
        ("1", Kind.CLOSED, "", None),
        ("3", Kind.PONG, "", None),
        ("3probe", Kind.PONG, "", None),
        ("2", Kind.PING, "", "3"),
        ("2probe", Kind.PING, "", "3probe"),
        ("6", Kind.IGNORED, "", None),
        ("5", Kind.IGNORED, "", None),
        ("43[]", Kind.IGNORED, "", None),
        ("49", Kind.IGNORED, "", None),
        ('44"Invalid Token"', Kind.REFUSED, "", "Invalid Token"),
        ('44{"message":"no"}', Kind.REFUSED, "", {"message": "no"}),
        ("44no json", Kind.REFUSED, "", "no json"),
        ('42["joined",{"a":1}]', Kind.EVENT, "joined", {"a": 1}),
        ('42["joined"]', Kind.EVENT, "joined", None),
        ('4217["joined",1]', Kind.EVENT, "joined", 1),
        ('42/admin,17["joined",1]', Kind.EVENT, "joined", 1),
    ],
)
def test_what_a_text_message_is(frame: str, kind: Kind, name: str, payload: Any) -> None:
    packet = read(frame)
    assert (packet.kind, packet.name, packet.payload) == (kind, name, payload)


@pytest.mark.parametrize(
    "frame",
    ["", "x", "{", "\x00", "4", "4x", "42", "42{}", "42[]", "42[1]", "42[1,2", '42"a"', "45", "45[]", "451", "451-",
     "45x-[]", '45999999999-["a"]', "0x", "0[]", "2" + "a" * 200, "42[" * 50, "42" + "[" * 100_000],
)  # fmt: skip
def test_what_is_malformed(frame: str) -> None:
    assert read(frame).kind is Kind.MALFORMED


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"pingInterval": 10_000}, 10.0),
        ({"pingInterval": 25_000}, 25.0),
        ({"pingInterval": 300_000}, 25.0),  # oftener than asked is allowed, and shows a dead link sooner
        ({"pingInterval": 1}, 1.0),
        ({"pingInterval": 0}, 25.0),
        ({"pingInterval": -5}, 25.0),
        ({"pingInterval": "soon"}, 25.0),
        ({"pingInterval": True}, 25.0),
        ({}, 25.0),
    ],
)
def test_the_open_packet_says_how_often_the_client_pings(values: dict[str, Any], seconds: float) -> None:
    packet = read("0" + json.dumps({"sid": "s", **values}))
    assert (packet.kind, packet.payload) == (Kind.OPEN, seconds)


def test_as_many_binary_messages_as_announced_belong_to_the_event() -> None:
    socket = SocketIo()
    assert (
        socket.read('452-["pair",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]').kind is Kind.IGNORED
    )
    assert socket.read(b"\x04one").payload == b"one"
    assert socket.read("3").kind is Kind.PONG  # control messages may come between
    last = socket.read(b"\x04two")
    assert (last.kind, last.name, last.payload) == (Kind.ATTACHMENT, "pair", b"two")
    assert socket.read(b"\x04three").kind is Kind.MALFORMED


def test_a_binary_message_that_nothing_announced_is_malformed() -> None:
    assert read(b"\x04\x00").kind is Kind.MALFORMED
    assert read(b"").kind is Kind.MALFORMED


def test_a_missing_type_byte_is_noticed() -> None:
    socket = SocketIo()
    socket.read(ANNOUNCED)
    assert socket.read(b"\x00\xdd\x05").payload == b"\x00\xdd\x05"


def test_the_next_generation_has_no_type_byte() -> None:
    socket = SocketIo(4)
    socket.read(ANNOUNCED)
    assert socket.read(b"\x04\xdd\x05").payload == b"\x04\xdd\x05"


def test_the_recorded_session_is_read_as_it_was_meant() -> None:
    socket = SocketIo()
    kinds = [
        socket.read(bytes.fromhex(frame["hex"]) if "hex" in frame else frame["text"]).kind.name
        for frame in vector_cases.load("_xts")["session"]
        if frame["from"] == "server"
    ]
    assert kinds == ["OPEN", "CONNECTED", "EVENT", "EVENT", "IGNORED", "ATTACHMENT", "PONG", "PONG"]


@settings(max_examples=200)
@given(st.lists(st.text(max_size=40) | st.binary(max_size=40) | st.from_regex(r"\A4[0-9].{0,30}\Z"), max_size=8))
def test_nothing_that_is_received_raises(frames: list[str | bytes]) -> None:
    socket = SocketIo()
    for frame in frames:
        assert isinstance(socket.read(frame).kind, Kind)
