"""Broker sessions: when the broker has accepted the present one, so that one that was never tried can be told."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("broker_sessions", sa.Column("accepted", sa.Double(), nullable=True))
    # What is there has been in use: of these the time is not known, but that they were stored.
    op.execute("UPDATE broker_sessions SET accepted = updated WHERE credentials IS NOT NULL")


def downgrade() -> None:
    op.drop_column("broker_sessions", "accepted")
