"""`Database`: the engine, its transactions, and the schema, which is brought up to date on opening.

Writing transactions come one after the other, in every process, on both kinds of database: what one of them has read
cannot change before it is committed. A write therefore never fails because of another one, and reads that precede a
write in the same block need no lock of their own. A writer waits up to `_BUSY_SECONDS` for its turn.

- SQLite runs in WAL mode, so readers and the writer do not wait for each other. A writing transaction takes the
  write lock at its beginning (BEGIN IMMEDIATE): one that takes it half-way fails at once when somebody else has
  written meanwhile.
- PostgreSQL: a writing transaction takes an advisory lock at its beginning, under READ COMMITTED, so that its
  statements see what the one before it has committed. A reading one is REPEATABLE READ, which is one snapshot.

`Database` owns its pool of connections, which bounds it. Connections that the server has closed are replaced when
they are taken from the pool; an SQLite file that has been removed or replaced under its connections is noticed there.
One whose bytes were changed in place is noticed when they make no sense, and the connections that cached them go.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DisconnectionError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tickmux.config import ConfigError, Settings
from tickmux.database.late_writes import LateWrites
from tickmux.database.trouble import DatabaseFailed, Trouble
from tickmux.secrets_file import exclusive, private_folder

SCHEMA = "0006"
"""The newest migration; a database that has it needs no look at the migrations."""

IDS_A_QUERY = 500
"""How many values a query takes: an old SQLite has 999 parameters."""

_BUSY_SECONDS = 15
_CHECK_SECONDS = 1.0
_CHECK = text("SELECT version_num FROM alembic_version")
_FILE = "tickmux file"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_WRITERS = 0x7469636B6D7578  # PostgreSQL's advisory locks are numbers: "tickmux"
_upgrading = threading.Lock()  # alembic keeps the migration that is running in a global


class Database:
    """An open database. Thread-safe; bounded by the engine's pool of connections."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.trouble = Trouble(_shown(engine.url))
        self.late_writes = LateWrites(self.writing)
        self._writing = engine.execution_options(tickmux_writes=True)
        self._reading = engine if _is_sqlite(engine) else engine.execution_options(isolation_level="REPEATABLE READ")

    @classmethod
    def open(cls, settings: Settings) -> "Database":
        """Opens what DATABASE_URL names, makes it when missing and migrates it when old.

        Raises ConfigError for a URL that cannot be, DatabaseFailed for a database that cannot be used.
        """
        try:
            url = _engine_url(settings.database_url)
            engine = _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _postgres_engine(url)
        except ImportError as error:
            raise ConfigError(
                f"DATABASE_URL (value hidden) needs the Python package {error.name}: install it"
                + (" with `pip install 'tickmux[postgres]'`" if error.name == "psycopg" else "")
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
        """Makes the writes that wait, and lets go of all connections."""
        self.late_writes.close()
        self.engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading: all its statements see one and the same state of the database.

        Raises DatabaseFailed.
        """
        with self._failures(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is committed at the end of the block, or rolled back when it raises.

        Nobody else writes meanwhile, so keep it short. Raises DatabaseFailed; IntegrityError of a constraint passes.
        """
        with self._failures(), Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def bulk_writing(self) -> Iterator[Connection]:
        """As `writing`, without the object layer: for many rows."""
        with self._failures(), self._writing.begin() as connection:
            yield connection

    def check(self) -> None:
        """Reads a row. Raises DatabaseFailed when that does not work.

        SQLite through a new connection: one of the pool may answer from its cache after the file was overwritten.
        """
        if not _is_sqlite(self.engine):
            with self.reading() as session:
                session.execute(_CHECK)
            return
        with self._failures():
            url = self.engine.url
            fresh = create_engine(url, creator=lambda: _connect_sqlite(url, _CHECK_SECONDS), poolclass=NullPool)
            with fresh.connect() as connection:
                connection.execute(_CHECK)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """What the driver says is wrong with the database becomes one kind of error, and one line in the log."""
        try:
            yield
        except (IntegrityError, DataError):
            raise  # the database works: it has refused a row or a value
        except SQLAlchemyError as error:
            why = reason(error)
            self.trouble.note(why)
            raise DatabaseFailed(f"the database failed: {why}") from error
        self.trouble.clear()


def reason(error: BaseException) -> str:
    """The driver's words for what went wrong, on one line, without statement and parameters."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split()) or type(original).__name__


def _engine_url(text_url: str) -> URL:
    url = make_url(text_url)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgres", "postgresql") else url


def _is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


def _shown(url: URL) -> str:
    return url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _postgres_engine(url: URL) -> Engine:
    # A server that has gone is noticed within seconds, not after the minutes that TCP takes by itself.
    options = {"connect_timeout": 10, "tcp_user_timeout": 15_000}
    given = {name: value for name, value in options.items() if name not in url.query}
    # Parameters stay out of errors and logs: hashes and encrypted secrets are among them.
    engine = create_engine(
        url, connect_args=given, pool_pre_ping=True, isolation_level="READ COMMITTED", hide_parameters=True
    )

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        if connection.get_execution_options().get("tickmux_writes"):
            connection.exec_driver_sql(
                f"SELECT set_config('lock_timeout', '{_BUSY_SECONDS}s', true), pg_advisory_xact_lock({_WRITERS})"
            )

    return engine


def _sqlite_engine(url: URL) -> Engine:
    path = Path(url.database or "")
    private_folder(path.parent)
    # Made here, so that it and the journals beside it are readable by their owner alone. One that is there is not
    # opened: closing it again would take away the locks that other connections of this process have on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, _arguments: Any, _options: Any) -> sqlite3.Connection:
        return _connect_sqlite(url, _BUSY_SECONDS)

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, record: Any) -> None:
        record.info[_FILE] = _identity(path)
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "checkout")
    def _taken(_connection: Any, record: Any, _proxy: Any) -> None:
        # A connection goes on with a file that has no name any more, and what it writes there is lost.
        if record.info[_FILE] != _identity(path):
            raise DisconnectionError("the file of the database has been removed or replaced")

    @event.listens_for(engine, "handle_error")
    def _failed(context: ExceptionContext) -> None:
        # Connections keep pages of a damaged file, and would find it damaged after a copy was put back over it, too.
        code = getattr(context.original_exception, "sqlite_errorcode", 0)
        if code & 0xFF in _DAMAGED:
            context.is_disconnect = True

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("tickmux_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _connect_sqlite(url: URL, timeout: float) -> sqlite3.Connection:
    """A connection to a file that is there: a missing one is not made anew, without its tables."""
    path = Path(url.database or "").absolute()
    if not path.exists():
        raise sqlite3.OperationalError(f"{path} has gone: put it back, or restart tickmux, which makes a new one")
    uri = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=timeout, check_same_thread=False)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file has that name now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _migrate(engine: Engine) -> None:
    writing = engine.execution_options(tickmux_writes=True)
    if _is_sqlite(engine):
        # Under one lock from the first connection on: to switch a new file to WAL does not wait for others.
        with exclusive(Path(f"{engine.url.database}.lock")):
            if _schema(engine) != SCHEMA:
                with writing.begin() as connection:
                    _upgrade(connection)
    elif _schema(engine) != SCHEMA:
        with writing.begin() as connection:
            _upgrade(connection)


def _schema(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(_CHECK).scalar()


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
