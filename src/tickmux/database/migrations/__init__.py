"""Schema migrations (alembic). `tickmux.database.engine` runs them; a change of `models` needs a new one here."""
