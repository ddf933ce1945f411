"""Alembic's environment: online only, on the engine of the running Flask application."""

from alembic import context
from flask import current_app
from sqlalchemy import Connection

from db.models import Base


def run(connection: Connection) -> None:
    """Run the migrations on one connection. SQLite alters a table by making it anew (batch)."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def connections() -> None:
    """Use the connection that a test hands over, or one of the application's own."""
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        run(given)
        return
    engine = given or current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        run(connection)


connections()
