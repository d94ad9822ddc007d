"""Documents that are made from the program, or make promises about it."""

import json
import re
from pathlib import Path

import pytest

from tickmux.cli.brokers import broker_rows, markdown_page
from tickmux.errors import CloseCode, ErrorCode
from tickmux.websocket_proxy.broker_factory import broker_names
from tickmux.websocket_proxy.protocol import Options

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_table_of_brokers_is_what_the_adapters_say():
    assert (DOCS / "brokers" / "README.md").read_text() == markdown_page(broker_rows()), (
        "run: tickmux brokers --markdown > docs/brokers/README.md"
    )


@pytest.mark.parametrize("broker", broker_names())
def test_every_broker_has_a_page_that_names_its_commands(broker):
    page = (DOCS / "brokers" / f"{broker}.md").read_text()
    for command in ("broker login", "instruments update", "serve --broker", "serve --simulate"):
        assert f"tickmux {command} {broker}" in page


def test_the_protocol_page_names_every_code_and_option():
    page = (DOCS / "protocol.md").read_text()
    for code in ErrorCode:
        assert f"`{code.value}`" in page
    for close in CloseCode:
        assert f"| {close.value} |" in page
    for option in Options.__struct_fields__:
        assert f"`{option}`" in page


def test_the_words_count_the_brokers_as_they_are():
    on_top = {"rmoney", "tradesmart"}
    assert on_top < set(broker_names())
    number = len(set(broker_names()) - on_top)
    words = f"{number} Indian brokers"
    for path in (ROOT / "README.md", ROOT / "pyproject.toml", ROOT / "src" / "tickmux" / "__init__.py"):
        assert words in path.read_text(), path
    assert f"{number} and two on top (`rmoney`, `tradesmart`)" in (DOCS / "protocol.md").read_text()


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_page_about_vectors_names_every_key_of_their_items():
    page = (DOCS / "vectors.md").read_text()
    for file in sorted((ROOT / "tests" / "vectors").glob("*.json")):
        document = json.loads(file.read_text())
        for direction in ("incoming", "outgoing"):
            for item in document.get(direction, ()):
                for key in item:
                    assert f"`{key}`" in page or f"`{key}[]`" in page, f"{file.name}: {key}"


def _files() -> set[str]:
    """Every path that a document may name: whole, or from a folder inside it on."""
    folders = ("src", "tests", "docs", "benchmarks", "examples", "frontend/src", "frontend/public")
    whole = [path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*")]
    whole += [path.name for path in ROOT.iterdir()]
    return {part for name in whole for part in _endings(name)}


def _endings(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


_NAMED = re.compile(r"`([a-zA-Z_][\w/-]*\.(?:py|md|ts|tsx|proto)|[a-z_]+(?:/[a-z_]+)*/)`")


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "src" / "tickmux").rglob("*.py"))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_every_file_that_is_named_exists(page, known_files):
    for name in _NAMED.findall(page.read_text()):
        assert "NAME" in name or name.rstrip("/") in known_files, name  # NAME stands for any


@pytest.fixture(scope="module")
def known_files() -> set[str]:
    return _files()
