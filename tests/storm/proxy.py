"""The proxy in front of several APIs: a connection goes to the next one that accepts it."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence

GIVE_UP_SECONDS = 10.0


@contextlib.contextmanager
def proxy(ports: Sequence[int]) -> Iterator[int]:
    """A TCP proxy on loopback before these ports; gives its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    turns = itertools.cycle(range(len(ports)))

    async def reach() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        until = loop.time() + GIVE_UP_SECONDS
        while True:
            turn = next(turns)
            for port in [*ports[turn:], *ports[:turn]]:
                with contextlib.suppress(ConnectionRefusedError):
                    return await asyncio.open_connection("127.0.0.1", port)
            if loop.time() > until:
                raise ConnectionRefusedError("no API accepts a connection")
            await asyncio.sleep(0.05)

    async def serve(down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            answer, up = await reach()
        except OSError:
            back.close()
            return
        await asyncio.gather(_pump(down, up), _pump(answer, back))

    async def begin() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0)

    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on what comes, and its end."""
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    with contextlib.suppress(OSError):
        target.close()
