"""What brokers say of orders means what the shared vectors say, and is told to clients once."""

from functools import cache
from typing import Any

import pytest

from broker import vector_cases
from tickmux.decode import decode_document

NAMES = sorted(path.name.removesuffix(".orders.json") for path in vector_cases.VECTORS.glob("*.orders.json"))


@cache
def lines(name: str) -> list[dict[str, Any]]:
    return list(decode_document(vector_cases.load(f"{name}.orders")))


CASES = [
    pytest.param(name, number, id=f"{name}: {item['name']}")
    for name in NAMES
    for number, item in enumerate(vector_cases.load(f"{name}.orders")["incoming"])
]


@pytest.mark.parametrize(("name", "number"), CASES)
def test_incoming_frames_give_the_expected_orders(name: str, number: int) -> None:
    item, line = vector_cases.load(f"{name}.orders")["incoming"][number], lines(name)[number]
    assert "error" not in line
    assert vector_cases.same_value(line.get("orders", []), item["orders"]), line.get("orders")
    if "decoded" in item:
        assert vector_cases.same_value(line["decoded"], item["decoded"])
    if "event" in item:
        assert line["event"] == item["event"]
