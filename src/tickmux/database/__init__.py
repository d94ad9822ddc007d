"""What outlives the process: users and their API keys, web and broker sessions, instrument lists.

`Database.open` gives the one object that all stores share; every method blocks, so that a server calls it
in a thread.
"""

from tickmux.database.api_keys import ApiKey, ApiKeyExists, ApiKeys, User
from tickmux.database.broker_sessions import BrokerSessions, SessionInfo, SessionUnreadable, StoredSession
from tickmux.database.engine import Database
from tickmux.database.instrument_acceptance import ListRefused
from tickmux.database.instrument_store import InstrumentStore, ListInfo
from tickmux.database.instrument_writer import EmptyList
from tickmux.database.trouble import DatabaseFailed
from tickmux.database.users import AlreadySetUp, UnknownUser, Users
from tickmux.database.web_sessions import WebSession, WebSessions

__all__ = [
    "AlreadySetUp",
    "ApiKey",
    "ApiKeyExists",
    "ApiKeys",
    "BrokerSessions",
    "Database",
    "DatabaseFailed",
    "EmptyList",
    "InstrumentStore",
    "ListInfo",
    "ListRefused",
    "SessionInfo",
    "SessionUnreadable",
    "StoredSession",
    "UnknownUser",
    "User",
    "Users",
    "WebSession",
    "WebSessions",
]
