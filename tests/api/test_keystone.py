"""Tokens of a real Keystone, and public clients that find the API in its catalogue."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import openstack
import pytest
import requests
from cinderclient.v3.client import Client
from click.testing import CliRunner, Result
from keystoneauth1 import loading
from keystoneauth1.session import Session
from openstack.connection import Connection

from api.app import create_app
from cli.main import main
from config.settings import load
from tests.api.conftest import volume
from tests.api.serving import serving
from tests.keystone import DOMAIN, REGION, SERVICE_PASSWORD, SHORT_SECONDS, Keystone
from tests.processes import free_ports

pytestmark = pytest.mark.slow

DEMO, OTHER, SERVICE = "demo", "other", "service"
USERS = {
    "ann": (DEMO, "member"),
    "rita": (DEMO, "reader"),
    "bob": (OTHER, "member"),
    "cinder": (SERVICE, "service"),
    "nova": (SERVICE, "service"),
}


@dataclass(frozen=True, slots=True)
class Site:
    """Keystone, the API in its catalogue, and a volume of each project."""

    keystone: Keystone
    url: str
    environ: dict[str, str]
    projects: dict[str, str]
    volumes: dict[str, str]
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    def login(self, user: str, **auth: str) -> Connection:
        project = USERS[user][0] if user in USERS else "admin"
        password = f"{user}-secret" if user != "cinder" else SERVICE_PASSWORD
        scoped = "system_scope" not in auth
        return self.keystone.connect(user, password, project if scoped else None, **auth)

    def token(self, user: str, **auth: str) -> str:
        key = (user, *sorted(auth.values()))
        if key not in self.tokens:
            self.tokens[key] = str(self.login(user, **auth).auth_token)
        return self.tokens[key]

    def get(self, path: str, token: str | None, **headers: str) -> requests.Response:
        sent = {} if token is None else {"X-Auth-Token": token}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        version = {"OpenStack-API-Version": "volume 3.71"}
        return requests.get(f"{self.url}/v3{path}", headers=sent | version, timeout=20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("keystone")
    shutil.copy(empty_database, folder / "breezeblock.db")
    keystone = Keystone(folder / "keystone")
    environ = {
        "BREEZEBLOCK_PATHS__DATA": str(folder),
        "BREEZEBLOCK_BROKER__URL": "memory://",
        "BREEZEBLOCK_API__AUTH": "keystone",
        "BREEZEBLOCK_KEYSTONE__AUTH_URL": keystone.url,
        "BREEZEBLOCK_KEYSTONE__PASSWORD": SERVICE_PASSWORD,
        "BREEZEBLOCK_KEYSTONE__REGION": REGION,
    }
    try:
        keystone.start()
        with serving(environ) as url:
            projects = _populate(keystone, url)
            volumes = {name: volume(project_id=project) for name, project in projects.items()}
            yield Site(keystone, url, environ, projects, volumes)
    finally:
        keystone.stop()


def _populate(keystone: Keystone, url: str) -> dict[str, str]:
    """Make projects and users, and enter the API into the catalogue; project ids by name."""
    identity = keystone.connect("admin", "admin-secret", "admin").identity
    roles = {role.name: role for role in identity.roles()}
    projects = {name: identity.create_project(name=name) for name in (DEMO, OTHER, SERVICE)}
    for user, (project, role) in USERS.items():
        password = SERVICE_PASSWORD if user == "cinder" else f"{user}-secret"
        made = identity.create_user(name=user, password=password)
        identity.assign_project_role_to_user(projects[project], made, roles[role])
    service = identity.create_service(name="breezeblock", type="block-storage")
    identity.create_endpoint(
        service_id=service.id, interface="public", region_id=REGION, url=f"{url}/v3"
    )
    return {name: str(project.id) for name, project in projects.items()}


def test_cinderclient_with_a_password(site: Site) -> None:
    auth = loading.get_plugin_loader("password").load_from_options(
        auth_url=site.keystone.url,
        username="ann",
        password="ann-secret",
        user_domain_name=DOMAIN,
        project_name=DEMO,
        project_domain_name=DOMAIN,
    )
    client = Client("3.71", session=Session(auth=auth), region_name=REGION)
    assert [one.id for one in client.volumes.list()] == [site.volumes[DEMO]]
    with pytest.raises(Exception, match="could not be found"):
        client.volumes.get(site.volumes[OTHER])


def test_openstacksdk_with_a_password(site: Site) -> None:
    storage = site.login("bob").block_storage
    assert [one.id for one in storage.volumes()] == [site.volumes[OTHER]]


def test_the_openstack_command_with_a_password(site: Site) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(site.environ["BREEZEBLOCK_PATHS__DATA"]),
        "OS_AUTH_URL": site.keystone.url,
        "OS_USERNAME": "ann",
        "OS_PASSWORD": "ann-secret",
        "OS_PROJECT_NAME": DEMO,
        "OS_USER_DOMAIN_NAME": DOMAIN,
        "OS_PROJECT_DOMAIN_NAME": DOMAIN,
        "OS_REGION_NAME": REGION,
        "OS_IDENTITY_API_VERSION": "3",
    }
    command = [str(Path(sys.executable).with_name("openstack")), "volume", "list", "-f", "json"]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [one["ID"] for one in json.loads(done.stdout)] == [site.volumes[DEMO]]


@pytest.mark.parametrize("token", [None, "", "made-up"])
def test_who_has_no_valid_token_is_sent_to_keystone(site: Site, token: str | None) -> None:
    forged = {"X_Identity_Status": "Confirmed", "X_User_Id": "root", "X_Roles": "admin"}
    response = site.get("/volumes", token, **forged)
    assert response.status_code == 401
    assert list(response.json()) == ["unauthorized"]
    assert response.headers["WWW-Authenticate"] == f'Keystone uri="{site.keystone.url}"'


def test_what_needs_no_token_needs_none(site: Site) -> None:
    assert site.get("/", None).status_code == 200


def test_roles_are_those_of_the_token(site: Site) -> None:
    response = site.get("/os-services", site.token("ann"), X_Roles="admin", X_Role="admin")
    assert response.status_code == 403


def test_a_reader_reads_only(site: Site) -> None:
    storage = site.login("rita").block_storage
    assert [one.id for one in storage.volumes()] == [site.volumes[DEMO]]
    with pytest.raises(openstack.exceptions.ForbiddenException, match="volume:update"):
        storage.update_volume(site.volumes[DEMO], name="hers")


def test_the_project_of_the_url_is_the_tokens(site: Site) -> None:
    token = site.token("ann")
    assert site.get(f"/{site.projects[DEMO]}/volumes", token).status_code == 200
    refused = site.get(f"/{site.projects[OTHER]}/volumes", token)
    assert (refused.status_code, refused.json()["badRequest"]["message"]) == (
        400,
        "Malformed request url",
    )


@pytest.mark.parametrize("scope", [{}, {"system_scope": "all"}])
def test_an_administrator_of_a_project_or_of_the_system_sees_all(
    site: Site, scope: dict[str, str]
) -> None:
    token = site.token("admin", **scope)
    listed = site.get("/volumes?all_tenants=1", token).json()["volumes"]
    assert {one["id"] for one in listed} == set(site.volumes.values())
    assert site.get("/os-services", token).status_code == 200


def test_a_token_of_the_system_acts_in_the_project_of_the_url(site: Site) -> None:
    token = site.token("admin", system_scope="all")
    listed = site.get(f"/{site.projects[OTHER]}/volumes", token).json()["volumes"]
    assert [one["id"] for one in listed] == [site.volumes[OTHER]]
    made = requests.post(
        f"{site.url}/v3/volumes",
        json={"volume": {"size": 1}},
        headers={"X-Auth-Token": token, "OpenStack-API-Version": "volume 3.71"},
        timeout=20,
    )
    assert made.status_code == 400
    assert "project" in made.json()["badRequest"]["message"]


def test_an_expired_token_counts_with_a_service_token_only(site: Site) -> None:
    nova, bob = site.token("nova"), site.token("bob")
    ann = site.token("ann", auth_url=site.keystone.short_url)
    time.sleep(SHORT_SECONDS + 0.5)
    assert site.get("/volumes", ann).status_code == 401
    assert site.get("/volumes", ann, X_Service_Token=bob).status_code == 401
    listed = site.get("/volumes", ann, X_Service_Token=nova)
    assert [one["id"] for one in listed.json()["volumes"]] == [site.volumes[DEMO]]


def test_the_operators_commands_take_a_token(site: Site) -> None:
    def run(token: str) -> Result:
        environ = {"BREEZEBLOCK_URL": site.url, "BREEZEBLOCK_TOKEN": token}
        return CliRunner().invoke(main, ["node", "list"], env=environ)

    assert run(site.token("admin")).exit_code == 0
    refused = run("made-up")
    assert refused.exit_code == 1
    assert "with Keystone --token" in refused.stderr


def test_the_service_may_have_an_application_credential(site: Site) -> None:
    login = site.login("cinder")
    made = login.identity.create_application_credential(login.current_user_id, "api")
    environ = site.environ | {
        "BREEZEBLOCK_KEYSTONE__PASSWORD": "",
        "BREEZEBLOCK_KEYSTONE__APPLICATION_CREDENTIAL_ID": made.id,
        "BREEZEBLOCK_KEYSTONE__APPLICATION_CREDENTIAL_SECRET": made.secret,
    }
    client = create_app(load(environ=environ)).test_client()
    answer = client.get("/v3/volumes", headers={"X-Auth-Token": site.token("ann")})
    assert answer.status_code == 200, answer.text


def test_without_keystone_nobody_is_refused_for_good(site: Site) -> None:
    (port,) = free_ports(1)
    environ = site.environ | {"BREEZEBLOCK_KEYSTONE__AUTH_URL": f"http://127.0.0.1:{port}/v3"}
    answer = (
        create_app(load(environ=environ))
        .test_client()
        .get("/v3/volumes", headers={"X-Auth-Token": "any"})
    )
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
