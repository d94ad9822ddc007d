"""What the documents tell a reader to type works: commands, settings, addresses, examples in JSON and Python.

Commands of tickmux are read by its own command line, which checks names, options and values, and are not carried out;
those that a beginner types first are carried out in `tests/cli/test_printed_commands.py`, and gunicorn's in
`tests/web/test_lifecycle.py`.
"""

import ast
import importlib
import inspect
import itertools
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from tickmux.cli import app
from tickmux.config import variables
from tickmux.errors import CloseCode, ErrorCode
from tickmux.instrument import EXCHANGES
from tickmux.tick import Mode
from tickmux.web import create_app
from tickmux.web.app import ENDPOINTS
from tickmux.websocket_proxy.protocol import Item, parse_request

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "frontend" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
_INDENTED = re.compile(r"^ {4}(.+)$", re.M)
_SPAN = re.compile(r"`([^`\n]+)`")
_PLACEHOLDERS = {
    "NAME": "zerodha",
    "BROKER": "zerodha",
    "SYMBOL": "SBIN",
    "FILE": "frames.json",
    "USER": "trader",
    "KEY_ID": "abc",
    "SYMBOL@EXCHANGE": "SBIN@NSE",
    "PORT": "9000",
    "…": "",
}
_VARIABLE = re.compile(r"[A-Z][A-Z_]*=")


def _ids(path):
    return path.relative_to(ROOT).as_posix()


def fenced(page, *languages):
    return [text for language, text in _FENCED.findall(page.read_text()) if language in languages]


