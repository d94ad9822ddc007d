"""Every broker's frames mean what the shared vectors say, in both directions."""

import pkgutil
from functools import cache
from typing import Any

import pytest

import tickmux.broker
from broker import vector_cases
from tickmux.decode import decode_document

FOLDERS = sorted(module.name for module in pkgutil.iter_modules(tickmux.broker.__path__) if module.ispkg)


def cases(direction: str) -> list[Any]:
    return [
        pytest.param(name, number, id=f"{name}: {item['name']}")
        for name in FOLDERS
        for number, item in enumerate(vector_cases.load(name)[direction])
    ]


@cache
def lines(name: str) -> list[dict[str, Any]]:
    return list(decode_document(vector_cases.load(name)))


@pytest.mark.parametrize("name", FOLDERS)
def test_every_item_of_a_vector_file_gets_its_line_in_order(name: str) -> None:
    document = vector_cases.load(name)
    assert [line["name"] for line in lines(name)] == [
        item["name"] for item in [*document["incoming"], *document["outgoing"]]
    ]


@pytest.mark.parametrize(("name", "number"), cases("incoming"))
def test_incoming_frames_give_the_expected_ticks(name: str, number: int) -> None:
    document = vector_cases.load(name)
    vector_cases.assert_incoming(document["incoming"][number], lines(name)[number])


@pytest.mark.parametrize(("name", "number"), cases("outgoing"))
def test_calls_send_the_expected_frames(name: str, number: int) -> None:
    document = vector_cases.load(name)
    line = lines(name)[len(document["incoming"]) + number]
    vector_cases.assert_outgoing(document["outgoing"][number], line)
