"""`breezeblock audit` against real processes and files."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text

from cli.main import main
from config.settings import load
from tests.e2e.conftest import Site
from tests.processes import wait_for


def run(site: Site, *words: str) -> Result:
    environ = {"BREEZEBLOCK_URL": site.stack.url}
    return CliRunner(env=environ).invoke(main, ["audit", *words], prog_name="breezeblock")


def differences(site: Site, *words: str, status: int) -> dict[tuple[str, str], str | None]:
    """Kind and subject of what an audit finds, with what became of each."""
    result = run(site, "--json", *words)
    assert result.exit_code == status, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["audit"]["differences"]
    return {(one["kind"], one["subject"]): one["outcome"] for one in found}


@pytest.fixture
def load_on(site: Site) -> Iterator[list[str]]:
    """Clients that create and delete volumes to the end of the test; gives what they made."""
    stop, made = threading.Event(), list[str]()

    def client() -> None:
        project = f"load-{uuid.uuid4().hex[:8]}"
        while not stop.is_set():
            with suppress(requests.ConnectionError, AssertionError):
                volume = site.stack.create(project)
                site.stack.wait_for_status(volume, "available", project)
                made.append(volume)
                site.stack.call("DELETE", f"/volumes/{volume}", project=project)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    yield made
    stop.set()
    for one in clients:
        one.join()
    site.truth.settled()


def test_a_loaded_installation_has_no_difference(site: Site, load_on: list[str]) -> None:
    for number in range(6):
        wait_for(load_of(load_on, 3 * number + 1), doing="volumes made meanwhile")
        assert differences(site, status=0) == {}


def load_of(made: list[str], count: int) -> Callable[[], bool]:
    return lambda: len(made) >= count


def test_what_is_done_by_hand_is_found_and_mended(site: Site, project: str) -> None:
    volumes = [site.stack.create(project) for _ in range(2)]
    for volume in volumes:
        site.stack.wait_for_status(volume, "available", project)
    assert differences(site, status=0) == {}
    shown = site.stack.volume(volumes[0], project)
    assert shown is not None
    site.file_of(shown).unlink()
    extra = site.folder("node1") / f"volume-{uuid.uuid4()}"
    extra.write_bytes(b"")
    extra.chmod(0o600)
    url = load(environ={"BREEZEBLOCK_DATABASE__URL": site.stack.database}).database.url
    engine = create_engine(url)
    with engine.begin() as connection:
        sql = "UPDATE quota_usages SET in_use = 9 WHERE project_id = :p AND resource = 'volumes'"
        connection.execute(text(sql), {"p": project})
    engine.dispose()

    found = {
        ("missing_object", f"volume-{volumes[0]}"),
        ("orphan_object", extra.name),
        ("quota_in_use", "volumes"),
    }
    assert differences(site, status=1).keys() == found
    mended = differences(site, "--repair", "--yes", status=0)
    assert mended == dict.fromkeys(found, "mended")

    assert site.stack.status(volumes[0], project) == "error"
    for volume in volumes:
        site.stack.call("DELETE", f"/volumes/{volume}", project=project)
        site.stack.wait_for_status(volume, "gone", project)
    site.truth.settled()
    assert not extra.exists()
    assert differences(site, status=0) == {}


def test_a_node_that_is_down_is_named_and_the_rest_compared(site: Site) -> None:
    extra = site.folder("node1") / f"volume-{uuid.uuid4()}"
    extra.write_bytes(b"")
    try:
        with site.stack.paused("node2"):
            result = run(site, "--timeout", "1.5")
    finally:
        extra.unlink()
    assert result.exit_code == 2, result.output
    assert "node2@file was not compared" in result.output
    assert extra.name in result.output
