"""A face or fingerprint reader that answers with the template it was told to see; it looks at nobody."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeReader:
    """The device. `template`: whom it sees, or empty. `forgotten`: templates it was told to delete."""

    def __init__(self, port: int = 0) -> None:
        self.template = ""
        self.forgotten: list[str] = []
        reader = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
                """Nothing: it would say who stood there."""

            def do_DELETE(self) -> None:
                asked = parse_qs(urlsplit(self.path).query).get("template", [])
                reader.forgotten += asked
                if reader.template in asked:
                    reader.template = ""
                self.send_response(204)
                self.end_headers()

            def do_GET(self) -> None:
                body = json.dumps({"template": reader.template}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
