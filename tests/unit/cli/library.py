"""The system of a new assistant, which listens as long as a test needs it."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread

from cli.new import TEMPLATE


@contextmanager
def library_system() -> Iterator[str]:
    """The address of a system in which nothing has been renewed yet."""
    spec = importlib.util.spec_from_file_location("library_system", TEMPLATE / "system.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = ThreadingHTTPServer(("127.0.0.1", 0), module.System)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
