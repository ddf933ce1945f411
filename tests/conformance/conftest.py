"""The service as real processes, without authentication and with a real Keystone, for clients."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.keystone import REGION, SERVICE_PASSWORD, Keystone
from tests.processes import wait_for
from tests.stack import Stack

KEYSTONE_API = "api2"

USERS = {
    "cinder": ("service", "service", SERVICE_PASSWORD),
    "demo": ("demo", "member", "demo-secret"),
    "alt_demo": ("alt_demo", "member", "alt_demo-secret"),
}
"""Users as devstack makes them: project, role, password. `admin` is there from the beginning."""


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything as `up` runs it; both nodes keep volumes as files, which is all that they hold."""
    folder = tmp_path_factory.mktemp("conformance")
    nodes = {
        node: {"BACKENDS__FILE__DRIVER": "file", "BACKENDS__FILE__FOLDER": str(folder / node)}
        for node in ("node1", "node2")
    }
    stack = Stack(folder, nodes, settings={"API__ADMISSION_TIMEOUT": "30"})
    try:
        stack.start()
        stack.wait_until_up()
        yield stack
    finally:
        stack.close()


@dataclass(frozen=True, slots=True)
class Cloud:
    """A Keystone, and the service that is in its catalogue, beside Keystone itself, alone."""

    keystone: Keystone
    url: str


@pytest.fixture(scope="package")
def cloud(stack: Stack) -> Iterator[Cloud]:
    """A second API process of `stack`, for which Keystone answers."""
    keystone = Keystone(stack.folder / "keystone")
    url = stack.url_of(KEYSTONE_API)
    try:
        keystone.start()
        _populate(keystone, url)
        stack.start(
            KEYSTONE_API,
            API__AUTH="keystone",
            KEYSTONE__AUTH_URL=keystone.url,
            KEYSTONE__PASSWORD=SERVICE_PASSWORD,
            KEYSTONE__REGION=REGION,
        )
        wait_for(lambda: _refuses(f"{url}/v3/volumes"), 60, "the API with Keystone")
        yield Cloud(keystone, url)
    finally:
        keystone.stop()


def _populate(keystone: Keystone, url: str) -> None:
    """Make what devstack makes: projects, users, and the catalogue's entry without a project."""
    with keystone.connect("admin", "admin-secret", "admin") as admin:
        identity = admin.identity
        roles = {role.name: role for role in identity.roles()}
        for user, (project_name, role, password) in USERS.items():
            project = identity.create_project(name=project_name)
            made = identity.create_user(name=user, password=password)
            identity.assign_project_role_to_user(project, made, roles[role])
        service = identity.create_service(name="breezeblock", type="block-storage")
        identity.create_endpoint(
            service_id=service.id, interface="public", region_id=REGION, url=f"{url}/v3"
        )


def _refuses(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(url, timeout=5).status_code == 401
    return False
