"""What all commands share: version, help with examples, exit codes, one line for a failure."""

import sqlite3
import subprocess
import sys

import pytest
import typer.main

from tickmux import __version__
from tickmux.cli import app
from tickmux.cli.outcome import EXIT_CODES, exit_code


def commands(group=None, path=()):
    """Every command with its path."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_version(run):
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"tickmux {__version__}\n")


def test_python_m_is_the_command_and_never_shows_a_traceback(spawn):
    process = spawn("nosuch")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err == "error: No such command 'nosuch' (see `tickmux --help`)\n"


def test_without_arguments_help_is_shown(run):
    result = run()
    assert result.exit_code == 0
    assert "serve" in result.stdout


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_help_has_examples_and_exit_codes(run, path):
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"tickmux {' '.join(path)}" in result.stdout
    assert "Exit code" in result.stdout


def test_no_command_takes_a_secret_as_an_argument():
    for path, command in commands():
        for parameter in command.params:
            assert parameter.name not in ("key", "token", "secret", "password", "access_token"), path


def test_a_wrong_setting_is_exit_code_2_and_one_line(run, monkeypatch):
    monkeypatch.setenv("WEBSOCKET_PORT", "99999")
    result = run("apikey", "list")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: WEBSOCKET_PORT '99999' is not possible")
    assert result.stderr.count("\n") == 1


def test_a_broken_database_is_exit_code_1_and_one_line(run, home):
    home.mkdir()
    (home / "tickmux.db").write_bytes(b"junk" * 500)
    result = run("apikey", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "file is not a database" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_failing_statement_is_one_line_without_the_statement(run, home):
    run("apikey", "list")
    with sqlite3.connect(home / "tickmux.db") as connection:
        connection.execute("DROP TABLE api_keys")
    result = run("apikey", "list")
    assert (result.exit_code, result.stderr) == (1, "error: the database failed: no such table: api_keys\n")


def test_an_argument_that_is_no_text_is_wrong_usage(spawn):
    process = spawn("apikey", "revoke", b"\xff".decode(errors="surrogateescape"))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.count("\n") == 1


def test_a_missing_argument_names_the_help(run):
    result = run("apikey", "revoke")
    assert result.exit_code == 2
    assert "tickmux apikey revoke --help" in result.stderr


def test_a_defect_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_code(ZeroDivisionError())


def test_the_exit_codes_are_documented(run):
    assert " ".join(run("--help").stdout.split()).count(EXIT_CODES) == 1


def test_a_reader_that_leaves_early_is_no_traceback(spawn, tmp_path):
    rows = "".join(f"{number},1,S{number},,0,,0,0,0,EQ,NSE,NSE\n" for number in range(1, 20_000))
    header = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    (tmp_path / "list.csv").write_text(f"{header}instrument_type,segment,exchange\n{rows}")
    process = spawn("instruments", "parse", "zerodha", tmp_path / "list.csv")
    assert process.stdout.readline().startswith("{")
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert "Traceback" not in err


def test_settings_are_shown_without_secrets(run, monkeypatch):
    monkeypatch.setenv("ZMQ_PORT", "7777")
    monkeypatch.setenv("API_KEY_PEPPER", "p" * 32)
    for form in ("table", "json"):
        result = run("config", "--format", form)
        assert result.exit_code == 0
        assert "7777" in result.stdout
        assert "p" * 32 not in result.stdout


def test_documents_are_printed_without_making_a_data_folder(run, home):
    assert "# ZMQ_PORT=5555" in run("config", "--format", "env").stdout
    assert "| `ZMQ_PORT` | `5555` |" in run("config", "--format", "markdown").stdout
    assert not home.exists()


def test_the_installed_script_is_there():
    done = subprocess.run(
        [sys.executable, "-c", "from importlib.metadata import entry_points as e; print(e(name='tickmux'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "tickmux.cli:main" in done.stdout
