"""Flows as Celery tasks: one for every control step and one for every control compensation."""

from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery, Task

from tasks.definition import Step
from tasks.engine import Engine
from tasks.message import Message
from tasks.refusals import Refused

InContext = Callable[[Callable[[], Any]], Any]
"""Runs something where the database can be used."""


def register(app: Celery, engine: Engine, in_context: InContext) -> None:
    """Make a Celery task of every control step and every control compensation."""
    for definition in engine.definitions.values():
        for step in definition.steps:
            if step.do is not None:
                _task(app, step.task, step, engine.forward, in_context)
            if step.undo is not None:
                _task(app, step.undo_task, step, engine.backward, in_context)


def _task(
    app: Celery,
    name: str,
    step: Step,
    run: Callable[[Task, Step, Message], Any],
    in_context: InContext,
) -> None:
    def body(task: Task, message: Message) -> Any:
        with structlog.contextvars.bound_contextvars(
            request_id=message.get("request_id"), flow=message.get("flow"), step=name
        ):
            return in_context(lambda: run(task, step, message))

    body.__doc__ = (step.do or step.undo or body).__doc__
    # shared=False: otherwise Celery gives the task to every other app in the process as well
    app.task(body, name=name, bind=True, shared=False, throws=(Refused,))
