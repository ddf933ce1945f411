"""Who asks, and for which project."""

import os
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest
from flask import Flask

from api.app import create_app
from config.settings import SettingsError, load
from tests.api.conftest import PROJECT, Caller, basic, fault, volume


def test_without_authentication_everybody_is_admin(admin: Caller) -> None:
    volume_id = volume()
    shown = admin.get(f"/volumes/{volume_id}").json
    assert shown is not None
    assert "os-vol-host-attr:host" in shown["volume"]


def test_the_token_names_the_project_and_the_url_must_agree(app: Flask, admin: Caller) -> None:
    client = app.test_client()
    token = {"X-Auth-Token": f"alice:{PROJECT}"}
    assert client.get(f"/v3/{PROJECT}/volumes", headers=token).status_code == 200
    assert client.get("/v3/volumes", headers=token).status_code == 200
    message = fault(client.get("/v3/other/volumes", headers=token), 400, "badRequest")
    assert message == "Malformed request url"


def test_without_a_token_the_project_is_the_urls(app: Flask) -> None:
    mine, other = volume(), volume(project_id="other")
    client = app.test_client()
    ids = [v["id"] for v in client.get("/v3/other/volumes").get_json()["volumes"]]
    assert ids == [other]
    assert mine not in ids


def test_a_token_without_project_leaves_it_to_the_url(app: Flask) -> None:
    mine, other = volume(project_id="alice"), volume(project_id="other")
    client, token = app.test_client(), {"X-Auth-Token": "alice"}

    def listed(path: str) -> list[str]:
        return [v["id"] for v in client.get(path, headers=token).get_json()["volumes"]]

    assert listed("/v3/other/volumes") == [other]
    assert listed("/v3/volumes") == [mine]


@pytest.mark.parametrize("project", ["x" * 256, "a%07b"])
def test_a_project_that_no_column_holds_is_refused(app: Flask, project: str) -> None:
    fault(app.test_client().get(f"/v3/{project}/volumes"), 400, "badRequest")


def test_basic_wants_credentials(basic_app: Flask) -> None:
    response = basic_app.test_client().get(f"/v3/{PROJECT}/volumes")
    fault(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(
    ("user", "password"),
    [("ann", "wrong"), ("nobody", "ann-secret"), ("ann", ""), ("ann", "x" * 100), ("", "nobody")],
)
def test_basic_refuses_wrong_credentials(basic_app: Flask, user: str, password: str) -> None:
    fault(basic(basic_app, user, PROJECT, password).get("/volumes"), 401, "unauthorized")


def test_basic_keeps_a_member_to_its_project(basic_app: Flask) -> None:
    assert basic(basic_app, "ann", PROJECT).get("/volumes").status_code == 200
    fault(basic(basic_app, "ann", "other").get("/volumes"), 400, "badRequest")


def test_basic_lets_an_admin_into_every_project(basic_app: Flask) -> None:
    volume_id = volume()
    response = basic(basic_app, "root", PROJECT).get(f"/volumes/{volume_id}")
    assert response.status_code == 200


def test_unknown_routes_want_credentials_too(basic_app: Flask) -> None:
    fault(basic_app.test_client().get("/v3/demo/no-such-thing"), 401, "unauthorized")


def test_the_openapi_document_is_public(basic_app: Flask) -> None:
    document = basic_app.test_client().get("/docs/openapi.json").get_json()
    assert "/v3/{project_id}/volumes/{volume_id}" in document["paths"]


def test_a_changed_password_holds_at_once(basic_app: Flask, password_file: Path) -> None:
    caller = basic(basic_app, "ann", PROJECT)
    assert caller.get("/volumes").status_code == 200
    hashed = bcrypt.hashpw(b"changed", bcrypt.gensalt(4)).decode()
    password_file.write_text(f"ann:{hashed}:{PROJECT}:member\n")
    os.utime(password_file, ns=(1, 1))
    fault(caller.get("/volumes"), 401, "unauthorized")
    assert basic(basic_app, "ann", PROJECT, "changed").get("/volumes").status_code == 200


@pytest.mark.parametrize("line", ["ann", "ann:$2b$x:demo", "ann:secret:demo:member", ":$2b$x:p:r"])
def test_a_bad_password_file_is_named_at_start_and_not_shown(
    tmp_path: Path, environ: dict[str, str], line: str
) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"# comment\n{line}\n")
    environ["BREEZEBLOCK_API__AUTH"] = "http_basic"
    environ["BREEZEBLOCK_API__PASSWORD_FILE"] = str(file)
    with pytest.raises(SettingsError) as refusal:
        create_app(load(environ=environ))
    assert "line 2" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_nobody_loads_what_only_others_need() -> None:
    program = (
        "import sys, tasks.app\n"
        "assert 'oslo_policy' not in sys.modules, 'a worker'\n"
        "from api.app import create_app\n"
        "from config.settings import load\n"
        "create_app(load(environ={}))\n"
        "assert 'keystonemiddleware' not in sys.modules, 'an API without Keystone'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_roles_of_the_password_file_imply_others(basic_app: Flask) -> None:
    volume_id = volume()
    ann = basic(basic_app, "ann", PROJECT)
    assert ann.get(f"/volumes/{volume_id}").status_code == 200
    fault(ann.get("/os-services"), 403, "forbidden")
