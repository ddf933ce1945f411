"""The real application behind a real socket."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from werkzeug.serving import make_server

from api.app import create_app
from config.settings import load
from db import db


@contextmanager
def serving(environ: Mapping[str, str]) -> Iterator[str]:
    """Serve the API on the database that `environ` names, in whose context the block is.

    Gives the address.
    """
    app = create_app(load(environ=environ))
    with app.app_context():
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            db.engine.dispose()
