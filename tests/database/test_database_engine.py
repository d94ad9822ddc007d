"""Opening a database: made, migrated, guarded, or refused in one line."""

import os
import sqlite3
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

import tickmux.database
from tickmux.config import ConfigError
from tickmux.database import ApiKeys, Database, DatabaseFailed
from tickmux.database.engine import SCHEMA
from tickmux.database.models import Base


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


def test_files_belong_to_their_owner_alone(home_settings):
    with Database.open(home_settings) as opened:
        ApiKeys(opened, home_settings.api_key_pepper).create("trader")
        folder = home_settings.tickmux_home
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes.pop("tickmux.db") == 0o600
    assert "tickmux.db-wal" in modes
    assert set(modes.values()) == {0o600}


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


def test_an_open_of_an_up_to_date_database_does_not_load_the_migrations(home_settings):
    Database.open(home_settings).close()
    program = (
        "import sys; from tickmux.config import Settings; from tickmux.database import Database;"
        "Database.open(Settings.load()).close(); print('alembic' in sys.modules)"
    )
    environ = {**os.environ, "TICKMUX_HOME": str(home_settings.tickmux_home)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_processes_that_open_a_new_database_together_all_succeed(tmp_path):
    program = (
        "import sys; from tickmux.config import Settings; from tickmux.database import ApiKeys, Database;"
        "found = Settings.load(); sys.stdin.readline();"
        "print(ApiKeys(Database.open(found), found.api_key_pepper).create('trader'))"
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
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = [process.communicate(timeout=40)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    with sqlite3.connect(tmp_path / "home" / "tickmux.db") as connection:
        assert connection.execute("SELECT count(*) FROM api_keys").fetchone() == (3,)
        assert connection.execute("SELECT name FROM users").fetchall() == [("trader",)]
    assert len(set(keys)) == 3


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


def test_a_path_with_percent_signs_works(home_settings, tmp_path):
    url = f"sqlite:///{tmp_path}/100%/%(here)s.db"
    with Database.open(replace(home_settings, database_url=url)) as opened:
        assert inspect(opened.engine).has_table("users")


def test_a_newer_schema_is_refused_and_left_alone(home_settings):
    Database.open(home_settings).close()
    path = home_settings.tickmux_home / "tickmux.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseFailed, match="newer tickmux"):
        Database.open(home_settings)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_failing_migration_leaves_nothing_behind(home_settings, monkeypatch):
    def broken(connection):
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("tickmux.database.engine._upgrade", broken)
        Database.open(home_settings)
    with Database.open(home_settings) as opened:
        assert not inspect(opened.engine).has_table("half")


def test_a_file_that_is_no_database_is_one_line(home_settings):
    home_settings.tickmux_home.mkdir()
    (home_settings.tickmux_home / "tickmux.db").write_bytes(b"not a database at all, but long enough to be one" * 20)
    with pytest.raises(DatabaseFailed) as caught:
        Database.open(home_settings)
    assert "tickmux.db cannot be used: file is not a database" in str(caught.value)


def test_a_folder_that_cannot_be_made_is_one_line(home_settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseFailed, match="cannot be made"):
        Database.open(replace(home_settings, database_url=f"sqlite:///{tmp_path}/file/x.db"))


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@[bad", "postgresql+nosuch://me:hunter2@host/db"])
def test_a_url_that_cannot_be_is_a_config_error_without_its_password(home_settings, url):
    with pytest.raises(ConfigError) as caught:
        Database.open(replace(home_settings, database_url=url))
    assert "hunter2" not in str(caught.value)


def test_a_writer_that_fails_changes_nothing(database):
    with pytest.raises(RuntimeError), database.writing() as session:
        session.execute(text("INSERT INTO users (name, created) VALUES ('x', 0)"))
        raise RuntimeError
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM users")).scalar() == 0
