import pytest

from tickmux.config import Settings
from tickmux.database import ApiKeys, BrokerSessions, Database, InstrumentStore

PEPPER = "pepper" * 8
SECRET = "secret" * 8


@pytest.fixture
def home_settings(tmp_path):
    environ = {"TICKMUX_HOME": str(tmp_path / "home"), "API_KEY_PEPPER": PEPPER, "TICKMUX_SECRET": SECRET}
    return Settings.load(environ=environ, folder=tmp_path)


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
