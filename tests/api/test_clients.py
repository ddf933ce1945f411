"""Unchanged public clients against the running service: volumes from create to delete."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import openstack
import pytest
import requests
from cinderclient.contrib import noauth
from cinderclient.exceptions import BadRequest, NotFound, OverLimit
from cinderclient.shell import OpenStackCinderShell
from cinderclient.v3.client import Client
from keystoneauth1.http_basic import HTTPBasicAuth
from keystoneauth1.session import Session
from openstack import exceptions
from openstack.block_storage.v3._proxy import Proxy

from tests.processes import free_ports, wait_for
from tests.stack import Stack

pytestmark = pytest.mark.slow

BASIC_API = "api2"
USERS = {"root": ("ops", "admin"), "ann": ("ann-project", "member"), "bob": ("other", "member")}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything as `up` runs it, with two nodes that keep volumes as files."""
    folder = tmp_path_factory.mktemp("clients")
    nodes = {
        node: {"BACKENDS__FILE__DRIVER": "file", "BACKENDS__FILE__FOLDER": str(folder / node)}
        for node in ("node1", "node2")
    }
    stack = Stack(folder, nodes)
    try:
        stack.start()
        stack.wait_until_up()
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def basic_url(stack: Stack) -> str:
    """A second API process on the same service, with HTTP basic authentication."""
    passwords = stack.folder / "passwords"
    passwords.write_text(
        "".join(
            f"{user}:{bcrypt.hashpw(user.encode(), bcrypt.gensalt(4)).decode()}:{project}:{role}\n"
            for user, (project, role) in USERS.items()
        )
    )
    (port,) = free_ports(1)
    stack.start(
        BASIC_API,
        API__PORT=str(port),
        API__AUTH="http_basic",
        API__PASSWORD_FILE=str(passwords),
    )
    url = f"http://127.0.0.1:{port}"

    def serves() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{url}/v3/p/volumes", timeout=5).status_code == 401
        return False

    wait_for(serves, 30, "the API with authentication")
    return url


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """One of its own for each test, named for it."""
    return str(request.node.name.replace("[", "-").replace("]", ""))


