"""Of one user's broker sessions one is active at most: the database itself sees to it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_WHERE = sa.text("active")


def upgrade() -> None:
    # Older versions could leave several on PostgreSQL: the one that was stored last stays.
    op.execute(
        sa.text(
            "UPDATE broker_sessions SET active = false WHERE active AND EXISTS ("
            "SELECT 1 FROM broker_sessions other WHERE other.user_id = broker_sessions.user_id AND other.active "
            "AND (other.updated > broker_sessions.updated "
            "OR (other.updated = broker_sessions.updated AND other.id > broker_sessions.id)))"
        )
    )
    op.create_index(
        "ix_broker_sessions_user_id",
        "broker_sessions",
        ["user_id"],
        unique=True,
        sqlite_where=_WHERE,
        postgresql_where=_WHERE,
    )


def downgrade() -> None:
    op.drop_index("ix_broker_sessions_user_id", "broker_sessions")
