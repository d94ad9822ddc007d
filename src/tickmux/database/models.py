"""The tables. All times are epoch seconds; what is secret is hashed or encrypted before it comes here."""

from typing import ClassVar

from sqlalchemy import Double, ForeignKey, Index, MetaData, String, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BINARY_TEXT = String().with_variant(String(collation="C"), "postgresql")
"""Text that sorts by code points everywhere, so that a prefix is a range of an index."""


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[type, Double[float]]] = {float: Double()}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UserRow(Base):
    """Somebody who owns API keys and broker sessions; a password is for the web app only."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    created: Mapped[float]


class ApiKeyRow(Base):
    """One API key. `fingerprint` finds a key of another shape, which has no key id in it."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(unique=True)
    fingerprint: Mapped[str | None] = mapped_column(unique=True)
    key_hash: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    created: Mapped[float]
    last_used: Mapped[float | None]
    revoked: Mapped[float | None]


class WebSessionRow(Base):
    """One browser that is logged in. `token_hash` is of what its cookie holds; `seen` moves at most once an hour."""

    __tablename__ = "web_sessions"
    __table_args__ = {"sqlite_autoincrement": True}  # short-lived keys name a session by its number

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created: Mapped[float]
    seen: Mapped[float]


class BrokerSessionRow(Base):
    """One user's session with one broker.

    `accepted` is when the broker has accepted the present credentials; None: they were never tried.
    `version` grows with every change and is never used again, even after the session was deleted, which leaves
    the row without its secrets. Of one user's rows at most one is active.
    """

    __tablename__ = "broker_sessions"
    __table_args__ = (
        UniqueConstraint("user_id", "broker"),
        Index(None, "user_id", unique=True, sqlite_where=text("active"), postgresql_where=text("active")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    broker: Mapped[str]
    active: Mapped[bool]
    credentials: Mapped[str | None]
    login_values: Mapped[str | None]
    expires_at: Mapped[float | None]
    updated: Mapped[float]
    version: Mapped[int]
    accepted: Mapped[float | None]


class InstrumentRow(Base):
    """One instrument of one reading (`generation`) of a broker's list; fields as in `tickmux.instrument`."""

    __tablename__ = "instruments"
    __table_args__ = (
        Index(None, "broker", "generation", "exchange", "symbol"),
        Index(None, "broker", "generation", "symbol"),
        Index(None, "broker", "generation", "token"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    broker: Mapped[str]
    generation: Mapped[int]
    symbol: Mapped[str] = mapped_column(BINARY_TEXT)
    exchange: Mapped[str] = mapped_column(BINARY_TEXT)
    token: Mapped[str]
    brexchange: Mapped[str]
    brsymbol: Mapped[str]
    name: Mapped[str]
    expiry: Mapped[str]
    strike: Mapped[float]
    lotsize: Mapped[int]
    instrumenttype: Mapped[str]
    tick_size: Mapped[float]
    extra: Mapped[str]
    series: Mapped[str] = mapped_column(server_default="")


class InstrumentListRow(Base):
    """Which generation of a broker's instruments is the one in use; 0: none yet.

    `allocated` is the highest generation ever begun. `ambiguous` counts the instruments that were left out
    because two of them had the same name; `unreadable` is the share of the list's rows that could not be read,
    negative where that is unknown.
    """

    __tablename__ = "instrument_lists"

    broker: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]
    allocated: Mapped[int]
    count: Mapped[int]
    ambiguous: Mapped[int]
    updated: Mapped[float]
    unreadable: Mapped[float] = mapped_column(server_default="-1")
