"""Flows as Celery tasks: one for every control step and one for every control compensation."""

from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery, Task

from tasks import dead_letters
from tasks.definition import Step
from tasks.engine import Engine
from tasks.message import Message, UnintelligibleError, understood
from tasks.parcel import pack_call
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


def control_task(
    app: Celery,
    name: str,
    in_context: InContext,
    work: Callable[[Task, Any], Any],
    /,
    *,
    throws: tuple[type[Exception], ...] = (),
    **kinds: type,
) -> None:
    """Make a Celery task of `work`, which gets the bound task and its one message.

    A message of another version, or without the keys `kinds` with values of these types, is kept
    as a dead letter, and its chain ends.
    """

    def body(task: Task, message: Any) -> Any:
        try:
            understood(message, **kinds)
        except UnintelligibleError as error:
            parcel = pack_call(task, [message], str(error))
            task.request.chain = None
            in_context(lambda: dead_letters.keep(parcel))
            return {"ended": "parked", "reason": parcel["reason"]}
        return in_context(lambda: work(task, message))

    body.__doc__ = work.__doc__
    # shared=False: otherwise Celery gives the task to every other app in the process as well
    app.task(body, name=name, bind=True, shared=False, throws=throws)


def _task(
    app: Celery,
    name: str,
    step: Step,
    run: Callable[[Task, Step, Message], Any],
    in_context: InContext,
) -> None:
    def work(task: Task, message: Message) -> Any:
        with structlog.contextvars.bound_contextvars(
            request_id=message.get("request_id"), flow=message.get("flow"), step=name
        ):
            return run(task, step, message)

    work.__doc__ = (step.do or step.undo or work).__doc__
    control_task(
        app, name, in_context, work, throws=(Refused,), flow=str, kind=str, epoch=int, ctx=dict
    )
