"""A small JSON client over HTTP: one base address, one bearer token, PTCS errors."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from common.errors import LinkLost, Refused, Unauthorised

Files = Mapping[str, tuple[str, bytes, str]]
"""Parts of a multipart request: field -> (file name, content, media type)."""


class JsonClient:
    """Calls one peer. Raises Refused (Unauthorised for 401 and 403) with the peer's own text on a 4xx
    answer, and LinkLost when the peer cannot be reached, fails (5xx) or does not answer JSON.
    """

    def __init__(
        self,
        base_url: str,
        token: str = "",
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        language: str = "",
    ) -> None:
        """`base_url` as http://HOST:PORT/api/v1; `transport` replaces the network (tests).

        `language`: in which the peer is asked to answer.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if language:
            headers["Accept-Language"] = language
        self.base_url = base_url.rstrip("/")
        # trust_env=False: a proxy of the surroundings must never see a call to a local system.
        self._client = httpx.Client(
            base_url=self.base_url, headers=headers, timeout=timeout_s, trust_env=False, transport=transport
        )

    def __enter__(self) -> Self:
        """The client itself; closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **query: str) -> Any:
        """The JSON answer to a GET."""
        return self._json(self._send("GET", path, params=query))

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON answer to a POST with a JSON body."""
        return self._json(self._send("POST", path, json={} if body is None else body))

    def post_files(self, path: str, fields: Mapping[str, str], files: Files) -> Any:
        """The JSON answer to a multipart POST."""
        return self._json(self._send("POST", path, data=dict(fields), files=dict(files)))

    def download(self, path: str) -> bytes:
        """The bytes that a GET answers with (a picture, a PDF)."""
        return self._send("GET", path).content

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **request)
        except httpx.HTTPError as why:
            raise LinkLost(f"{self.base_url} does not answer ({why}); is its process running?") from why
        if answer.is_success:
            return answer
        text = _reason(answer)
        if answer.status_code in (401, 403):
            raise Unauthorised(text)
        if answer.is_client_error:
            raise Refused(text)
        raise LinkLost(f"{method} {path} failed at {self.base_url} ({answer.status_code}): {text}")

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as why:
            raise LinkLost(f"{answer.request.url.path} of {self.base_url} answered no JSON") from why


def _reason(answer: httpx.Response) -> str:
    """The peer's {"error": TEXT}; its status phrase where the body holds none."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        return str(body["error"])
    return f"{answer.status_code} {answer.reason_phrase}"
