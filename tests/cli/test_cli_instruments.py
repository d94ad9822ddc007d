"""`tickmux instruments` and `tickmux brokers`."""

import io
import json
import re
import zipfile

import pytest

from support.rest_server import RestServer, serving
from tickmux.simulator import load_simulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.websocket_proxy.broker_factory import broker_names


@pytest.fixture
def csv(tmp_path, kite_csv):
    path = tmp_path / "instruments.csv"
    path.write_text(kite_csv)
    return path


@pytest.fixture
def logged_in(run, kite):
    assert run("broker", "token", "zerodha", input="kite-key:sesame\n").exit_code == 0


def test_parse_prints_one_json_line_an_instrument_with_all_fields(run, csv):
    result = run("instruments", "parse", "zerodha", csv)
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["symbol"] for row in rows] == ["SBIN", "NIFTY", "NIFTY28AUG2525000CE", "EURINR26SEP25102.75CE"]
    assert rows[2] == {
        "symbol": "NIFTY28AUG2525000CE", "exchange": "NFO", "token": "9604354", "brexchange": "NFO",
        "brsymbol": "NIFTY25AUG25000CE", "name": "NIFTY", "expiry": "28-AUG-25", "strike": 25000, "lotsize": 75,
        "instrumenttype": "CE", "tick_size": 0.05,
    }  # fmt: skip
    assert '"strike":25000,' in result.stdout
    assert rows[3]["strike"] == 102.75
    assert result.stderr == "4 instruments; skipped 1 (1 no instrument token)\n"


def test_parse_needs_and_makes_no_data_folder(run, csv, home):
    run("instruments", "parse", "zerodha", csv)
    assert not home.exists()


def test_parse_of_another_file_is_exit_code_1(run, tmp_path):
    (tmp_path / "page.html").write_text("<html>")
    result = run("instruments", "parse", "zerodha", tmp_path / "page.html")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "page.html is not Zerodha's instrument list" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("zerodha", "nosuch.csv"), "there is no file nosuch.csv"), (("zerodah", "x"), "did you mean zerodha?")],
)
def test_parse_of_what_there_is_not_is_exit_code_3(run, arguments, words):
    result = run("instruments", "parse", *arguments)
    assert result.exit_code == 3
    assert words in result.stderr


