"""First schema: users, API keys, broker sessions, instruments."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BINARY_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("last_used", sa.Double(), nullable=True),
        sa.Column("revoked", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_keys_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_id", name="uq_api_keys_key_id"),
        sa.UniqueConstraint("fingerprint", name="uq_api_keys_fingerprint"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.create_table(
        "broker_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("broker", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("credentials", sa.String(), nullable=True),
        sa.Column("login_values", sa.String(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("updated", sa.Double(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_broker_sessions_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_broker_sessions"),
        sa.UniqueConstraint("user_id", "broker", name="uq_broker_sessions_user_id_broker"),
    )
    op.create_table(
        "instruments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("broker", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("symbol", _BINARY_TEXT, nullable=False),
        sa.Column("exchange", _BINARY_TEXT, nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("brexchange", sa.String(), nullable=False),
        sa.Column("brsymbol", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("expiry", sa.String(), nullable=False),
        sa.Column("strike", sa.Double(), nullable=False),
        sa.Column("lotsize", sa.Integer(), nullable=False),
        sa.Column("instrumenttype", sa.String(), nullable=False),
        sa.Column("tick_size", sa.Double(), nullable=False),
        sa.Column("extra", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_instruments"),
    )
    op.create_index(
        "ix_instruments_broker_generation_exchange_symbol",
        "instruments",
        ["broker", "generation", "exchange", "symbol"],
    )
    op.create_index("ix_instruments_broker_generation_symbol", "instruments", ["broker", "generation", "symbol"])
    op.create_table(
        "instrument_lists",
        sa.Column("broker", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("allocated", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("ambiguous", sa.Integer(), nullable=False),
        sa.Column("updated", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("broker", name="pk_instrument_lists"),
    )


def downgrade() -> None:
    for table in ("instrument_lists", "instruments", "broker_sessions", "api_keys", "users"):
        op.drop_table(table)
