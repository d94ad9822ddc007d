"""Everything that writes, in any order and by two processes at once, keeps what the tables promise.

Hypothesis chooses batches of operations; each batch is carried out at once, every operation in a thread of its own,
half of them through a second `Database`. Whatever their order: of one user's sessions one is active at most, versions
only rise, a revoked key stays revoked and another works, a user is there once, and no operation fails.
"""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tickmux.codec import Credentials
from tickmux.database import ApiKeys, BrokerSessions, Database, Users, WebSessions

PEPPER = "pepper" * 8
SECRET = "secret" * 8
USERS = st.sampled_from(["asha", "bob"])
BROKERS = st.sampled_from(["zerodha", "angel", "dhan"])
NAMES = st.sampled_from(["laptop", "excel"])

OPERATIONS = st.one_of(
    st.tuples(st.just("store"), USERS, BROKERS, st.booleans()),
    st.tuples(st.just("activate"), USERS, BROKERS),
    st.tuples(st.just("delete"), USERS, BROKERS),
    st.tuples(st.just("create"), USERS, NAMES),
    st.tuples(st.just("revoke"), st.integers(0, 5)),
    st.tuples(st.just("use"), st.integers(0, 5)),
    st.tuples(st.just("password"), USERS),
    st.tuples(st.just("log in"), USERS),
)
BATCHES = st.lists(st.lists(OPERATIONS, min_size=2, max_size=4), min_size=1, max_size=4)


class Plain:
    """Hashes that cost nothing, so that operations meet."""

    def hash(self, secret):
        return secret.hex() if isinstance(secret, bytes) else secret

    def verify(self, hashed, secret):
        return hashed == self.hash(secret)


class Side:
    """One process's stores."""

    def __init__(self, database):
        self.database = database
        self.sessions = BrokerSessions(database, SECRET)
        self.api_keys = ApiKeys(database, PEPPER)
        self.users = Users(database)
        self.web_sessions = WebSessions(database)
        self.api_keys._hasher = self.users._hasher = Plain()


class World:
    """What has been done so far, as the model has it."""

    def __init__(self, sides):
        self.sides = sides
        self.keys = []
        self.revoked = set()
        self.versions = {}
        self.lock = threading.Lock()

    def run(self, side, operation):
        match operation:
            case ("store", user, broker, activate):
                version = side.sessions.store(user, broker, Credentials({"t": "same"}), activate=activate)
                with self.lock:
                    given_out = self.versions.setdefault((user, broker), [])
                    given_out.append(version)
            case ("activate", user, broker):
                side.sessions.activate(user, broker)
            case ("delete", user, broker):
                side.sessions.delete(user, broker)
            case ("create", user, name):
                key = side.api_keys.create(user, name)
                with self.lock:
                    self.keys.append(key)
            case ("revoke", number):
                if number < len(self.keys):
                    side.api_keys.revoke(self.keys[number].split("_")[1])
                    with self.lock:
                        self.revoked.add(self.keys[number])
            case ("use", number):
                if number < len(self.keys):
                    side.api_keys.verify(self.keys[number])
                side.database.late_writes.flush()
            case ("password", user):
                side.users.set_password(user, "p" * 10, create=True)
            case ("log in", user):
                if (user_id := side.users.verify(user, "p" * 10)) is not None:
                    side.web_sessions.begin(user_id)

    def at_once(self, batch):
        failures = []

        def run(number, operation):
            try:
                barrier.wait()
                self.run(self.sides[number % 2], operation)
            except Exception as error:
                failures.append((operation, error))

        barrier = threading.Barrier(len(batch))
        threads = [threading.Thread(target=run, args=one) for one in enumerate(batch)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures

    def check(self):
        with self.sides[0].database.reading() as session:
            active = session.execute(
                text("SELECT user_id, count(*) FROM broker_sessions WHERE active GROUP BY user_id")
            ).all()
            stored = session.execute(
                text("SELECT name, broker, version FROM broker_sessions JOIN users ON users.id = user_id")
            ).all()
            users = session.execute(text("SELECT name FROM users")).scalars().all()
        assert all(count == 1 for _, count in active)
        assert len(users) == len(set(users))
        versions = {(user, broker): version for user, broker, version in stored}
        for row, given_out in self.versions.items():
            assert len(given_out) == len(set(given_out))
            assert max(given_out) <= versions[row]
        for side in self.sides:
            good = {key for key in self.keys if side.api_keys.verify(key) is not None}
            assert good == set(self.keys) - self.revoked


@pytest.fixture
def clean(home_settings):
    """Makes a world on an emptied database; both sides stay open."""
    with Database.open(home_settings) as first, Database.open(home_settings) as second:

        def make():
            with first.writing() as session:
                for table in ("web_sessions", "api_keys", "broker_sessions", "users"):
                    session.execute(text(f"DELETE FROM {table}"))
            return World([Side(first), Side(second)])

        yield make


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_operations_of_two_processes_at_once_keep_what_the_tables_promise(clean, batches):
    world = clean()
    for batch in batches:
        world.at_once(batch)
        world.check()
