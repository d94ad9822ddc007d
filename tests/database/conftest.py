from pathlib import Path

import pytest
from sqlalchemy import text

from support.postgres import programs, running_cluster
from tickmux.config import Settings
from tickmux.database import ApiKeys, BrokerSessions, Database, InstrumentStore

PEPPER = "pepper" * 8
SECRET = "secret" * 8


@pytest.fixture(scope="session")
def cluster():
    """A real PostgreSQL server with a database called `migrated`, which is up to date."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: sudo apt-get install postgresql")
    with running_cluster() as running:
        running.run("CREATE DATABASE migrated TEMPLATE template0")
        Database.open(_settings("/nonexistent", running.url("migrated"))).close()
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def engine_name(request):
    """Every test that uses a database runs on both kinds; `support.postgres.only` names tests of one of them."""
    return request.param


@pytest.fixture
def home_settings(tmp_path, engine_name, request):
    if engine_name == "sqlite":
        yield _settings(tmp_path)
        return
    cluster = request.getfixturevalue("cluster")
    with cluster.database(template="migrated") as url:
        yield _settings(tmp_path, url)


def _settings(folder, url=""):
    environ = {
        "TICKMUX_HOME": f"{folder}/home",
        "API_KEY_PEPPER": PEPPER,
        "TICKMUX_SECRET": SECRET,
        "DATABASE_URL": url,
    }
    return Settings.load(environ=environ, folder=Path(folder))


@pytest.fixture
def database(home_settings):
    with Database.open(home_settings) as opened:
        yield opened


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def api_keys(database, clock):
    return ApiKeys(database, PEPPER, clock)


@pytest.fixture
def sessions(database, clock):
    return BrokerSessions(database, SECRET, clock)


@pytest.fixture
def store(database):
    return InstrumentStore(database)


@pytest.fixture
def rows(database):
    """Reads all rows of users' data, as one text: what a copy of the database shows."""

    def read():
        with database.reading() as session:
            return "\n".join(
                str(tuple(row))
                for table in ("users", "api_keys", "broker_sessions", "web_sessions")
                for row in session.execute(text(f"SELECT * FROM {table}"))
            )

    return read
