"""Unchanged public clients take snapshots, go back to them, and make volumes of them."""

import contextlib
import io
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

import openstack
import pytest
from cinderclient.shell import OpenStackCinderShell
from openstack.block_storage.v3._proxy import Proxy

from tests.processes import wait_for
from tests.stack import Stack

pytestmark = pytest.mark.slow

MIB = 1 << 20


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything as `up` runs it, with a node that keeps volumes as files."""
    folder = tmp_path_factory.mktemp("snapshots")
    backend = {"BACKENDS__FILE__DRIVER": "file", "BACKENDS__FILE__FOLDER": str(folder / "node1")}
    stack = Stack(folder, {"node1": backend})
    try:
        stack.start()
        stack.wait_until_up()
        yield stack
    finally:
        stack.close()


def shell(stack: Stack, *words: str) -> list[list[str]]:
    """Run the `cinder` command; returns the cells of the table that it prints."""
    said = io.StringIO()
    endpoint = ("--os-auth-type", "noauth", "--os-endpoint", f"{stack.url}/v3")
    who = ("--os-user-id", "tester", "--os-project-id", "shell")
    version = ("--os-volume-api-version", "3.66")
    with contextlib.redirect_stdout(said):
        OpenStackCinderShell().main([*endpoint, *who, *version, *words])
    lines = [line for line in said.getvalue().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def shown(stack: Stack, *words: str) -> dict[str, str]:
    return {row[0]: row[1] for row in shell(stack, *words)}


def file_of(stack: Stack, name: str) -> Path:
    (found,) = stack.folder.glob(f"node1/{name}")
    return found


def held(stack: Stack) -> set[str]:
    return {path.name for path in stack.folder.glob("node1/*")}


def write(stack: Stack, volume_id: str, data: bytes) -> None:
    with file_of(stack, f"volume-{volume_id}").open("r+b") as file:
        file.seek(MIB)
        file.write(data)


def read(stack: Stack, volume_id: str, length: int) -> bytes:
    with file_of(stack, f"volume-{volume_id}").open("rb") as file:
        file.seek(MIB)
        return file.read(length)


def test_the_cinder_command_takes_a_snapshot_and_goes_back_to_it(stack: Stack) -> None:
    shell(stack, "create", "1", "--name", "first", "--poll")
    volume_id = shown(stack, "show", "first")["id"]
    write(stack, volume_id, b"before")
    shell(stack, "snapshot-create", "first", "--name", "kept", "--metadata", "a=b")
    wait_for(lambda: shown(stack, "snapshot-show", "kept")["status"] == "available", 30, "kept")
    write(stack, volume_id, b"after.")

    kept = shown(stack, "snapshot-show", "kept")
    assert (kept["status"], kept["size"], kept["volume_id"]) == ("available", "1", volume_id)
    shell(stack, "snapshot-rename", "kept", "renamed", "--description", "x")
    shell(stack, "snapshot-metadata", "renamed", "set", "c=d")
    shell(stack, "snapshot-metadata", "renamed", "unset", "a")
    renamed = shown(stack, "snapshot-show", "renamed")
    assert (renamed["id"], renamed["description"]) == (kept["id"], "x")
    assert literal_eval(renamed["metadata"]) == {"c": "d"}
    rows = shell(stack, "snapshot-list", "--filters", f"volume_id={volume_id}")
    assert kept["id"] in [row[0] for row in rows]

    shell(stack, "create", "--snapshot-id", kept["id"], "--name", "copy", "--poll")
    shell(stack, "create", "2", "--source-volid", volume_id, "--name", "clone", "--poll")
    copy, clone = (shown(stack, "show", name) for name in ("copy", "clone"))
    assert (copy["snapshot_id"], clone["source_volid"]) == (kept["id"], volume_id)
    assert read(stack, copy["id"], 6) == b"before"
    assert read(stack, clone["id"], 6) == b"after."
    assert file_of(stack, f"volume-{clone['id']}").stat().st_size == 2 << 30

    shell(stack, "revert-to-snapshot", kept["id"])
    wait_for(lambda: shown(stack, "show", "first")["status"] == "available", 30, "the revert")
    assert read(stack, volume_id, 6) == b"before"

    shell(stack, "snapshot-reset-state", "renamed", "--state", "error")
    assert shown(stack, "snapshot-show", "renamed")["status"] == "error"
    shell(stack, "delete", "--cascade", "first", "copy", "clone")
    volumes = (f"volume-{one}" for one in (volume_id, copy["id"], clone["id"]))
    names = {*volumes, f"snapshot-{kept['id']}"}
    wait_for(lambda: held(stack).isdisjoint(names), 60, f"{names} gone")


def test_openstacksdk_takes_a_snapshot_through_its_life(stack: Stack) -> None:
    url = f"{stack.url}/v3/sdk"
    cloud = openstack.connect(auth_type="none", endpoint=url, block_storage_endpoint_override=url)
    storage: Proxy = cloud.block_storage
    volume = storage.create_volume(size=1, name="source")
    storage.wait_for_status(volume, "available")
    snapshot = storage.create_snapshot(volume_id=volume.id, name="one", is_forced=False)
    storage.wait_for_status(snapshot, "available")
    assert [one.id for one in storage.snapshots(name="one")] == [snapshot.id]
    storage.set_snapshot_metadata(snapshot, tier="gold")
    assert storage.get_snapshot_metadata(snapshot).metadata == {"tier": "gold"}
    assert storage.update_snapshot(snapshot, name="two").name == "two"
    copy = storage.create_volume(size=2, snapshot_id=snapshot.id)
    storage.wait_for_status(copy, "available")
    storage.revert_volume_to_snapshot(volume, snapshot)
    storage.wait_for_status(storage.get_volume(volume.id), "available")
    storage.delete_snapshot(snapshot)
    storage.wait_for_delete(snapshot)
    for one in (volume, copy):
        storage.delete_volume(one)
        storage.wait_for_delete(one)
