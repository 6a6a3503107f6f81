"""A simulated charging service of a hospital: answers by a table of patients, over HTTP on the loopback."""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlparse


class ChargingService:
    """Serves for the time of a `with` block. `answers`: patient ID -> (state, detail)."""

    def __init__(self, answers: Mapping[str, tuple[str, str]], port: int = 0) -> None:
        """Port 0: any free one."""
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(answers))
        self._thread = threading.Thread(target=self._server.serve_forever, name="charging", daemon=True)

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def port(self) -> int:
        """Its port."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)


def _handler(answers: Mapping[str, tuple[str, str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """GET /charging?patient_id=&course= -> {state, detail}; 404 for an unknown patient."""

        def do_GET(self) -> None:
            """Answer."""
            asked = urlparse(self.path)
            patient_id = parse_qs(asked.query).get("patient_id", [""])[0]
            found = answers.get(patient_id) if asked.path == "/charging" else None
            status = 200 if found else 404
            said = {"state": found[0], "detail": found[1]} if found else {"error": "unknown patient"}
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Nothing: addresses hold patient IDs."""

    return Handler
