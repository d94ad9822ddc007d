"""What outlives the process: users and their API keys, broker sessions, instrument lists.

`Database.open` gives the one object that the three stores share; every method blocks, so that a server calls it
in a thread.
"""

from tickmux.database.api_keys import ApiKey, ApiKeyExists, ApiKeys, User
from tickmux.database.broker_sessions import BrokerSessions, SessionInfo, SessionUnreadable, StoredSession
from tickmux.database.engine import Database, DatabaseFailed
from tickmux.database.instrument_store import EmptyList, InstrumentStore, ListInfo

__all__ = [
    "ApiKey",
    "ApiKeyExists",
    "ApiKeys",
    "BrokerSessions",
    "Database",
    "DatabaseFailed",
    "EmptyList",
    "InstrumentStore",
    "ListInfo",
    "SessionInfo",
    "SessionUnreadable",
    "StoredSession",
    "User",
]
