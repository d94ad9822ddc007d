"""API keys: one hash an authentication, nothing but hashes stored, revocation at once."""

import re
import sqlite3
import threading
import time

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from tickmux.database import ApiKeyExists, ApiKeys, Database, DatabaseFailed
from tickmux.database.api_keys import MAX_KEY_LENGTH

PEPPER = "pepper" * 8


class CountedHasher:
    """The real hasher, counting its runs."""

    def __init__(self, hasher):
        self.hasher = hasher
        self.runs = 0
        self.hash = hasher.hash

    def verify(self, *arguments):
        self.runs += 1
        return self.hasher.verify(*arguments)


@pytest.fixture
def hasher(api_keys):
    api_keys._hasher = CountedHasher(api_keys._hasher)
    return api_keys._hasher


def test_a_new_key_has_the_documented_shape_and_belongs_to_its_user(api_keys):
    key = api_keys.create("trader", "charts")
    assert re.fullmatch(r"tmx_[0-9A-Za-z]{12}_[0-9A-Za-z]{32,}", key)
    assert api_keys.verify(key).name == "trader"
    (listed,) = api_keys.list()
    assert (listed.key_id, listed.user, listed.name, listed.revoked) == (key.split("_")[1], "trader", "charts", None)


def test_two_keys_of_one_user_have_one_owner(api_keys):
    first, second = api_keys.create("trader"), api_keys.create("trader")
    assert api_keys.verify(first) == api_keys.verify(second)
    assert api_keys.verify(api_keys.create("other")) != api_keys.verify(first)
    assert [key.user for key in api_keys.list("other")] == ["other"]


def test_nothing_stored_contains_a_key(api_keys, rows):
    made, imported = api_keys.create("trader"), "c0ffee" * 8
    api_keys.import_key(imported, "trader")
    dump = rows()
    assert made not in dump
    assert made.split("_")[2] not in dump
    assert imported not in dump
    assert "$argon2id$" in dump


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"), str.lower, lambda key: key + "x"]
)
def test_a_wrong_secret_is_refused(api_keys, change):
    assert api_keys.verify(change(api_keys.create("trader"))) is None


@pytest.mark.parametrize(
    "key", ["", "nonsense", "tmx_000000000000_" + "0" * 43, "x" * (MAX_KEY_LENGTH + 1), "\ud800", "\0"]
)
def test_unknown_keys_are_refused_for_one_hash_at_most(api_keys, hasher, key):
    api_keys.create("trader")
    assert api_keys.verify(key) is None
    assert hasher.runs <= 1


def test_an_unknown_key_takes_a_hash_as_a_wrong_one_does(api_keys, hasher):
    assert api_keys.verify("tmx_000000000000_" + "0" * 43) is None
    assert hasher.runs == 1


def test_one_authentication_costs_one_hash_however_many_keys_there_are(api_keys, hasher):
    keys = [api_keys.create(f"user{number}") for number in range(5)]
    assert api_keys.verify(keys[3]).name == "user3"
    assert hasher.runs == 1


def test_a_key_that_was_used_lately_costs_no_hash(api_keys, hasher, clock):
    key = api_keys.create("trader")
    for _ in range(3):
        assert api_keys.verify(key)
    assert hasher.runs == 1
    clock.now += 61
    assert api_keys.verify(key)
    assert hasher.runs == 2


def test_the_memory_of_verified_keys_is_bounded_and_forgets_the_eldest(api_keys, hasher, monkeypatch):
    monkeypatch.setattr("tickmux.database.api_keys._CACHE_SIZE", 2)
    keys = [api_keys.create("trader") for _ in range(3)]
    for key in keys:
        api_keys.verify(key)
    assert len(api_keys._cache) == 2
    assert hasher.runs == 3
    api_keys.verify(keys[2])
    assert hasher.runs == 3
    api_keys.verify(keys[0])
    assert hasher.runs == 4


def test_the_memory_of_verified_keys_holds_no_key(api_keys):
    key = api_keys.create("trader")
    api_keys.verify(key)
    assert key.encode() not in api_keys._cache
    assert key.split("_")[2] not in repr(api_keys._cache)


def test_a_revoked_key_is_refused_at_once_by_another_process_that_remembers_it(api_keys, home_settings):
    key = api_keys.create("trader")
    assert api_keys.verify(key)
    with Database.open(home_settings) as elsewhere:
        assert ApiKeys(elsewhere, PEPPER).revoke(key.split("_")[1])
    assert api_keys.verify(key) is None


@pytest.mark.parametrize("age", [0, 59, 60, 61])
def test_a_revoked_key_is_not_remembered(api_keys, clock, age):
    key = api_keys.create("trader")
    assert api_keys.verify(key)
    api_keys.revoke(key.split("_")[1])
    clock.now += age
    assert api_keys.verify(key) is None
    assert not api_keys._cache


