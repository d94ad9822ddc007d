"""`Database`: the engine, its transactions, and the schema, which is brought up to date on opening.

SQLite runs in WAL mode: readers and a writer do not wait for each other, and two writers wait up to
`_BUSY_SECONDS`. A writing transaction takes the write lock at its beginning, since one that takes it half-way
fails at once when somebody else has written meanwhile.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from tickmux.config import ConfigError, Settings
from tickmux.secrets_file import exclusive, private_folder

SCHEMA = "0003"
"""The newest migration; a database that has it needs no look at the migrations."""

_BUSY_SECONDS = 15
_MIGRATION_LOCK = 0x7469636B6D7578  # PostgreSQL's advisory locks are numbers: "tickmux"
_upgrading = threading.Lock()  # alembic keeps the migration that is running in a global


class DatabaseFailed(Exception):
    """The database cannot be used; the message says why in one line, without its password."""


class Database:
    """An open database. Thread-safe; bounded by the engine's pool of connections."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = engine.execution_options(tickmux_writes=True)

    @classmethod
    def open(cls, settings: Settings) -> "Database":
        """Opens what DATABASE_URL names, makes it when missing and migrates it when old.

        Raises ConfigError for a URL that cannot be, DatabaseFailed for a database that cannot be used.
        """
        try:
            url = _engine_url(settings.database_url)
            engine = _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _engine(url)
        except ImportError as error:
            raise ConfigError(
                f"DATABASE_URL (value hidden) needs the Python package {error.name}: install it"
            ) from None
        except (ArgumentError, ValueError):
            raise ConfigError(
                "DATABASE_URL (value hidden) is not possible: "
                "it takes sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
            ) from None
        except OSError as error:
            raise DatabaseFailed(f"the database {_shown(url)} cannot be made: {error.strerror}") from None
        try:
            _migrate(engine)
        except (SQLAlchemyError, OSError) as error:
            engine.dispose()
            raise DatabaseFailed(f"the database {_shown(url)} cannot be used: {reason(error)}") from error
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading: one consistent state of the database."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is committed at the end of the block, or rolled back when it raises."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def bulk_writing(self) -> Iterator[Connection]:
        """As `writing`, without the object layer: for many rows."""
        with self._writing.begin() as connection:
            yield connection


def reason(error: BaseException) -> str:
    """The driver's words for what went wrong, on one line, without statement and parameters."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split()) or type(original).__name__


def _engine_url(text_url: str) -> URL:
    url = make_url(text_url)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgres", "postgresql") else url


def _shown(url: URL) -> str:
    return url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _engine(url: URL, options: Mapping[str, Any] | None = None) -> Engine:
    # Parameters stay out of errors and logs: hashes and encrypted secrets are among them.
    return create_engine(url, connect_args=dict(options or {}), hide_parameters=True)


def _sqlite_engine(url: URL) -> Engine:
    path = Path(url.database or "")
    private_folder(path.parent)
    # Made here, so that it and the journals beside it are readable by their owner alone.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = _engine(url, {"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("tickmux_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _migrate(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        # Under one lock from the first connection on: to switch a new file to WAL does not wait for others.
        with exclusive(Path(f"{engine.url.database}.lock")):
            if _schema(engine) != SCHEMA:
                with engine.execution_options(tickmux_writes=True).begin() as connection:
                    _upgrade(connection)
    elif _schema(engine) != SCHEMA:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            _upgrade(connection)


def _schema(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    """Runs the migrations that are missing, in the transaction of `connection`."""
    from alembic import command  # only a new or old database pays for the import
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        with _upgrading:
            command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseFailed("the database was made by a newer tickmux: update this one") from error
