"""Configuration: where values come from, what is refused, and that the documents tell the truth."""

import os
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.cli.config import env_example, markdown_tables, shown
from tickmux.config import ConfigError, Settings, as_text, replaced_addresses, variables
from tickmux.websocket_proxy.broker_factory import broker_names, load_broker

ROOT = Path(__file__).parent.parent
SECRETS = {"API_KEY_PEPPER": "p" * 32, "TICKMUX_SECRET": "s" * 32}


def load(tmp_path, environ=None, **overrides):
    environ = {"TICKMUX_HOME": str(tmp_path / "home"), **(environ or {})}
    return Settings.load(overrides, environ, tmp_path)


def test_defaults_are_those_that_openalgo_users_know(tmp_path):
    found = load(tmp_path)
    assert (found.websocket_host, found.websocket_port) == ("127.0.0.1", 8765)
    assert (found.zmq_host, found.zmq_port) == ("127.0.0.1", 5555)
    assert (found.web_host, found.web_port) == ("127.0.0.1", 5000)
    assert found.websocket_url == "ws://127.0.0.1:8765"
    assert found.max_symbols_per_websocket is None
    assert found.max_websocket_connections is None
    assert found.enable_connection_pooling is True
    assert found.message_throttle_ms == 50
    assert found.ws_auth_grace_seconds == 15.0
    assert found.ws_max_message_bytes == 1024 * 1024
    assert found.market_holidays == frozenset()
    assert found.database_url == f"sqlite:///{tmp_path}/home/tickmux.db"
    assert found.tickmux_user == "trader"


def test_command_line_goes_before_environment_before_env_files_before_defaults(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".env").write_text("ZMQ_PORT=1\nWEB_PORT=1\nWEBSOCKET_PORT=1\nZMQ_HWM=1\n")
    (tmp_path / ".env").write_text("ZMQ_PORT=2\nWEB_PORT=2\nWEBSOCKET_PORT=2\n")
    found = load(tmp_path, {"ZMQ_PORT": "3", "WEB_PORT": "3"}, zmq_port=4, web_host=None)
    assert (found.zmq_port, found.web_port, found.websocket_port, found.zmq_hwm) == (4, 3, 2, 1)
    assert found.web_host == "127.0.0.1"


def test_overrides_go_by_field_or_variable_name(tmp_path):
    assert load(tmp_path, WEBSOCKET_PORT=0).websocket_port == 0
    assert load(tmp_path, websocket_port="0").websocket_port == 0
    with pytest.raises(TypeError, match="NO_SUCH"):
        load(tmp_path, no_such=1)


def test_home_may_be_named_in_the_env_file_of_the_working_directory(tmp_path):
    (tmp_path / ".env").write_text(f"TICKMUX_HOME={tmp_path}/elsewhere\n")
    found = Settings.load(environ={}, folder=tmp_path)
    assert found.tickmux_home == tmp_path / "elsewhere"


def test_home_follows_xdg_unless_that_is_relative(tmp_path):
    found = Settings.load(environ={"XDG_DATA_HOME": str(tmp_path)}, folder=tmp_path)
    assert found.tickmux_home == tmp_path / "tickmux"
    found = Settings.load(environ={"XDG_DATA_HOME": "relative", **SECRETS}, folder=tmp_path)
    assert found.tickmux_home == Path("~/.local/share/tickmux").expanduser()


def test_an_empty_value_counts_as_unset(tmp_path):
    (tmp_path / ".env").write_text("ZMQ_PORT=7\n")
    found = load(tmp_path, {"WEBSOCKET_PORT": " ", "MAX_SYMBOLS_PER_WEBSOCKET": ""})
    assert (found.websocket_port, found.max_symbols_per_websocket, found.zmq_port) == (8765, None, 7)


@pytest.mark.parametrize("empty", ["", " ", "\t"])
def test_an_empty_value_hides_nothing_of_lower_rank(tmp_path, empty):
    home = tmp_path / "elsewhere"
    home.mkdir()
    (tmp_path / ".env").write_text(f"ZMQ_PORT=7\nTICKMUX_HOME={home}\nTICKMUX_USER=asha\nLOG_LEVEL=\n")
    (home / ".env").write_text("LOG_LEVEL=debug\n")
    environ = {"ZMQ_PORT": empty, "TICKMUX_HOME": empty, "TICKMUX_USER": empty, "LOG_LEVEL": empty}
    found = Settings.load({"tickmux_user": empty}, environ, tmp_path)
    assert (found.zmq_port, found.tickmux_home, found.tickmux_user) == (7, home, "asha")
    assert found.log_level == "DEBUG"


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.name)
def test_every_variable_counts_as_unset_when_it_is_empty(tmp_path, variable):
    base = {**SECRETS, "TICKMUX_HOME": str(tmp_path / "home")}
    without = {name: value for name, value in base.items() if name != variable.name}
    expected = Settings.load(environ={**without, "XDG_DATA_HOME": str(tmp_path)}, folder=tmp_path)
    assert expected == Settings.load(
        environ={**base, "XDG_DATA_HOME": str(tmp_path), variable.name: " "}, folder=tmp_path
    )


