"""The JSON client turns a peer's answers into PTCS errors."""

import httpx
import pytest

from common.errors import LinkLost, Refused, Unauthorised
from common.links.http import JsonClient


def _peer(request: httpx.Request) -> httpx.Response:
    match request.url.path:
        case "/api/v1/echo":
            seen = {"auth": request.headers.get("authorization", ""), "query": dict(request.url.params)}
            return httpx.Response(200, json=seen)
        case "/api/v1/refuse":
            return httpx.Response(409, json={"error": "plan is not approved; ask a physician"})
        case "/api/v1/who":
            return httpx.Response(401, json={"error": "token expired; log in again"})
        case "/api/v1/bare":
            return httpx.Response(404)
        case "/api/v1/odd":
            return httpx.Response(200, text="<html>")
        case "/api/v1/picture":
            return httpx.Response(200, content=b"\x89PNG")
        case "/api/v1/upload":
            return httpx.Response(200, json={"length": len(request.content)})
        case _:
            return httpx.Response(500, text="boom")


@pytest.fixture
def client():
    with JsonClient("http://peer/api/v1/", token="T", transport=httpx.MockTransport(_peer)) as it:
        yield it


@pytest.mark.requirement("SYS-LOOP")
def test_answers(client):
    assert client.get("/echo", modality="CT") == {"auth": "Bearer T", "query": {"modality": "CT"}}
    assert client.download("/picture") == b"\x89PNG"
    assert (
        client.post_files("/upload", {"summary": "{}"}, {"a": ("a.png", b"x" * 100, "image/png")})["length"]
        > 100
    )


@pytest.mark.requirement("SYS-LOOP")
def test_refusals_carry_the_peers_text(client):
    with pytest.raises(Refused, match="ask a physician") as refused:
        client.post("/refuse", {"x": 1})
    assert not isinstance(refused.value, Unauthorised)
    with pytest.raises(Unauthorised, match="log in again"):
        client.get("/who")
    with pytest.raises(Refused, match="404"):
        client.get("/bare")


@pytest.mark.requirement("SYS-LOOP")
def test_a_peer_that_fails_is_a_lost_link(client):
    with pytest.raises(LinkLost, match="no JSON"):
        client.get("/odd")
    with pytest.raises(LinkLost, match="500"):
        client.get("/other")
    with (
        JsonClient("http://127.0.0.1:9/api/v1", timeout_s=2) as nobody,
        pytest.raises(LinkLost, match="running"),
    ):
        nobody.get("/echo")