def shell(stack: Stack, project: str, *words: str) -> list[list[str]]:
    """Run the `cinder` command; returns the cells of the table that it prints."""
    said = io.StringIO()
    options = ("--os-auth-type", "noauth", "--os-endpoint", f"{stack.url}/v3")
    names = ("--os-user-id", "tester", "--os-project-id", project)
    with contextlib.redirect_stdout(said):
        OpenStackCinderShell().main([*options, *names, *words])
    lines = [line for line in said.getvalue().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def shown(stack: Stack, project: str, name: str) -> dict[str, str]:
    return {row[0]: row[1] for row in shell(stack, project, "show", name)}


def files(stack: Stack, volume_id: str) -> list[Path]:
    """Where on the nodes the volume is."""
    return list(stack.folder.glob(f"node[12]/volume-{volume_id}*"))


def test_the_cinder_command_takes_a_volume_through_its_life(stack: Stack, project: str) -> None:
    shell(stack, project, "create", "1", "--name", "first", "--metadata", "a=b", "--poll")
    first = shown(stack, project, "first")
    assert (first["status"], first["size"], first["volume_type"]) == (
        "available",
        "1",
        "__DEFAULT__",
    )
    (file,) = files(stack, first["id"])
    assert file.stat().st_size == 1 << 30
    assert first["os-vol-host-attr:host"].startswith(f"{file.parent.name}@file#")

    shell(stack, project, "rename", "first", "second", "--description", "renamed")
    shell(stack, project, "metadata", "second", "set", "x=y", "z=w")
    shell(stack, project, "metadata", "second", "unset", "a", "z")
    second = shown(stack, project, "second")
    assert (second["id"], second["description"]) == (first["id"], "renamed")
    assert second["metadata"] == "x : y"

    shell(stack, project, "extend", "second", "2")
    wait_for(lambda: file.stat().st_size == 2 << 30, doing="the file to grow")
    stack.wait_for_status(first["id"], "available", project)
    assert [row[1:4] for row in shell(stack, project, "list")[1:]] == [["available", "second", "2"]]
    usage = {row[0]: row[1] for row in shell(stack, project, "quota-usage", project)}
    assert (usage["volumes"], usage["gigabytes"]) == ("1", "2")

    shell(stack, project, "delete", "second")
    stack.wait_for_status(first["id"], "gone", project)
    assert files(stack, first["id"]) == []
    assert len(shell(stack, project, "list")) <= 1


def test_the_cinder_command_says_why_it_was_refused(stack: Stack, project: str) -> None:
    shell(stack, project, "quota-update", "--gigabytes", "2", project)
    shell(stack, project, "create", "2", "--name", "full", "--poll")
    with pytest.raises(OverLimit, match=r"Requested 1G, quota is 2G and 2G has been consumed"):
        shell(stack, project, "create", "1")
    with pytest.raises(BadRequest, match="size"):
        shell(stack, project, "create", "0")
    with pytest.raises(BadRequest, match="current: 2"):
        shell(stack, project, "extend", "full", "1")
    shell(stack, project, "reset-state", "--state", "in-use", "full")
    with pytest.raises(Exception, match="Unable to delete"):
        shell(stack, project, "delete", "full")
    volume_id = shown(stack, project, "full")["id"]
    shell(stack, project, "force-delete", "full")
    stack.wait_for_status(volume_id, "gone", project)


def test_a_type_that_no_pool_satisfies_ends_in_error(stack: Stack, project: str) -> None:
    shell(stack, project, "type-create", "impossible")
    shell(stack, project, "type-key", "impossible", "set", "media=unobtainium")
    shell(stack, project, "create", "1", "--name", "wish", "--volume-type", "impossible")
    volume_id = shown(stack, project, "wish")["id"]
    stack.wait_for_status(volume_id, "error", project)
    shell(stack, project, "delete", "wish")
    stack.wait_for_status(volume_id, "gone", project)
    shell(stack, project, "type-delete", "impossible")


def test_cinderclient_lists_page_by_page(stack: Stack, project: str) -> None:
    plugin = noauth.CinderNoAuthPlugin("tester", project, endpoint=f"{stack.url}/v3")
    cinder = Client(session=Session(auth=plugin), api_version=None)
    made = [cinder.volumes.create(1, name=name, metadata={"n": name}) for name in "abc"]
    for volume in made:
        stack.wait_for_status(volume.id, "available", project)
    first = cinder.volumes.list(limit=2, sort="name:asc")
    rest = cinder.volumes.list(marker=first[-1].id, sort="name:asc")
    assert [volume.name for volume in (*first, *rest)] == ["a", "b", "c"]
    (found,) = cinder.volumes.list(search_opts={"metadata": {"n": "b"}})
    assert found.id == made[1].id
    assert cinder.volumes.find(name="c").id == made[2].id
    assert cinder.volumes.get(made[0].id).links[0]["href"].startswith(stack.url)
    for volume in made:
        cinder.volumes.delete(volume)
        stack.wait_for_status(volume.id, "gone", project)
    with pytest.raises(NotFound):
        cinder.volumes.get(made[0].id)


@contextlib.contextmanager
def connected(url: str, **auth: str) -> Iterator[Proxy]:
    with openstack.connect(
        endpoint=url, block_storage_endpoint_override=url, block_storage_api_version="3", **auth
    ) as connection:
        yield connection.block_storage


def test_openstacksdk_takes_a_volume_through_its_life(stack: Stack, project: str) -> None:
    with connected(f"{stack.url}/v3/{project}", auth_type="none") as storage:
        made = storage.create_volume(size=1, name="sdk", description="d", metadata={"a": "b"})
        made = storage.wait_for_status(made, "available", interval=0.2, wait=30)
        assert (made.size, made.volume_type, made.is_bootable) == (1, "__DEFAULT__", False)
        assert [volume.id for volume in storage.volumes(details=True)] == [made.id]
        assert list(storage.volumes(status="error")) == []
        assert storage.find_volume("sdk").id == made.id
        assert storage.update_volume(made, name="renamed").name == "renamed"
        storage.set_volume_metadata(made, x="y")
        storage.delete_volume_metadata(made.id, ["a"])
        assert storage.get_volume(made.id).metadata == {"x": "y"}
        storage.extend_volume(made, 2)
        wait_for(lambda: storage.get_volume(made.id).size == 2, doing="the volume to grow")
        storage.set_volume_bootable_status(made, True)
        storage.reset_volume_status(made, "error", None, None)
        assert storage.get_volume(made.id).status == "error"
        storage.delete_volume(made)
        storage.wait_for_delete(made, interval=0.2, wait=30)
        with pytest.raises(exceptions.NotFoundException):
            storage.get_volume(made.id)
        assert storage.find_volume("renamed") is None


def test_each_client_with_http_basic(stack: Stack, basic_url: str) -> None:
    def as_user(user: str) -> dict[str, str]:
        return {"auth_type": "http_basic", "username": user, "password": user}

    with connected(f"{basic_url}/v3", **as_user("ann")) as ann:
        made = ann.create_volume(size=1, name="hers")
        made = ann.wait_for_status(made, "available", interval=0.2, wait=30)
        assert (made.user_id, made.project_id, made.host) == ("ann", "ann-project", None)
    with connected(f"{basic_url}/v3", **as_user("bob")) as bob:
        assert list(bob.volumes(all_projects=True)) == []
        with pytest.raises(exceptions.NotFoundException):
            bob.get_volume(made.id)
    auth = HTTPBasicAuth(endpoint=f"{basic_url}/v3", username="root", password="root")
    root = Client(session=Session(auth=auth), api_version=None)
    (found,) = root.volumes.list(search_opts={"all_tenants": 1, "project_id": "ann-project"})
    assert found.id == made.id
    root.volumes.delete(made.id)
    stack.wait_for_status(made.id, "gone", "ann-project")
    wrong = {**as_user("ann"), "password": "guess"}
    with connected(f"{basic_url}/v3", **wrong) as nobody:
        with pytest.raises(exceptions.HttpException) as refusal:
            list(nobody.volumes())
        assert refusal.value.status_code == 401