@given(st.floats(0.1, 3600).map(lambda value: round(value, 9)))
def test_no_digit_of_a_setting_is_lost(value):
    variable = next(one for one in variables() if one.name == "WS_AUTH_GRACE_SECONDS")
    assert variable.about.kind.parse(as_text(value)) == value


# -- .env of somebody else ---------------------------------------------------------------------------------


@pytest.fixture
def planted(tmp_path):
    """A `.env` in the working directory that would take over everything."""
    path = tmp_path / ".env"
    path.write_text("ZMQ_PORT=7\nBROKER_URLS=zerodha.login=http://evil.example\nAPI_KEY_PEPPER=hunter2\nOTHER=x\n")
    return path


def distrusted(path, caplog, why):
    """Loads beside that file: it must have been left out, and the log says what it would have set."""
    found = load(path.parent)
    assert (found.zmq_port, found.broker_urls) == (5555, {})
    (record,) = [record for record in caplog.records if str(path) in record.getMessage()]
    said = record.getMessage()
    assert why in said
    assert "ZMQ_PORT=7" in said
    assert "BROKER_URLS=zerodha.login=http://evil.example" in said
    assert "API_KEY_PEPPER (hidden)" in said
    assert "hunter2" not in said
    assert "OTHER" not in said


def test_an_env_file_of_another_owner_is_not_read(planted, caplog, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: planted.stat().st_uid + 1)
    if planted.stat().st_uid == 0:
        os.chown(planted, 1234, 1234)
    distrusted(planted, caplog, "it belongs to ")


def test_an_env_file_that_everybody_may_write_to_is_not_read(planted, caplog):
    planted.chmod(0o646)
    distrusted(planted, caplog, "everybody may write to it")


def test_an_env_file_that_a_group_may_write_to_is_not_read(planted, caplog, monkeypatch):
    planted.chmod(0o664)
    monkeypatch.setattr("tickmux.env_file._is_private", lambda group: False)
    distrusted(planted, caplog, "its group may write to it")


def test_an_env_file_of_the_users_own_is_read_also_where_each_user_has_a_group(planted, caplog, monkeypatch):
    planted.write_text("ZMQ_PORT=7\n")
    planted.chmod(0o664)
    monkeypatch.setattr("tickmux.env_file._is_private", lambda group: True)
    assert load(planted.parent).zmq_port == 7
    assert not caplog.records


def test_a_link_of_somebody_else_to_an_env_file_is_not_followed(planted, caplog, monkeypatch):
    link = planted.parent / "elsewhere" / ".env"
    link.parent.mkdir()
    link.symlink_to(planted)
    if os.geteuid() == 0:
        os.chown(link, 1234, 1234, follow_symlinks=False)
    else:
        pytest.skip("only root can make a link of another owner")
    found = Settings.load(environ={**SECRETS, "TICKMUX_HOME": str(planted.parent)}, folder=link.parent)
    assert "it belongs to " in caplog.text
    assert found.zmq_port == 7, "the same file in TICKMUX_HOME is read: nobody but the user says where that is"


def test_an_env_file_that_would_set_nothing_of_ours_is_left_without_a_word(tmp_path, caplog):
    (tmp_path / ".env").write_text("OTHER=x\n")
    (tmp_path / ".env").chmod(0o666)
    load(tmp_path)
    assert not caplog.records


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("ENABLE_CONNECTION_POOLING", "No", False),
        ("ENABLE_CONNECTION_POOLING", "ON", True),
        ("MARKET_HOLIDAYS", "2025-08-15, 2025-10-02,", frozenset({date(2025, 8, 15), date(2025, 10, 2)})),
        ("WS_AUTH_GRACE_SECONDS", "0.5", 0.5),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("MAX_SYMBOLS_PER_WEBSOCKET", "1000", 1000),
        ("WEBSOCKET_HOST", "::1", "::1"),
        (
            "BROKER_URLS",
            "zerodha.feed=ws://x/?y=1,zerodha.api=http://z",
            {"zerodha": {"feed": "ws://x/?y=1", "api": "http://z"}},
        ),
    ],
)
def test_texts_become_values(tmp_path, variable, text, value):
    assert getattr(load(tmp_path, {variable: text}), variable.lower()) == value


