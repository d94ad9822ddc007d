"""What alembic runs around the migrations: they share the transaction that `tickmux.database.engine` has begun."""

from alembic import context
from sqlalchemy import Connection

from tickmux.database.models import Base

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, transactional_ddl=False)
context.run_migrations()
