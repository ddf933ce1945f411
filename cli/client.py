"""What the operator's commands share: the connection to the API, its faults, and the output."""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import click
import requests
from rich.console import Console
from rich.table import Table
from rich.text import Text

DEFAULT_URL = "http://127.0.0.1:8776"
MICROVERSION = "volume 3.71"
TIMEOUT = (5.0, 60.0)
"""Seconds to connect and to wait for an answer."""
Command = Callable[..., None]
PIPE_WIDTH = 200
"""Columns of a table that is not shown in a terminal: wide enough that no identifier is cut."""

NEXT_STEPS = {
    401: (
        "give --user and --password, or BREEZEBLOCK_USER and BREEZEBLOCK_PASSWORD; "
        "with Keystone --token or BREEZEBLOCK_TOKEN"
    ),
    403: "this needs the role admin",
    503: "the service is starting or a worker is down: see `breezeblock status`",
}
"""What to do next, by the HTTP status of a refusal."""


class ApiUnreachable(click.ClickException):
    """The API cannot be reached."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"API not reachable at {url} ({reason}): is `breezeblock up` running? "
            "Another address is given with --url or BREEZEBLOCK_URL."
        )


class ApiFault(click.ClickException):
    """The API refused the request; the message is the API's own, with what to do next."""

    def __init__(self, status: int, message: str, request_id: str | None) -> None:
        hint = NEXT_STEPS.get(status)
        super().__init__(
            f"{message} (HTTP {status})"
            + (f"; {hint}" if hint else "")
            + (f" [{request_id}]" if request_id and status >= 500 else "")
        )
        self.status = status


@dataclass(frozen=True, slots=True)
class Client:
    """One connection to the API. Without a project the paths without one are used (3.67 on)."""

    url: str = DEFAULT_URL
    user: str | None = None
    password: str | None = None
    project: str | None = None
    token: str | None = None

    def get(self, *path: str, **query: str | int | None) -> dict[str, Any]:
        """GET the resource at `path`, its parts escaped; a query value of None is left out."""
        return self._request("GET", path, query=query)

    def post(self, *path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST `body` to the resource at `path`."""
        return self._request("POST", path, body=body)

    def delete(self, *path: str) -> dict[str, Any]:
        """DELETE the resource at `path`."""
        return self._request("DELETE", path)

    def _request(
        self,
        method: str,
        path: tuple[str, ...],
        query: dict[str, str | int | None] | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        parts = [self.url.rstrip("/"), "v3"]
        parts += [quote(part, safe="") for part in (self.project, *path) if part]
        headers = {"OpenStack-API-Version": MICROVERSION, "Accept": "application/json"}
        if self.token is not None:
            headers["X-Auth-Token"] = self.token
        elif self.password is None:
            headers["X-Auth-Token"] = f"{self.user or 'admin'}:{self.project or 'admin'}"
        try:
            response = requests.request(
                method,
                "/".join(parts),
                params={key: value for key, value in (query or {}).items() if value is not None},
                json=body,
                headers=headers,
                auth=None if self.password is None else (self.user or "", self.password),
                timeout=TIMEOUT,
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            reason = "no answer in time" if isinstance(error, requests.Timeout) else "no connection"
            raise ApiUnreachable(self.url, reason) from error
        except requests.RequestException as error:
            raise click.ClickException(f"--url {self.url}: {error}") from error
        return _answer(self.url, response)


def _answer(url: str, response: requests.Response) -> dict[str, Any]:
    try:
        document = response.json() if response.content else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise click.ClickException(
            f"{url} answered {response.status_code} without JSON: is it the Breezeblock API?"
        )
    if response.status_code >= 400:
        fault = next(iter(document.values()), None)
        message = fault.get("message") if isinstance(fault, dict) else None
        request_id = response.headers.get("x-openstack-request-id")
        raise ApiFault(response.status_code, plain(message or response.reason), request_id)
    return document


_OPTIONS: Sequence[Callable[[Command], Command]] = (
    click.option(
        "--url",
        default=DEFAULT_URL,
        envvar="BREEZEBLOCK_URL",
        show_default=True,
        show_envvar=True,
        help="Where the API listens.",
    ),
    click.option("--user", envvar="BREEZEBLOCK_USER", show_envvar=True, help="User name."),
    click.option(
        "--password", envvar="BREEZEBLOCK_PASSWORD", show_envvar=True, help="With http_basic."
    ),
    click.option("--token", envvar="BREEZEBLOCK_TOKEN", show_envvar=True, help="Keystone's."),
    click.option(
        "--project", envvar="BREEZEBLOCK_PROJECT", show_envvar=True, help="Project in the URL."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API gave it."),
)


def api_command(function: Command) -> Command:
    """Give a command the options of the connection and `--json`; it gets a Client and `as_json`."""

    @functools.wraps(function)
    def run(
        *,
        url: str,
        user: str | None,
        password: str | None,
        project: str | None,
        token: str | None,
        **rest: Any,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"{url!r}: must begin with http:// or https://")
        function(Client(url, user, password, project, token), **rest)

    decorated: Command = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def print_json(document: Any) -> None:
    """Print `document` as indented JSON."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def console() -> Console:
    """The console for tables: a terminal's own width, a fixed wide one in a pipe or a file."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def plain(words: object) -> str:
    """`words` without the control characters that a terminal would obey; line ends stay."""
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(words)
    )


def add_row(rows: Table, *cells: object) -> None:
    """Add a row; a cell that is no Text is shown as it is, never read as markup."""
    rows.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in cells))


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table whose cells are folded, never cut."""
    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