WRONG = [
    ("WEBSOCKET_PORT", "65536"),
    ("WEBSOCKET_PORT", "-1"),
    ("ZMQ_PORT", "five"),
    ("WEB_PORT", "5_000"),
    ("WEB_PORT", "٥"),
    ("WEBSOCKET_HOST", "not a host"),
    ("WEBSOCKET_URL", "http://localhost"),
    ("MAX_SYMBOLS_PER_WEBSOCKET", "0"),
    ("ENABLE_CONNECTION_POOLING", "maybe"),
    ("MESSAGE_THROTTLE_MS", "-1"),
    ("WS_AUTH_GRACE_SECONDS", "nan"),
    ("MARKET_HOLIDAYS", "15/08/2025"),
    ("MARKET_HOLIDAYS", "2025-02-30"),
    ("MARKET_HOLIDAYS", "2025-W33-5"),
    ("BROKER_URLS", "zerodha=ws://x"),
    ("LOG_LEVEL", "LOUD\nER"),
    ("TICKMUX_USER", "a\tb"),
    ("TICKMUX_HOME", "~no-such-user-at-all/x"),
]


@pytest.mark.parametrize(("variable", "text"), WRONG)
def test_a_wrong_value_is_one_line_with_variable_value_and_what_is_allowed(tmp_path, variable, text):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {variable: text})
    message = str(caught.value)
    allowed = next(one.about.kind.allowed for one in variables() if one.name == variable)
    assert message.startswith(variable)
    assert repr(text) in message
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize("variable", ["API_KEY_PEPPER", "TICKMUX_SECRET", "DATABASE_URL"])
def test_a_wrong_secret_is_never_shown(tmp_path, variable):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {variable: "hunter2:too-short"})
    assert str(caught.value).startswith(variable)
    assert "hunter2" not in str(caught.value)


@given(variable=st.sampled_from(variables()), text=st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_either_taken_or_a_config_error(variable, text):
    environ = {"TICKMUX_HOME": "/nonexistent", **SECRETS, variable.name: text}
    try:
        Settings.load(environ=environ, folder=Path("/nonexistent"))
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1


def test_an_unreadable_env_file_is_a_config_error(tmp_path):
    (tmp_path / ".env").write_bytes(b"ZMQ_PORT=\xff\xfe")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "ws://127.0.0.1:9"),
        ("::", "ws://[::1]:9"),
        ("::1", "ws://[::1]:9"),
        ("feed.local", "ws://feed.local:9"),
    ],
)
def test_the_url_follows_host_and_port(tmp_path, host, url):
    assert load(tmp_path, websocket_host=host, websocket_port=9).websocket_url == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zerodhaa.feed=ws://x", "no broker is called 'zerodhaa'; did you mean zerodha?"),
        ("zerodha.fed=ws://x", "zerodha has no address 'fed'; it has api, feed, login"),
    ],
)
def test_an_address_that_no_broker_has_is_an_error_that_names_the_right_ones(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {"BROKER_URLS": text})
    assert str(caught.value) == f"BROKER_URLS is not possible: {said}"


def test_replaced_addresses_are_said_without_passwords(tmp_path):
    found = load(tmp_path, {"BROKER_URLS": "zerodha.feed=ws://127.0.0.1:9,angel.api=http://me:hunter2@host/x"})
    assert replaced_addresses(found) == [
        "zerodha's feed is at ws://127.0.0.1:9",
        "angel's api is at http://host/x",
    ]


@pytest.mark.parametrize("broker", broker_names())
def test_each_brokers_page_lists_the_addresses_that_can_be_replaced(broker):
    page = (ROOT / "docs" / "brokers" / f"{broker}.md").read_text()
    names = ", ".join(f"`{broker}.{name}`" for name in load_broker(broker).url_names)
    assert f"`BROKER_URLS` ([settings](../configuration.md)) takes {names}." in page


def test_urls_of_a_broker(tmp_path):
    found = load(tmp_path, {"BROKER_URLS": "zerodha.feed=ws://127.0.0.1:9"})
    assert found.urls("zerodha") == {"feed": "ws://127.0.0.1:9"}
    assert found.urls("angel") == {}


# -- secrets -----------------------------------------------------------------------------------------------


