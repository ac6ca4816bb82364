"""Whom the service asks for the keys of access tokens, and a token of a service that may use it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.tokens import TokenFactory

__all__ = ["login"]


@contextmanager
def login() -> Iterator[tuple[str, str]]:
    """The address of a server that publishes the keys, and an access token that they verify."""
    tokens = TokenFactory()
    document = json.dumps(tokens.jwks()).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        host, port = server.server_address[:2]
        yield f"{host!s}:{port}", tokens.issue("dialogue", roles=(), scopes=("intent:predict",))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
