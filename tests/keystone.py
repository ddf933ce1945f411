"""A real Keystone on SQLite, for tests: two processes on one database and one set of keys.

The second one gives tokens that expire at once.
"""

import base64
import os
import sys
from functools import partial
from pathlib import Path

import openstack
import requests
from openstack.connection import Connection

from tests.processes import Running, free_ports, wait_for

REGION = "here"
DOMAIN = "Default"
SERVICE_PASSWORD = "of-the-service"
SHORT_SECONDS = 1

CONFIGURATION = """
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/keys
[fernet_receipts]
key_repository = {folder}/keys
[credential]
key_repository = {folder}/keys
[cache]
enabled = false
[identity]
password_hash_rounds = 4
[token]
expiration = {expiration}
"""


class Keystone:
    """Runs in `folder`; its administrator is admin with the password `admin-secret`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Running] = []
        keys = folder / "keys"
        keys.mkdir(mode=0o700, parents=True)
        for name in ("0", "1"):
            (keys / name).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        port, short_port = free_ports(2)
        self.url = f"http://127.0.0.1:{port}/v3"
        self.short_url = f"http://127.0.0.1:{short_port}/v3"
        self._ports = {port: 3600, short_port: SHORT_SECONDS}

    def start(self) -> None:
        """Make the database, and serve."""
        for port, expiration in self._ports.items():
            text = CONFIGURATION.format(folder=self._folder, expiration=expiration)
            self._file(port).parent.mkdir()
            self._file(port).write_text(text)
            # Keystone takes what is on gunicorn's command line for its own
            self._file(port).with_name("gunicorn.conf.py").write_text(
                f"bind = '127.0.0.1:{port}'\nthreads = 4\n"
                "wsgi_app = 'keystone.wsgi.api:application'\n"
            )
        port = next(iter(self._ports))
        self._manage(port, "db_sync")
        self._manage(
            port,
            "bootstrap",
            "--bootstrap-password=admin-secret",
            f"--bootstrap-public-url={self.url}",
            f"--bootstrap-internal-url={self.url}",
            f"--bootstrap-region-id={REGION}",
        )
        for port in self._ports:
            self._run(f"server-{port}", port, "gunicorn")
        for url in (self.url, self.short_url):
            wait_for(partial(_answers, url), 120, f"Keystone at {url}")

    def stop(self) -> None:
        """End it."""
        for one in self._running:
            one.end()

    def connect(self, user: str, password: str, project: str | None, **auth: str) -> Connection:
        """openstacksdk as `user`; without a project with the scope that `auth` says."""
        scope = {"project_name": project, "project_domain_name": DOMAIN} if project else {}
        return openstack.connect(
            auth={
                "auth_url": self.url,
                "username": user,
                "password": password,
                "user_domain_name": DOMAIN,
                **scope,
                **auth,
            },
            region_name=REGION,
            load_yaml_config=False,
            load_envvars=False,
        )

    def _file(self, port: int) -> Path:
        return self._folder / str(port) / "keystone.conf"

    def _run(self, name: str, port: int, program: str, *arguments: str) -> Running:
        environ = {**os.environ, "OS_KEYSTONE_CONFIG_FILES": str(self._file(port))}
        argv = [str(Path(sys.executable).with_name(program)), *arguments]
        log = self._folder / f"{name}.log"
        running = Running(argv, log, environ, cwd=self._file(port).parent)
        self._running.append(running)
        return running

    def _manage(self, port: int, *arguments: str) -> None:
        configuration = f"--config-file={self._file(port)}"
        running = self._run("manage", port, "keystone-manage", configuration, *arguments)
        assert running.process.wait(60) == 0, running.log.read_text()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
