"""What a process tells the one that started it, and how it ends with it."""

import ctypes
import gc
import os
import signal
import socket
import sys

#: What a process gets after its soft stop's time-out, in seconds, before it just ends.
COLD_SECONDS = 5.0

#: Objects of the youngest generation, then collections of it, then of the next one.
COLLECT_AFTER = (50_000, 20, 20)

_PR_SET_PDEATHSIG = 1


def collect_less() -> None:
    """Look for garbage in cycles seventy times less often than Python would by itself.

    What was loaded until now is left out for good: it stays, and children share its memory. A
    create makes thousands of short-lived objects and hardly a cycle; a tenth of the time of its
    steps went into looking for one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def die_with_parent(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send ``how`` to this process when the process ``parent`` is gone.

    A fork does not inherit this, so each process of a tree calls it. Linux only; elsewhere nothing
    is done.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os.kill(os.getpid(), how)


def notify_ready() -> None:
    """Say that this process serves, to systemd or to ``breezeblock up``.

    Both give the address of a datagram socket in ``NOTIFY_SOCKET``; without it nothing is sent.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address)
        sender.send(b"READY=1")
