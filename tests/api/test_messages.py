"""Messages about requests that were accepted and then failed."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from db.models import UserMessage, new_id, utcnow
from tests.api import rows
from tests.api.conftest import PROJECT, Caller, basic, fault


def message(minute: int = 0, **columns: Any) -> str:
    """A message of `minute` minutes ago; returns its id."""
    values = {
        "id": new_id(),
        "project_id": PROJECT,
        "request_id": "req-1",
        "resource_type": "VOLUME",
        "resource_uuid": new_id(),
        "event_id": "VOLUME_VOLUME_001_003",
        "action_id": "001",
        "detail_id": "003",
        "message_level": "ERROR",
        "user_message": "schedule allocate volume:Could not find any available weighted backend.",
        "created_at": utcnow() - timedelta(minutes=minute),
        "expires_at": utcnow() + timedelta(days=30),
    } | columns
    rows.add(UserMessage(**values))
    return str(values["id"])


def listed(caller: Caller, query: str = "") -> list[str]:
    response = caller.get(f"/messages{query}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    return [one["id"] for one in response.json["messages"]]


def test_a_message_is_shown_and_deleted(admin: Caller) -> None:
    message_id = message()
    shown = admin.get(f"/messages/{message_id}").json
    assert shown is not None
    assert shown["message"].keys() == {
        "id",
        "request_id",
        "event_id",
        "resource_type",
        "resource_uuid",
        "message_level",
        "user_message",
        "created_at",
        "guaranteed_until",
        "links",
    }
    assert shown["message"]["event_id"] == "VOLUME_VOLUME_001_003"
    assert admin.delete(f"/messages/{message_id}").status_code == 204
    fault(admin.get(f"/messages/{message_id}"), 404, "itemNotFound")
    fault(admin.delete(f"/messages/{message_id}"), 404, "itemNotFound")


def test_messages_are_filtered_and_come_in_pages(admin: Caller) -> None:
    volume_id = new_id()
    newest, middle, oldest = (message(n, resource_uuid=volume_id) for n in (1, 2, 3))
    other = message(4, event_id="VOLUME_VOLUME_SNAPSHOT_009_013", resource_type="VOLUME_SNAPSHOT")
    assert listed(admin) == [newest, middle, oldest, other]
    assert listed(admin, f"?resource_uuid={volume_id}&limit=2") == [newest, middle]
    assert listed(admin, f"?resource_uuid={volume_id}&marker={middle}") == [oldest]
    assert listed(admin, "?resource_type=VOLUME_SNAPSHOT") == [other]
    assert listed(admin, "?event_id=VOLUME_VOLUME_001_003&sort=created_at:asc")[0] == oldest
    assert listed(admin, "?message_level=INFO") == []
    fault(admin.get("/messages?colour=red"), 400, "badRequest")
    fault(admin.get("/messages?sort=colour"), 400, "badRequest")


def test_what_has_expired_is_gone(admin: Caller) -> None:
    message_id = message(expires_at=utcnow() - timedelta(seconds=1))
    assert listed(admin) == []
    fault(admin.get(f"/messages/{message_id}"), 404, "itemNotFound")


@pytest.mark.parametrize("path", ["/messages", f"/messages/{new_id()}"])
def test_there_are_none_before_3_3(admin: Caller, path: str) -> None:
    fault(admin.get(path, minor=2), 404, "itemNotFound")


def test_another_projects_messages_are_not_seen(basic_app: Flask) -> None:
    mine, other = message(1), message(2, project_id="other")
    ann, root = basic(basic_app, "ann", PROJECT), basic(basic_app, "root", "ops")
    assert listed(ann) == [mine]
    fault(ann.get(f"/messages/{other}"), 404, "itemNotFound")
    fault(ann.delete(f"/messages/{other}"), 404, "itemNotFound")
    assert listed(root) == [mine, other]
    assert listed(root, "?project_id=other") == [other]
    fault(ann.get("/messages?project_id=other"), 400, "badRequest")