def shell_lines(page):
    """Command lines: of console blocks, indented ones, and in running text those that begin with the program."""
    text = page.read_text()
    lines = [line[2:] for block in fenced(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    lines += [line for line in _INDENTED.findall(text) if _names_program(line)]
    lines += [line for line in _SPAN.findall(text) if _names_program(line)]
    return [part for line in lines for part in _parts(line)]


def _names_program(line):
    words = line.split()
    while words and _VARIABLE.match(words[0]):
        words = words[1:]
    return len(words) > 1 and words[0].rpartition("/")[2] == "tickmux"


def _parts(line):
    """The simple commands of a line, as lists of words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    found, words = [], []
    for word in itertools.chain(lexer, [";"]):
        if word in ("|", "&&", "||", ";", ">", "<"):
            if words:
                found.append(words)
            words = ["> file"] if word in "<>" else []
        else:
            words.append(word)
    return [words for words in found if words[0] != "> file"]


def _without_variables(words):
    return list(itertools.dropwhile(_VARIABLE.match, words))


def commands_of(page, program):
    found = []
    for words in shell_lines(page):
        words = _without_variables(words)
        if words and words[0].rpartition("/")[2] == program:
            found.append(words)
    return found


def understood(words):
    """Has tickmux' command line read the words after the program's name, up to where it would begin to work."""
    words = [filled for word in words if (filled := _PLACEHOLDERS.get(word, word))]
    context = get_command(app).make_context("tickmux", list(words), resilient_parsing=False)
    command = context.command
    while rest := [*getattr(context, "_protected_args", ()), *context.args]:
        name, command, rest = command.resolve_command(context, rest)
        if "--help" in rest or (not rest and hasattr(command, "resolve_command")):
            return name
        if not rest:
            return name  # a command is spoken of, not told to be typed
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "resolve_command"):
            return name
    return command.name


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_command_of_tickmux_in_the_pages_is_understood(page):
    for words in commands_of(page, "tickmux"):
        if words[1:] != ["--version"]:
            assert understood(words[1:]), words


def test_a_command_that_does_not_exist_is_noticed():
    for line in ("serve --simulate nosuch", "broker lgoin zerodha", "watch SBIN --modes QUOTE"):
        with pytest.raises(Exception, match=r"(?i)no such|no broker"):
            understood(line.split())


def test_every_target_of_make_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {match for page in PAGES for match in re.findall(r"`make ([a-z-]+)`", page.read_text())}
    named |= {words[1] for page in PAGES for words in commands_of(page, "make") if len(words) > 1}
    assert {"run", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_gunicorn_is_told_of_an_app_that_exists_with_options_that_it_takes(page):
    for words in commands_of(page, "gunicorn"):
        (made,) = [word for word in words if word.startswith("tickmux.web:")]
        call = ast.parse(made.partition(":")[2], mode="eval").body
        assert call.func.id == create_app.__name__
        inspect.signature(create_app).bind(**{one.arg: ast.literal_eval(one.value) for one in call.keywords})
        assert "start_proxy=False" in made or words[words.index("-w") + 1] == "1"


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_what_python_examples_import_exists(page):
    for text in fenced(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, one.name) for one in node.names)
            elif isinstance(node, ast.Import):
                for one in node.names:
                    importlib.import_module(one.name)


_UPPER = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=\S*)?")
_OF_OTHERS = {"TICKMUX_API_KEY", "TICKMUX_WEB", "XDG_DATA_HOME", "CLOCK_MONOTONIC", "SOL_INR"}
_TOPIC = re.compile(r"[A-Z_]+_(LTP|QUOTE|DEPTH)")


@pytest.mark.parametrize("page", [page for page in PAGES if not {"brokers", "frontend"} & set(page.parts)], ids=_ids)
def test_every_setting_and_code_that_is_named_exists(page):
    known = {variable.name for variable in variables()} | {code.value for code in ErrorCode} | set(EXCHANGES)
    known |= set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", (ROOT / "docs" / "openapi.json").read_text())) | _OF_OTHERS
    for span in _SPAN.findall(page.read_text()):
        if match := _UPPER.fullmatch(span):
            assert match[1] in known or _TOPIC.fullmatch(match[1]), match[1]


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_address_of_the_api_exists(page):
    known = {endpoint.path for endpoint in ENDPOINTS}
    shapes = [re.compile(re.sub(r"<[^>]+>|\{[^}]+\}", "[^/]+", path)) for path in known]
    for path in re.findall(r"`(?:GET |POST |PATCH |DELETE )?(/api/[\w/{}.-]+)`", page.read_text()):
        assert any(shape.fullmatch(path) for shape in shapes) or path.startswith("/api/v1"), path


# -- the protocol ------------------------------------------------------------------------------------------

PROTOCOL = [ROOT / "README.md", ROOT / "docs" / "protocol.md"]


def json_examples():
    """Every object of JSON in the pages about the protocol."""
    for page in PROTOCOL:
        text = page.read_text()
        lines = [line for block in fenced(page, "json") for line in block.splitlines()]
        for candidate in (*lines, *_SPAN.findall(text)):
            if candidate.startswith("{"):
                try:
                    found = json.loads(candidate)
                except ValueError:
                    assert not candidate.startswith('{"action"'), f"a request that is no JSON: {candidate}"
                    continue  # a shape with gaps, not an example
                yield found


def test_requests_in_the_pages_are_requests():
    requests = [one for one in json_examples() if "action" in one]
    assert {one["action"] for one in requests} >= {"authenticate", "subscribe"}
    for one in requests:
        parsed = parse_request(json.dumps(one).encode(), 1000)
        for item in getattr(parsed, "items", ()):
            assert isinstance(item, Item)
            assert item.error is None


def test_market_data_in_the_pages_has_the_fields_and_the_order_of_the_wire():
    messages = [one for one in json_examples() if one.get("type") == "market_data"]
    assert messages
    for one in messages:
        assert list(one)[:6] == ["type", "symbol", "exchange", "mode", "broker", "data"]
        data = one["data"]
        assert (data["symbol"], data["exchange"]) == (one["symbol"], one["exchange"])
        assert data["mode"] == Mode(one["mode"]).name.lower()
        assert list(data)[:4] == ["symbol", "exchange", "mode", "ltp"]
        if "change" in data:
            assert data["change"] == pytest.approx(data["ltp"] - data["close"], abs=0.005)
            assert data["change_percent"] == pytest.approx(100 * data["change"] / data["close"], abs=0.001)


def test_close_codes_in_the_page_are_those_of_the_server():
    page = (ROOT / "docs" / "protocol.md").read_text()
    rows = {int(code) for code in re.findall(r"^\| (\d{4}) \|", page, re.M)}
    assert rows == {code.value for code in CloseCode}