def test_keys_that_have_ended_are_told_from_those_in_use(api_keys):
    used, revoked = (api_keys.create("trader").split("_")[1] for _ in range(2))
    api_keys.revoke(revoked)
    assert api_keys.ended({used, revoked, "nosuchkey"}) == {revoked, "nosuchkey"}
    assert api_keys.ended(set()) == set()
    assert len(api_keys.ended({used, *(f"k{number}" for number in range(1200))})) == 1200


def test_a_key_is_revoked_once(api_keys):
    key_id = api_keys.create("trader").split("_")[1]
    assert api_keys.revoke(key_id) is True
    assert api_keys.revoke(key_id) is False
    assert api_keys.revoke("nosuchkey") is False
    assert api_keys.list()[0].revoked is not None


def test_a_key_made_by_another_process_is_accepted_at_once(api_keys, home_settings):
    with Database.open(home_settings) as elsewhere:
        key = ApiKeys(elsewhere, PEPPER).create("trader")
    assert api_keys.verify(key).name == "trader"


def test_keys_of_another_shape_work_when_imported(api_keys, hasher):
    key = "f3a9" * 16
    key_id = api_keys.import_key(key, "trader", "from OpenAlgo")
    assert api_keys.verify(key).name == "trader"
    assert hasher.runs == 1
    assert api_keys.verify(key[:-1] + "0") is None
    assert api_keys.revoke(key_id)
    assert api_keys.verify(key) is None


def test_a_key_of_our_shape_keeps_its_id_when_imported(api_keys):
    key = "tmx_abcdefghijkl_" + "Z" * 43
    assert api_keys.import_key(key, "trader") == "abcdefghijkl"
    assert api_keys.verify(key).name == "trader"


@pytest.mark.parametrize("key", ["f3a9" * 16, "tmx_abcdefghijkl_" + "Z" * 43])
def test_a_key_is_imported_once(api_keys, key):
    api_keys.import_key(key, "trader")
    with pytest.raises(ApiKeyExists):
        api_keys.import_key(key, "other")
    assert [listed.user for listed in api_keys.list()] == ["trader"]


@pytest.mark.parametrize("key", ["", "short", " padded-key-padded ", "line\nbreak-in-it", "x" * (MAX_KEY_LENGTH + 1)])
def test_what_cannot_be_a_key_is_not_imported(api_keys, key):
    with pytest.raises(ValueError, match="an API key has"):
        api_keys.import_key(key, "trader")


def test_another_pepper_makes_all_keys_useless(api_keys, database):
    keys = [api_keys.create("trader"), "f3a9" * 16]
    api_keys.import_key(keys[1], "trader")
    others = ApiKeys(database, "another" * 8)
    assert [others.verify(key) for key in keys] == [None, None]


def test_use_is_written_down_later(api_keys, database):
    key = api_keys.create("trader")
    api_keys.verify(key)
    assert api_keys.list()[0].last_used is None
    database.late_writes.flush()
    assert api_keys.list()[0].last_used is not None


def test_use_is_written_down_at_the_latest_when_the_process_ends(api_keys, database, home_settings):
    api_keys.verify(api_keys.create("trader"))
    database.close()
    with Database.open(home_settings) as later:
        assert ApiKeys(later, PEPPER).list()[0].last_used is not None


def test_an_authentication_does_not_wait_for_somebody_who_writes(api_keys, home_settings):
    key = api_keys.create("trader")
    with Database.open(home_settings) as elsewhere, elsewhere.writing():
        began = time.monotonic()
        assert api_keys.verify(key).name == "trader"
        assert time.monotonic() - began < 10, "it has waited for the lock, which is held for as long as it takes"


def test_a_use_that_cannot_be_written_down_still_authenticates_and_is_kept(api_keys, database):
    key = api_keys.create("trader")
    full = True

    @event.listens_for(database.engine, "before_cursor_execute")
    def refuse(connection, cursor, statement, *_):
        if full and statement.startswith("UPDATE api_keys"):
            raise OperationalError(statement, {}, sqlite3.OperationalError("database or disk is full"))

    assert api_keys.verify(key).name == "trader"
    with pytest.raises(DatabaseFailed, match="disk is full"):
        database.late_writes.flush()
    full = False
    database.late_writes.flush()
    assert api_keys.list()[0].last_used is not None


def test_a_damaged_hash_is_a_refusal(api_keys, database):
    key = api_keys.create("trader")
    with database.writing() as session:
        session.execute(text("UPDATE api_keys SET key_hash = 'damaged'"))
    assert api_keys.verify(key) is None


def test_many_clients_with_one_key_at_once_cost_few_hashes(api_keys, hasher):
    key, found, barrier = api_keys.create("trader"), [], threading.Barrier(12)

    def client():
        barrier.wait()
        found.append(api_keys.verify(key).name)

    threads = [threading.Thread(target=client) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["trader"] * 12
    assert 1 <= hasher.runs <= 2  # as many as may run at a time
