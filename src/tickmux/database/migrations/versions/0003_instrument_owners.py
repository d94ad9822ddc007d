"""Instruments: an index that finds a token's owner, and the series of a share."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instruments", sa.Column("series", sa.String(), nullable=False, server_default=""))
    op.create_index("ix_instruments_broker_generation_token", "instruments", ["broker", "generation", "token"])


def downgrade() -> None:
    op.drop_index("ix_instruments_broker_generation_token", "instruments")
    op.drop_column("instruments", "series")
