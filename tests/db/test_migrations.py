"""Migrations run forward and back on both databases, and make what the models say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from pytest_alembic.config import Config as PluginConfig
from pytest_alembic.runner import MigrationContext, runner
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import inspect, text

from config.settings import load
from db import MIGRATIONS, database_app, db, downgrade, upgrade
from tests.postgresql import Server

__all__ = [
    "test_model_definitions_match_ddl",
    "test_single_head_revision",
    "test_up_down_consistency",
    "test_upgrade",
]


@pytest.fixture(params=["sqlite", "postgresql"])
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of an empty database of each kind."""
    settings = {"BREEZEBLOCK_PATHS__DATA": str(tmp_path)}
    if request.param == "sqlite":
        yield settings
        return
    server: Server = request.getfixturevalue("postgresql_server")
    with server.database() as url:
        yield settings | {"BREEZEBLOCK_DATABASE__URL": url}


@pytest.fixture
def alembic_runner(environ: dict[str, str]) -> Iterator[MigrationContext]:
    """What the plugin's tests run on: the product's own migrations, as the product runs them."""
    app = database_app(load(environ=environ))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with app.app_context():
        with runner(PluginConfig(alembic_config=config), db.engine) as context:
            yield context
        db.engine.dispose()


def tables(environ: dict[str, str]) -> set[str]:
    """The tables that there are, but for Alembic's own."""
    with database_app(load(environ=environ)).app_context():
        found = set(inspect(db.engine).get_table_names())
        db.engine.dispose()
    return found - {"alembic_version"}


def test_back_to_nothing_and_forward_again(environ: dict[str, str]) -> None:
    settings = load(environ=environ)
    upgrade(settings)
    full = tables(environ)
    assert {"flows", "volumes", "quota_usages"} <= full
    upgrade(settings)
    downgrade(settings)
    assert tables(environ) == set()
    upgrade(settings)
    assert tables(environ) == full


def test_what_is_there_before_the_first_request(environ: dict[str, str]) -> None:
    """The clock and the type of volumes that name none."""
    settings = load(environ=environ)
    upgrade(settings)
    with database_app(settings).app_context():
        with db.engine.connect() as connection:
            ticks = connection.execute(text("SELECT tick FROM clock")).scalars().all()
            types = connection.execute(text("SELECT name FROM volume_types")).scalars().all()
        db.engine.dispose()
    assert ticks == [0]
    assert types == ["__DEFAULT__"]
