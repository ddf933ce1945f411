"""The database: one Flask-SQLAlchemy extension for the API and for the control-side workers."""

from pathlib import Path

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from config.settings import Settings
from db.engine import engine_options, install_rules
from db.models import Base

MIGRATIONS = Path(__file__).parent / "migrations"

db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})


def init_app(app: Flask, settings: Settings) -> None:
    """Bind `app` to the configured database; creates no table."""
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database.url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings)
    db.init_app(app)
    with app.app_context():
        install_rules(db.engine)


def database_app(settings: Settings) -> Flask:
    """A Flask application that carries the database and nothing else, for workers and commands."""
    app = Flask("breezeblock")
    init_app(app, settings)
    return app


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Bring the schema to `revision`; safe when it is there already."""
    from flask_migrate import upgrade as migrate_up

    with _migrating(settings).app_context():
        migrate_up(revision=revision)


def downgrade(settings: Settings, revision: str = "base") -> None:
    """Take the schema back to `revision`."""
    from flask_migrate import downgrade as migrate_down

    with _migrating(settings).app_context():
        migrate_down(revision=revision)


def _migrating(settings: Settings) -> Flask:
    """An application with Alembic, which no worker needs in its memory."""
    from flask_migrate import Migrate

    app = database_app(settings)
    Migrate(app, db, directory=str(MIGRATIONS))
    return app
