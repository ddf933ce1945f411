"""``breezeblock up``: the whole service on this machine, in the foreground."""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from cli import broker, stack
from cli.context import settings_of
from cli.supervisor import Listener, Part, StackError, Supervisor
from config.settings import ApiSettings, Settings, mask_url


@click.command(short_help="Run the whole service here, in the foreground.")
@click.option(
    "--nodes",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Storage nodes (node1, node2, …), each with its own [backends].",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(stack.OPTIONAL),
    help="Leave a part out; may be given more than once.",
)
@click.pass_context
def up(context: click.Context, nodes: int, without: tuple[str, ...]) -> None:
    """Run broker, API, workers, storage nodes, beat and Flower until Ctrl-C.

    Everything is kept in the folder paths.data, and found again by the next start. In [backends],
    {data} stands for that folder and {node} for the node's name; without [backends] each node
    serves a folder by the driver "file".
    """
    settings = settings_of(context)
    config: Path | None = context.find_root().params.get("config")
    left_out = frozenset(without)
    try:
        with _sole_instance(settings.paths.data):
            check_ports(settings, left_out)
            logs = settings.paths.data / "log"
            logs.mkdir(exist_ok=True)
            parts = stack.parts(settings, config, nodes, left_out)
            Supervisor(parts, logs, Display(settings, logs, parts)).run()
    except StackError as error:
        raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def _sole_instance(data: Path) -> Iterator[None]:
    """Hold ``<data>/lock``; the kernel lets go of it however this process ends."""
    hint = "set BREEZEBLOCK_PATHS__DATA to another folder"
    lock = data / "lock"
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(
            f"cannot write to {data}: {error.strerror}; make it writable, or {hint}"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    except BlockingIOError as error:
        holder = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
        raise StackError(
            f"another breezeblock (process {holder}) runs on {data}; stop it, or {hint}"
        ) from error
    finally:
        os.close(file)


def check_ports(settings: Settings, without: frozenset[str] = frozenset()) -> None:
    """Raise StackError, which names the port and the setting, where one cannot be had."""
    wanted = []
    if settings.broker.embedded:
        host, port = broker.address(settings.broker.url)
        setting = f"broker.url = redis://{host}:<port>/0 and broker.embedded = true"
        wanted.append(("broker", host, port, setting))
    elif not broker.listens(settings.broker.url):
        raise StackError(
            f"the broker {mask_url(settings.broker.url)} does not answer; start it, or change "
            "broker.url"
        )
    for name, section in (("api", settings.api), ("flower", settings.flower)):
        if name not in without:
            setting = f"BREEZEBLOCK_{name.upper()}__PORT=<port>"
            wanted.append((name, section.host, section.port, setting))
    for name, host, port, setting in wanted:
        if reason := _cannot_bind(host, port):
            raise StackError(f"port {port} of {host} ({name}) {reason}, or set {setting}")


def _cannot_bind(host: str, port: int) -> str:
    """Why, and what to do; empty where the port is free."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # as the servers do: a port in TIME_WAIT is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "is in use: stop what listens there"
        return f"cannot be had ({error.strerror})"
    return ""


class Display(Listener):
    """One line for each thing that happens, with colours in a terminal and none elsewhere."""

    def __init__(self, settings: Settings, logs: Path, parts: list[Part]) -> None:
        self._settings = settings
        self._logs = logs
        self._console = Console(highlight=False, soft_wrap=True)
        self._names = {part.name for part in parts}
        self._width = max(len(part.name) for part in parts)
        self._say("[bold]Breezeblock[/]", f"keeps its data in {settings.paths.data}")

    def ready(self, part: Part, seconds: float) -> None:
        state = "[green]done [/]" if part.once else "[green]ready[/]"
        self._say(f"  {state}", f"{self._name(part)} {seconds:5.1f} s  {part.endpoint}")

    def all_ready(self, seconds: float) -> None:
        self._say("[bold green]Ready[/]", f"after {seconds:.1f} s; Ctrl-C stops it")
        for line in endpoints(self._settings, self._names):
            self._say("", line)

    def died(self, part: Part, reason: str, delay: float) -> None:
        log = self._logs / f"{part.name}.log"
        text = f"{self._name(part)} {reason}; starting it again in {delay:.1f} s ({log})"
        self._say("  [red]died [/]", text)

    def asked_to_stop(self, by: str) -> None:
        self._say("[bold]Stopping[/]", f"because of {by}")

    def stopping(self, names: list[str]) -> None:
        self._say("  stopping", ", ".join(names))

    def killed(self, part: Part, seconds: float) -> None:
        self._say("  [red]killed[/]", f"{part.name}: it had not stopped after {seconds:.0f} s")

    def stopped(self) -> None:
        self._say("[bold]Stopped[/]", "")

    def _name(self, part: Part) -> str:
        return part.name.ljust(self._width)

    def _say(self, markup: str, text: str) -> None:
        # a terminal that is gone must not keep the stack from being stopped in order
        with contextlib.suppress(OSError):
            self._console.print(f"{markup} {escape(text)}" if markup else escape(text))


def endpoints(settings: Settings, names: Collection[str]) -> list[str]:
    """Where the parts ``names`` are to be found, and three commands to try."""
    api, flower = settings.api, settings.flower
    lines = [f"  Logs               {settings.paths.data / 'log'}"]
    if "flower" in names:
        lines.insert(0, f"  Flower             http://{stack.authority(flower.host, flower.port)}")
    if "api" not in names:
        return lines
    root = f"http://{stack.authority(api.host, api.port)}"
    # The cinder command has no option for HTTP basic, but sends what the endpoint's URL holds.
    as_whom, project = (
        ("", "admin") if api.auth == "noauth" else ("<user>:<password>@", "<project>")
    )
    cinder = (
        f"{stack.tool('cinder')} --os-endpoint http://{as_whom}{root.removeprefix('http://')}/v3 "
        f"--os-auth-type noauth --os-project-id {project}"
    )
    # the operator's commands ask the API of this machine, at its default port, unless told
    where = "" if api.port == ApiSettings().port else f" --url {root}"
    return [
        f"  Block Storage API  {root}/v3",
        *lines,
        "Try, in another terminal (cinder is the command of python-cinderclient):",
        f"  {cinder} create 1 --name first",
        f"  {stack.tool('breezeblock')} status{where}",
        f"  {stack.tool('breezeblock')} flow list{where}",
    ]
