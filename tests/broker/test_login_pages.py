"""Every broker's page names what a login reads from standard input, and how to see the redirect address."""

import re
from pathlib import Path

import pytest

from tickmux.login import LoginKind
from tickmux.websocket_proxy.broker_factory import broker_names, load_broker

PAGES = Path(__file__).parents[2] / "docs" / "brokers"


@pytest.mark.parametrize("name", broker_names())
def test_the_page_names_the_fields_of_the_login(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    section = page.partition("## Log in\n")[2].partition("\n## ")[0]
    told = re.search(r"one `name=value` a line: ((?:`\w+`[^`.]*)+)\.", " ".join(section.split()))
    assert told, f"{name}.md does not name the fields"
    flow = load_broker(name).login
    assert re.findall(r"`(\w+)`", told[1]) == [field.name for field in flow.fields]
    shows = f"tickmux broker login {name} --show-redirect" in page
    assert shows is (flow.kind is LoginKind.REDIRECT)