def test_parse_of_a_folder_is_one_line(run, tmp_path):
    result = run("instruments", "parse", "zerodha", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_update_needs_a_session(run):
    result = run("instruments", "update", "zerodha")
    assert result.exit_code == 4
    assert "tickmux broker login zerodha" in result.stderr


def test_update_fetches_with_the_session_and_stores(run, kite, logged_in):
    result = run("instruments", "update", "zerodha")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "4 instruments of zerodha are in use; skipped 1 (1 no instrument token)\n"
    path, headers, _ = kite.requests[-1]
    assert (path, headers["Authorization"]) == ("/instruments", "token kite-key:sesame")
    (found,) = json.loads(run("instruments", "search", "sbin", "--json").stdout)
    assert (found["broker"], found["symbol"], found["token"], found["lotsize"]) == ("zerodha", "SBIN", "779521", 1)


@pytest.mark.parametrize(("status", "body", "code"), [(403, "{}", 4), (500, "", 1), (200, "<html>", 1), (200, "", 1)])
def test_a_failed_update_says_so_and_keeps_the_old_list(run, kite, logged_in, status, body, code):
    run("instruments", "update", "zerodha")
    kite.answers["/instruments"] = (status, body)
    result = run("instruments", "update", "zerodha")
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1
    assert "sesame" not in result.stderr
    assert run("instruments", "search", "SBIN").exit_code == 0


def test_names_given_twice_are_left_out_and_counted(run, kite, kite_csv, logged_in):
    again = "779522,9,SBIN,ANOTHER,0,,0,0.05,1,EQ,NSE,NSE\n"
    kite.answers["/instruments"] = (200, kite_csv + again)
    result = run("instruments", "update", "zerodha")
    assert "3 instruments of zerodha are in use" in result.stderr
    assert "left out 1 names" in result.stderr
    assert run("instruments", "search", "SBIN").exit_code == 3


def test_search_prints_a_table_or_json(run, kite, logged_in):
    run("instruments", "update", "zerodha")
    table = run("instruments", "search", "nifty", "25000", "--exchange", "nfo").stdout
    for word in ("NIFTY28AUG2525000CE", "NFO", "28-AUG-25", "25000", "75", "9604354", "zerodha"):
        assert word in table
    assert run("instruments", "search", "SBIN", "--broker", "angel").exit_code == 3
    nothing = run("instruments", "search", "zzz", "--json")
    assert (nothing.exit_code, nothing.stdout) == (3, "[]\n")


def test_search_without_any_list_says_how_to_get_one(run):
    result = run("instruments", "search", "SBIN")
    assert result.exit_code == 3
    assert "tickmux instruments update" in result.stderr


def test_search_on_an_unknown_exchange_is_wrong_usage(run):
    assert run("instruments", "search", "SBIN", "--exchange", "NYSE").exit_code == 2


def test_brokers_lists_all_of_them_as_their_adapters_say(run):
    rows = {row["name"]: row for row in json.loads(run("brokers", "--json").stdout)}
    assert set(rows) == set(broker_names())
    zerodha = rows["zerodha"]
    assert zerodha["modes"] == ["LTP", "QUOTE", "DEPTH"]
    assert zerodha["depth"]["NSE"] == [5]
    assert "NSE_INDEX" not in zerodha["depth"]
    assert zerodha["pools"] == {
        "main": {"symbols": 3000, "connections": 1, "max_symbols": 3000, "max_connections": 3}
    }
    assert (zerodha["login"], zerodha["token_life"]) == ("redirect", "until 06:00 IST")
    table = run("brokers").stdout
    assert "3000 × 1 (at most 3000 × 3)" in table
    assert "until 06:00 IST" in table


def test_a_broker_that_cannot_be_loaded_does_not_hide_the_others(run, monkeypatch):
    monkeypatch.setattr("tickmux.cli.brokers.broker_names", lambda: ("nosuch", "zerodha"))
    result = run("brokers")
    assert result.exit_code == 0
    assert "zerodha" in result.stdout
    assert "warning: broker nosuch cannot be loaded" in result.stderr


class Files(RestServer):
    """Shoonya's list files, as its simulator makes them; `spoil` changes one, None takes it away."""

    def __init__(self) -> None:
        super().__init__()
        dump = load_simulator("shoonya")(Exchange(seed=2)).instrument_dump()
        self.files: dict[str, bytes | None] = {f"/{name}": data for name, data in dump}

    def spoil(self, name: str, change) -> None:
        with zipfile.ZipFile(io.BytesIO(self.files[f"/{name}"])) as archive:
            (member,) = archive.namelist()
            text = archive.read(member).decode()
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr(member, change(text))
        self.files[f"/{name}"] = written.getvalue()

    def answer(self, asked):
        data = self.files.get(asked.target)
        return (404, b"") if data is None else (200, data)


@pytest.fixture
def shoonya(home, monkeypatch):
    with serving(Files()) as files:
        monkeypatch.setenv("BROKER_URLS", f"shoonya.instruments={files.url}")
        yield files


def count_of(result) -> int:
    return int(result.stderr.split(" instruments of shoonya", 1)[0].rsplit(maxsplit=1)[-1])


def test_a_list_whose_expiries_have_another_spelling_is_refused_in_words_and_taken_by_force(run, shoonya):
    first = run("instruments", "update", "shoonya")
    assert first.exit_code == 0
    assert count_of(first) > 200
    for name in ("NFO_symbols.txt.zip", "BFO_symbols.txt.zip", "CDS_symbols.txt.zip", "MCX_symbols.txt.zip"):
        shoonya.spoil(name, lambda text: re.sub(r",(\d\d)-([A-Z]{3})-(\d{4}),", r",\1 \2 \3,", text))
    refused = run("instruments", "update", "shoonya")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "0 options of NFO, where" in refused.stderr
    assert "the old one is kept" in refused.stderr
    assert "--force" in refused.stderr
    found = run("instruments", "search", "nifty", "--broker", "shoonya", "--exchange", "NFO")
    assert found.exit_code == 0
    forced = run("instruments", "update", "shoonya", "--force")
    assert forced.exit_code == 0
    assert count_of(forced) < count_of(first)


def test_a_file_that_fails_leaves_its_exchange_as_it_was(run, shoonya):
    first = run("instruments", "update", "shoonya")
    shoonya.files["/NFO_symbols.txt.zip"] = None
    second = run("instruments", "update", "shoonya")
    assert second.exit_code == 0
    assert count_of(second) == count_of(first)
    assert "not all of the list is new: NFO kept as before: NFO_symbols.txt.zip" in second.stderr
