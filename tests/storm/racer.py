"""One scheduler of the claim race: runs the scheduling step of its share of the flows, and no more.

    python -m tests.storm.racer <number> <of how many>

Its settings come from the environment. It says "ready", waits for a line, then races; then it says
in JSON how many claims it was granted, and why flows were turned down.
"""

import json
import sys

from celery import Task
from sqlalchemy import select

from config.settings import load
from db import database_app
from db.models import Flow
from db.models.flow import RUNNING
from db.transactions import reading
from tasks import dispatch
from tasks.app import make_sender
from tasks.engine import Engine
from tasks.message import Message
from tasks.refusals import Refused


def main(number: int, count: int) -> None:
    """Race."""
    settings = load()
    engine = make_sender(settings)
    with database_app(settings).app_context():
        messages = _share(engine, number, count)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        granted, refused = 0, []
        step = engine.definitions["volume.create"].steps[4]
        assert step.name == "schedule"
        for message in messages:
            try:
                assert engine.forward(Task(), step, message)
                granted += 1
            except Refused as refusal:
                refused.append(str(refusal))
    sys.stdout.write(json.dumps({"granted": granted, "refused": refused}))


def _share(engine: Engine, number: int, count: int) -> list[Message]:
    with reading() as tx:
        flows = tx.scalars(select(Flow).where(Flow.state == RUNNING).order_by(Flow.id)).all()
        definition = engine.definitions["volume.create"]
        return [
            dispatch.current(tx, engine.settings, definition, flow).message
            for flow in flows[number::count]
        ]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
