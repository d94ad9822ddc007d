"""Instrument lists: how much of each could not be read, so that the next one can be compared."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instrument_lists", sa.Column("unreadable", sa.Double(), nullable=False, server_default="-1"))


def downgrade() -> None:
    op.drop_column("instrument_lists", "unreadable")
