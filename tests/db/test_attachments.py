"""What attachments make of a volume's status: a table."""

import pytest

from db.attachments import standing


@pytest.mark.parametrize(
    ("statuses", "status", "attach_status"),
    [
        ([], "available", "detached"),
        (["reserved"], "reserved", "reserved"),
        (["attaching"], "attaching", "attaching"),
        (["attached"], "in-use", "attached"),
        (["detaching"], "detaching", "detaching"),
        (["error_attaching"], "available", "detached"),
        (["error_detaching"], "in-use", "attached"),
        (["reserved", "detaching"], "detaching", "detaching"),
        (["detaching", "attaching"], "attaching", "attaching"),
        (["reserved", "attaching", "attached"], "in-use", "attached"),
        (["error_attaching", "reserved"], "reserved", "reserved"),
    ],
)
def test_a_volume_stands_as_its_attachments_do(
    statuses: list[str], status: str, attach_status: str
) -> None:
    assert standing(statuses) == standing(reversed(statuses)) == (status, attach_status)
