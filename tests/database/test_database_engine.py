"""Opening a database: made, migrated, guarded, or refused in one line."""

import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

import tickmux.database
from support.postgres import only
from tickmux.codec import Credentials
from tickmux.config import ConfigError, Settings
from tickmux.database import ApiKeys, Database, DatabaseFailed, InstrumentStore, Users
from tickmux.database.engine import SCHEMA
from tickmux.database.models import Base


@pytest.fixture
def empty_url(engine_name, request):
    """DATABASE_URL of a database without tables; empty for the usual file."""
    if engine_name == "sqlite":
        yield ""
        return
    with request.getfixturevalue("cluster").database() as url:
        yield url


def test_the_migrations_make_exactly_the_models(database):
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        indexes = {index["name"] for index in inspect(connection).get_indexes("instruments")}
    assert indexes == {index.name for index in Base.metadata.tables["instruments"].indexes}


def test_the_newest_migration_is_the_schema_that_the_code_expects():
    config = Config()
    config.set_main_option("script_location", str(Path(tickmux.database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA


def test_the_migrations_can_be_undone(database):
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(Path(tickmux.database.__file__).parent / "migrations"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]


@only("sqlite")
def test_files_belong_to_their_owner_alone(home_settings):
    with Database.open(home_settings) as opened:
        ApiKeys(opened, home_settings.api_key_pepper).create("trader")
        folder = home_settings.tickmux_home
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes.pop("tickmux.db") == 0o600
    assert "tickmux.db-wal" in modes
    assert set(modes.values()) == {0o600}


@only("sqlite")
def test_sqlite_runs_in_wal_mode_with_foreign_keys(database):
    with database.reading() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_what_was_stored_is_there_after_reopening(home_settings):
    with Database.open(home_settings) as opened:
        key = ApiKeys(opened, home_settings.api_key_pepper).create("trader")
    with Database.open(home_settings) as opened:
        user = ApiKeys(opened, home_settings.api_key_pepper).verify(key)
    assert user is not None
    assert user.name == "trader"


@only("sqlite")
def test_an_open_of_an_up_to_date_database_does_not_load_the_migrations(home_settings):
    Database.open(home_settings).close()
    program = (
        "import sys; from tickmux.config import Settings; from tickmux.database import Database;"
        "Database.open(Settings.load()).close(); print('alembic' in sys.modules)"
    )
    environ = {**os.environ, "TICKMUX_HOME": str(home_settings.tickmux_home)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_processes_that_open_a_new_database_together_all_succeed(tmp_path, empty_url):
    program = (
        "import sys; from tickmux.config import Settings; from tickmux.database import ApiKeys, Database;"
        "found = Settings.load(); sys.stdin.readline();"
        "print(ApiKeys(Database.open(found), found.api_key_pepper).create('trader'))"
    )
    environ = {"TICKMUX_HOME": str(tmp_path / "home"), "PATH": "/usr/bin", "DATABASE_URL": empty_url}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
            cwd=tmp_path,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    settings = Settings.load(environ=environ, folder=tmp_path)
    with Database.open(settings) as database:
        api_keys = ApiKeys(database, settings.api_key_pepper)
        assert {api_keys.verify(key).name for key in keys} == {"trader"}
        assert len(api_keys.list()) == 3
        with database.reading() as session:
            assert session.execute(text("SELECT name FROM users")).all() == [("trader",)]


@only("sqlite")
def test_threads_may_open_databases_at_the_same_time(home_settings, tmp_path):
    opened, barrier = [], threading.Barrier(4)

    def work(number):
        found = replace(home_settings, database_url=f"sqlite:///{tmp_path}/{number % 2}.db")
        barrier.wait()
        with Database.open(found) as database:
            opened.append(bool(inspect(database.engine).has_table("users")))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [True] * 4


@only("sqlite")
def test_a_path_with_percent_signs_works(home_settings, tmp_path):
    url = f"sqlite:///{tmp_path}/100%/%(here)s.db"
    with Database.open(replace(home_settings, database_url=url)) as opened:
        assert inspect(opened.engine).has_table("users")


def test_a_newer_schema_is_refused_and_left_alone(home_settings):
    with Database.open(home_settings) as opened:
        with opened.writing() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(DatabaseFailed, match="newer tickmux"):
            Database.open(home_settings)
        with opened.reading() as session:
            assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_a_failing_migration_leaves_nothing_behind(home_settings, empty_url, monkeypatch):
    settings = replace(home_settings, database_url=empty_url or home_settings.database_url)

    def broken(connection):
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("tickmux.database.engine._upgrade", broken)
        Database.open(settings)
    with Database.open(settings) as opened:
        assert not inspect(opened.engine).has_table("half")


@only("sqlite")
def test_a_file_that_is_no_database_is_one_line(home_settings):
    home_settings.tickmux_home.mkdir()
    (home_settings.tickmux_home / "tickmux.db").write_bytes(b"not a database at all, but long enough to be one" * 20)
    with pytest.raises(DatabaseFailed) as caught:
        Database.open(home_settings)
    assert "tickmux.db cannot be used: file is not a database" in str(caught.value)


@only("sqlite")
def test_a_folder_that_cannot_be_made_is_one_line(home_settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseFailed, match="cannot be made"):
        Database.open(replace(home_settings, database_url=f"sqlite:///{tmp_path}/file/x.db"))


@only("sqlite")
@pytest.mark.parametrize("url", ["postgresql://me:hunter2@host:port/db", "postgresql+nosuch://me:hunter2@host/db"])
def test_a_url_that_cannot_be_is_a_config_error_without_its_password(home_settings, url):
    with pytest.raises(ConfigError) as caught:
        Database.open(replace(home_settings, database_url=url))
    assert "hunter2" not in str(caught.value)


@only("sqlite")
def test_a_server_that_cannot_be_reached_is_one_line_without_the_password(home_settings, tmp_path):
    url = f"postgresql://me:hunter2@/db?host={tmp_path}"
    with pytest.raises(DatabaseFailed, match="cannot be used: connection") as caught:
        Database.open(replace(home_settings, database_url=url))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_writer_that_fails_changes_nothing(database):
    with pytest.raises(RuntimeError), database.writing() as session:
        session.execute(text("INSERT INTO users (name, created) VALUES ('x', 0)"))
        raise RuntimeError
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM users")).scalar() == 0


# -- many at a time ----------------------------------------------------------------------------------------


def at_once(*works):
    """Runs the works in threads that start together; gives what each returned or raised."""
    barrier, found = threading.Barrier(len(works)), [None] * len(works)

    def run(number, work):
        barrier.wait()
        try:
            found[number] = work()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class NoHash:
    """Hashing takes longer than all the rest of these tests, and would keep the racers apart."""

    def hash(self, text):
        return "x"


def test_of_two_first_users_at_once_there_is_one(database):
    users = Users(database)
    users._hasher = NoHash()
    for _ in range(10):
        found = at_once(*(lambda name=name: users.create_first(name, "p" * 10) for name in ("asha", "mallory")))
        assert sorted(type(one).__name__ for one in found) == ["AlreadySetUp", "int"]
        with database.writing() as session:
            assert len(session.execute(text("DELETE FROM users RETURNING id")).all()) == 1


def test_two_keys_for_one_new_user_at_once_are_both_made(database):
    api_keys = ApiKeys(database, "pepper" * 8)
    api_keys._hasher = NoHash()
    for round_ in range(10):
        found = at_once(
            lambda user=f"user{round_}": api_keys.create(user),
            lambda user=f"user{round_}": api_keys.import_key(f"imported-key-{user}", user),
        )
        assert [type(one) for one in found] == [str, str]
        assert len(api_keys.list(f"user{round_}")) == 2


def test_one_key_imported_twice_at_once_is_there_once(database):
    api_keys = ApiKeys(database, "pepper" * 8)
    api_keys._hasher = NoHash()
    for round_ in range(10):
        found = at_once(*[lambda key=f"imported-key-{round_}": api_keys.import_key(key, "trader")] * 2)
        assert sorted(type(one).__name__ for one in found) == ["ApiKeyExists", "str"]


def test_of_two_keys_of_one_name_at_once_there_is_one(database):
    api_keys = ApiKeys(database, "pepper" * 8)
    api_keys._hasher = NoHash()
    for round_ in range(10):
        found = at_once(*[lambda name=f"key {round_}": api_keys.create("trader", name, only_name=True)] * 3)
        assert sorted(type(one).__name__ for one in found) == ["NameTaken", "NameTaken", "str"]
    first, second = (key.key_id for key in api_keys.list("trader")[:2])
    found = at_once(*(lambda key=key: api_keys.rename(key, "same") for key in (first, second)))
    assert sorted(map(str, found)) == sorted(
        ["True", "another key has this name: choose another, or revoke that key"]
    )


def test_no_version_of_a_session_is_given_out_twice(sessions):
    same = Credentials({"access_token": "same"})
    versions = [
        version for _ in range(10) for version in at_once(*[lambda: sessions.store("trader", "zerodha", same)] * 4)
    ]
    assert sorted(versions) == list(range(1, 41))


def test_after_any_activations_at_once_exactly_one_session_is_active(sessions):
    brokers = ["zerodha", "upstox", "dhan", "angel"]
    for broker in brokers:
        sessions.store("trader", broker, Credentials({"access_token": "t"}))
    for _ in range(20):
        assert at_once(*(lambda b=broker: sessions.activate("trader", b) for broker in brokers)) == [None] * 4
        assert sum(one.active for one in sessions.list()) == 1


def test_the_database_itself_refuses_a_second_active_session(sessions, database):
    sessions.store("trader", "zerodha", Credentials({"access_token": "t"}))
    sessions.store("trader", "angel", Credentials({"access_token": "t"}))
    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(text("UPDATE broker_sessions SET active = true"))


def test_an_older_database_with_two_active_sessions_keeps_the_one_stored_last(database):
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(Path(tickmux.database.__file__).parent / "migrations"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        connection.execute(text("INSERT INTO users (id, name, created) VALUES (1, 'a', 0), (2, 'b', 0)"))
        connection.execute(
            text(
                "INSERT INTO broker_sessions (user_id, broker, active, updated, version) VALUES "
                "(1, 'one', true, 5, 1), (1, 'two', true, 7, 1), (1, 'three', true, 7, 1), (1, 'four', false, 9, 1), "
                "(2, 'one', true, 1, 1)"
            )
        )
        command.upgrade(config, "head")
        active = connection.execute(text("SELECT user_id, broker FROM broker_sessions WHERE active ORDER BY 1")).all()
    assert active == [(1, "three"), (2, "one")]


def test_a_reader_sees_one_state_whatever_is_written_meanwhile(database):
    api_keys = ApiKeys(database, "pepper" * 8)
    api_keys.create("first")
    count = text("SELECT count(*) FROM users")
    with database.reading() as session:
        before = session.execute(count).scalar()
        api_keys.create("between")
        assert session.execute(count).scalar() == before
    with database.reading() as session:
        assert session.execute(count).scalar() == before + 1


# -- a database that fails ---------------------------------------------------------------------------------


@only("postgresql")
def test_a_restart_of_the_server_costs_no_call_after_it(database, cluster):
    store = InstrumentStore(database)
    assert store.generation("zerodha") == 0
    cluster.restart()
    assert [store.generation("zerodha") for _ in range(3)] == [0, 0, 0]


@only("postgresql")
def test_a_server_that_has_gone_is_one_error_and_one_line_in_the_log(database, cluster, caplog):
    database.check()
    cluster.stop()
    try:
        for _ in range(20):
            with pytest.raises(DatabaseFailed) as caught:
                database.check()
            assert "\n" not in str(caught.value)
        assert database.trouble.why
        assert len(caplog.records) == 1
        assert len(caplog.text) < 1000
    finally:
        cluster.start()
    database.check()


def remove(path):
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()


def overwrite(path):
    path.write_bytes(b"nonsense " * 4096)
    for one in path.parent.glob(f"{path.name}-*"):
        one.unlink()


def truncate(path):
    path.write_bytes(b"")
    for one in path.parent.glob(f"{path.name}-*"):
        one.unlink()


@only("sqlite")
@pytest.mark.parametrize("damage", [remove, Path.unlink, overwrite, truncate])
def test_a_database_file_that_is_damaged_or_gone_is_one_error_and_one_line_in_the_log(home_settings, damage, caplog):
    with Database.open(home_settings) as database:
        database.check()
        path = home_settings.tickmux_home / "tickmux.db"
        damage(path)
        for _ in range(20):
            with pytest.raises(DatabaseFailed) as caught:
                database.check()
            assert "\n" not in str(caught.value)
        assert database.trouble.why
        assert len(caplog.records) == 1
        assert len(caplog.text) < 1000


@only("sqlite")
@pytest.mark.parametrize("damage", [remove, Path.unlink])
def test_nothing_is_written_to_a_file_that_has_lost_its_name(home_settings, damage):
    with Database.open(home_settings) as database:
        api_keys = ApiKeys(database, "pepper" * 8)
        api_keys.create("trader")
        damage(home_settings.tickmux_home / "tickmux.db")
        with pytest.raises(DatabaseFailed, match="has gone: put it back"):
            api_keys.create("trader")
        assert not (home_settings.tickmux_home / "tickmux.db").exists(), "an empty one would hide the loss"


@only("sqlite")
def test_a_file_that_was_put_back_is_used_again(home_settings):
    path = home_settings.tickmux_home / "tickmux.db"
    with Database.open(home_settings) as database:
        ApiKeys(database, "pepper" * 8).create("trader")
    saved = path.read_bytes()
    with Database.open(home_settings) as database:
        api_keys = ApiKeys(database, "pepper" * 8)
        assert len(api_keys.list()) == 1
        remove(path)
        with pytest.raises(DatabaseFailed):
            api_keys.list()
        path.write_bytes(saved)
        assert len(api_keys.list()) == 1
        database.check()


@only("sqlite")
def test_a_copy_that_was_put_back_over_a_damaged_file_is_used_again(home_settings):
    """As `cp` does: the file keeps its name and its identity."""
    path = home_settings.tickmux_home / "tickmux.db"
    with Database.open(home_settings) as database:
        ApiKeys(database, "pepper" * 8).create("trader")
    saved = path.read_bytes()
    with Database.open(home_settings) as database:
        api_keys = ApiKeys(database, "pepper" * 8)
        path.write_bytes(b"nonsense" * (len(saved) // 8))
        for _ in range(2):
            with pytest.raises(DatabaseFailed, match=r"malformed|not a database"):
                api_keys.list()
        path.write_bytes(saved)
        assert len(api_keys.list()) == 1
        assert ApiKeys(database, "pepper" * 8).create("trader")


@only("sqlite")
def test_opening_a_second_time_leaves_the_locks_of_the_first_alone(home_settings):
    """POSIX takes all of a process's locks on a file away when any descriptor of it is closed."""
    program = (
        "import sys; from tickmux.config import Settings; from tickmux.database import Database;"
        "Database.open(Settings.load()).close()"
    )
    wal = home_settings.tickmux_home / "tickmux.db-wal"
    with Database.open(home_settings) as first, first.reading() as session:
        session.execute(text("SELECT 1 FROM users")).all()
        Database.open(home_settings)
        environ = {**os.environ, "TICKMUX_HOME": str(home_settings.tickmux_home)}
        subprocess.run([sys.executable, "-c", program], env=environ, check=True)
        assert wal.exists(), "the other process has taken itself for the last one and removed the journal"
