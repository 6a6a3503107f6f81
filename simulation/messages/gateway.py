"""A local gateway over HTTP: what it takes is recorded, each key once; faults can be set for the next calls.

POST /sms {to, text, id} with `Authorization: Bearer KEY`; GET /cgi-bin/token and POST
/cgi-bin/message/template/send as WeChat has them; GET /taken lists what was taken.
"""

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "simulated-gateway-key"
APP_ID = "simulated-app"
TOKEN = "simulated-token"  # noqa: S105 - of a gateway that sends nothing
MAX_BODY = 100_000


@dataclass(frozen=True)
class Taken:
    """One message as the gateway took it; `times`: how often the same key came."""

    channel: str
    key: str
    recipient: str
    text: str
    times: int = 1


class FakeGateway:
    """The server. `faults`: HTTP statuses that the next calls answer instead of taking a message."""

    def __init__(self, port: int = 0) -> None:
        self.faults: deque[int] = deque()
        self._taken: dict[str, Taken] = {}
        self._lock = threading.Lock()
        gateway = self

        class Handler(_Handler):
            owner = gateway

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def port(self) -> int:
        """Its port."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def taken(self) -> list[Taken]:
        """What was taken, in order."""
        with self._lock:
            return list(self._taken.values())

    def configuration(self) -> dict[str, Any]:
        """The content of a messages.yaml that leads here."""
        return {
            "format": 1,
            "sms": {
                "url": f"{self.url}/sms",
                "key": KEY,
                "body": {"to": "{recipient}", "text": "{content}", "id": "{id}"},
            },
            "wechat": {
                "url": self.url,
                "app_id": APP_ID,
                "key": KEY,
                "templates": {"default": {"id": "T1", "field": "thing1"}},
            },
        }

    def take(self, channel: str, key: str, recipient: str, text: str) -> None:
        """Record a message; a key that is known is counted, not recorded again."""
        with self._lock:
            before = self._taken.get(key)
            times = before.times + 1 if before else 1
            first = before or Taken(channel, key, recipient, text)
            self._taken[key] = Taken(first.channel, key, first.recipient, first.text, times)

    def fault(self) -> int | None:
        """The status that this call must answer with, if any."""
        with self._lock:
            return self.faults.popleft() if self.faults else None


class _Handler(BaseHTTPRequestHandler):
    owner: FakeGateway

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Nothing: lines would hold recipients."""

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/taken":
            self._say(200, {"taken": [asdict(one) for one in self.owner.taken()]})
        elif path == "/cgi-bin/token":
            right = query.get("appid") == [APP_ID] and query.get("secret") == [KEY]
            self._say(200, {"access_token": TOKEN, "expires_in": 7200} if right else {"errcode": 40125})
        else:
            self._say(404, {"error": "no such address"})

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", "0")), MAX_BODY)
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError:
            body = None
        fault = self.owner.fault()
        if fault is not None:
            self._say(fault, {"error": "a fault was set"})
        elif not isinstance(body, dict):
            self._say(400, {"error": "a JSON object is needed"})
        elif urlsplit(self.path).path == "/sms":
            self._sms(body)
        elif urlsplit(self.path).path == "/cgi-bin/message/template/send":
            self._template(body)
        else:
            self._say(404, {"error": "no such address"})

    def _sms(self, body: dict[str, Any]) -> None:
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self._say(401, {"error": "wrong key"})
        elif not all(isinstance(body.get(name), str) and body[name] for name in ("to", "text", "id")):
            self._say(400, {"error": "to, text and id are needed"})
        else:
            self.owner.take("sms", body["id"], body["to"], body["text"])
            self._say(200, {"taken": body["id"]})

    def _template(self, body: dict[str, Any]) -> None:
        token = parse_qs(urlsplit(self.path).query).get("access_token")
        if token != [TOKEN]:
            self._say(200, {"errcode": 40001})
            return
        text = " ".join(str(field["value"]) for field in body["data"].values())
        self.owner.take("wechat", body["client_msg_id"], body["touser"], text)
        self._say(200, {"errcode": 0, "msgid": len(self.owner.taken())})

    def _say(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
