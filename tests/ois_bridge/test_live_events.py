"""Live events: right, order, what was missed, the end; many listeners are cheap."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import httpx
import psutil
import pytest
from sqlalchemy.orm import Session

from ois_bridge.services.events import KEPT, Event, Hub, announce, publish_announced
from tests.ois_bridge.conftest import Ois

pytestmark = pytest.mark.requirement("OIS-QUEUE")


def test_listeners_hear_what_is_published_until_the_end() -> None:
    hub = Hub()
    heard: list[Event | None] = []
    end = hub.listen(heard.append)
    hub.publish("queue", "ROOM1")
    with pytest.raises(ValueError, match="topic"):
        hub.publish("gossip")
    end()
    hub.publish("queue", "ROOM2")
    assert heard == [Event(1, "queue", "ROOM1")]
    hub.listen(heard.append)
    hub.close()
    hub.listen(heard.append)
    assert heard[1:] == [None, None]


def test_what_was_missed_is_told_again() -> None:
    hub = Hub()
    hub.publish("queue", "ROOM1")
    last = hub.identity(Event(1, "queue"))
    hub.publish("tasks")
    hub.publish("queue", "ROOM2")
    assert hub.since(last, {"queue"}) == [Event(3, "queue", "ROOM2")]
    assert hub.since("", {"queue"}) == []
    assert hub.since(hub.identity(Event(3, "queue")), {"queue"}) == []
    everything = [Event(3, "queue", "*")]
    assert hub.since("another-1", {"queue"}) == everything
    assert hub.since(f"{hub.epoch}-x", {"queue"}) == everything
    for _more in range(KEPT):
        hub.publish("queue")
    assert hub.since(last, {"queue"})[0].about == "*"


def test_announced_events_come_once_after_the_commit() -> None:
    hub, session = Hub(), Session()
    heard: list[Event | None] = []
    hub.listen(heard.append)
    announce(session, "queue", "ROOM1")
    announce(session, "queue", "ROOM1")
    assert heard == []
    publish_announced(session, hub)
    publish_announced(session, hub)
    assert heard == [Event(1, "queue", "ROOM1")]


def log_in(ois: Ois, user: str) -> httpx.Client:
    client = httpx.Client(base_url=ois.url, trust_env=False, timeout=60, headers={"Accept-Language": "en"})
    token = client.get("/login").text.split('name="csrf" value="')[1].split('"')[0]
    answer = client.post("/login", data={"user": user, "password": ois.password(user), "csrf": token})
    assert answer.status_code == 303, answer.text
    return client


@contextmanager
def listening(ois: Ois, cookie: str, topics: str = "queue", last: str = "") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", ois.endpoint["port"]), 60) as link:
        link.sendall(
            f"GET /live/{topics} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n"
            f"Last-Event-ID: {last}\r\n\r\n".encode()
        )
        head = b""
        while b"retry:" not in head and b"HTTP/1.1 2" in (head or b"HTTP/1.1 2"):
            head += link.recv(4096)
        yield link


def test_streams_are_for_those_who_may_and_end_with_the_process(ois: Ois) -> None:
    with httpx.Client(base_url=ois.url, trust_env=False) as nobody:
        assert nobody.get("/live/queue").status_code == 303
    with closing(log_in(ois, "admin")) as administrator:
        assert administrator.get("/live/queue").status_code == 403
        assert administrator.get("/live/gossip").status_code == 422


@pytest.mark.slow
def test_sixty_listeners_are_cheap_and_do_not_hold_up_the_stop(make_ois: object) -> None:
    ois: Ois = make_ois("live")  # type: ignore[operator]
    client = log_in(ois, "therapist")
    cookie = f"ptcs_session={client.cookies['ptcs_session']}"
    with ExitStack() as stack:
        links = [stack.enter_context(listening(ois, cookie, last="old-1")) for _one in range(60)]
        process = psutil.Process(ois.process.pid)
        threads = process.num_threads()
        assert threads < 60, "a listener takes no thread"
        assert ois.stop() == 0
        for link in links:
            link.settimeout(10)
            while link.recv(4096):
                pass
    client.close()