def test_missing_secrets_are_made_once_and_kept_for_the_owner_alone(tmp_path):
    first, second = load(tmp_path), load(tmp_path)
    assert first.api_key_pepper == second.api_key_pepper != first.tickmux_secret == second.tickmux_secret
    assert len(first.api_key_pepper.encode()) >= 32
    home = tmp_path / "home"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "secrets.env").stat().st_mode) == 0o600


def test_given_secrets_are_used_and_nothing_is_written(tmp_path):
    found = load(tmp_path, SECRETS)
    assert found.api_key_pepper == SECRETS["API_KEY_PEPPER"]
    assert not (tmp_path / "home").exists()


def test_a_secret_that_is_missing_beside_others_is_added_to_them(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "secrets.env").write_text(f"API_KEY_PEPPER={'x' * 40}\nANOTHER=kept\n")
    found = load(tmp_path)
    assert found.api_key_pepper == "x" * 40
    assert found.tickmux_secret == load(tmp_path).tickmux_secret
    assert "ANOTHER=kept" in (home / "secrets.env").read_text()


def test_a_secrets_file_that_others_can_read_is_closed_to_them(tmp_path):
    load(tmp_path)
    path = tmp_path / "home" / "secrets.env"
    path.chmod(0o644)
    load(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"",
        lambda text: text[:-20],
        lambda text: text[: len(text) // 2],
        lambda text: text[: text.rindex(b"TICKMUX_SECRET")],
        lambda text: b"\0" * len(text),
        lambda text: text.replace(b"=", b" ", 1),
        lambda text: text.replace(b"TICKMUX", b"TICK\xff", 1),
        lambda text: text[:100] + b"\0\0\0" + text[103:],
    ],
)
def test_a_damaged_secrets_file_stops_the_start_and_is_left_as_it_is(tmp_path, damage):
    load(tmp_path)
    path = tmp_path / "home" / "secrets.env"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged (")
    assert "restore it from a backup" in message
    assert f"mv {path} {path}.damaged" in message
    assert "\n" not in message
    assert path.read_bytes() == damage(whole)


def test_a_damaged_secrets_file_does_not_matter_where_the_secrets_are_given(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secrets.env").write_bytes(b"")
    assert load(tmp_path, SECRETS).tickmux_secret == SECRETS["TICKMUX_SECRET"]


def test_a_secrets_file_of_an_older_tickmux_and_one_with_windows_line_ends_are_whole(tmp_path):
    first = load(tmp_path)
    path = tmp_path / "home" / "secrets.env"
    old = path.read_text().removesuffix("# end\n")
    for text in (old, old.replace("\n", "\r\n")):
        path.write_bytes(text.encode())
        assert load(tmp_path) == first


def test_processes_that_start_together_agree_on_the_secrets(tmp_path):
    program = (
        "import sys; from tickmux.config import Settings; sys.stdin.readline();"
        "found = Settings.load(); print(found.api_key_pepper, found.tickmux_secret)"
    )
    environ = {"TICKMUX_HOME": str(tmp_path / "home"), "PATH": "/usr/bin"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
            cwd=tmp_path,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = {process.communicate(timeout=30)[0] for process in processes}
    assert len(outputs) == 1
    assert len(outputs.pop().split()) == 2


def test_a_home_that_cannot_be_a_folder_is_a_config_error(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ConfigError, match="TICKMUX_HOME"):
        load(tmp_path)


def test_no_representation_shows_a_secret(tmp_path):
    found = load(tmp_path, {**SECRETS, "DATABASE_URL": "postgresql://me:hunter2@host/db"})
    for text in (repr(found), str(shown(found))):
        assert "p" * 32 not in text
        assert "s" * 32 not in text
        assert "hunter2" not in text


# -- documents ---------------------------------------------------------------------------------------------


def test_the_env_example_lists_every_variable_as_it_is():
    assert (ROOT / ".env.example").read_text() == env_example(), "run: tickmux config --format env > .env.example"


def test_the_documentation_lists_every_variable_as_it_is():
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert markdown_tables() in page, "print it with: tickmux config --format markdown"


def test_the_env_example_uncommented_gives_the_defaults(tmp_path):
    lines = [line.removeprefix("# ") for line in env_example().splitlines()]
    names = {one.name for one in variables()}
    chosen = [line for line in lines if line.partition("=")[0] in names]
    assert len(chosen) == len(names)
    (tmp_path / ".env").write_text("\n".join(chosen))
    assert load(tmp_path) == load(tmp_path.parent, {"TICKMUX_HOME": str(tmp_path / "home")})


def test_every_default_is_a_value_that_its_variable_takes():
    for variable in variables():
        if text := as_text(variable.default):
            assert variable.about.kind.parse(text) == variable.default
