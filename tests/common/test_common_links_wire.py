"""The wire client against the real simulated-hardware server, in one process."""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from common.errors import LinkLost, Refused
from common.links.wire import Peer, WireClient, block_values
from common.wire.frame import Frame
from simulation.wire_server import Answer, Client, WireServer


class Echo:
    """A crate that answers `echo` with what it got, and counts heartbeats through `heard`."""

    name = "echo"

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.gone = threading.Event()

    def channels(self) -> list[dict[str, str]]:
        return [{"name": "a.current", "unit": "A"}, {"name": "a.voltage", "unit": "V"}]

    def handle(self, client: Client, frame: Frame) -> Answer:
        if frame.body["do"] == "echo":
            return {"text": frame.body["text"]}, frame.arrays
        raise Refused("echo speaks only: echo")

    def greeted(self, client: Client) -> None:
        self.seen.append(client.name)

    def left(self, client: Client) -> None:
        self.gone.set()


class Served:
    """A WireServer on its own loop and thread."""

    def __init__(self, port: int = 0) -> None:
        self.echo = Echo()
        self.server = WireServer(self.echo)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(port), self.loop).result(5)

    def call(self, function: Any, *args: Any) -> None:
        self.loop.call_soon_threadsafe(lambda: function(*args))

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(5)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


def wait_for(condition: Any, limit_s: float = 5.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "condition not met"
        time.sleep(0.005)


@pytest.mark.requirement("SYS-LOOP")
def test_request_reply_and_refusal(served: Served) -> None:
    client = WireClient(Peer("127.0.0.1", served.server.port, "tester", stale_s=None))
    try:
        client.wait_alive(5)
        reply = client.request({"do": "echo", "text": "hallo"}, {"v": np.arange(5.0)})
        assert reply.body["text"] == "hallo"
        np.testing.assert_array_equal(reply.arrays["v"], np.arange(5.0))
        with pytest.raises(Refused, match="echo speaks only"):
            client.request({"do": "dance"})
        with pytest.raises(Refused, match="without a verb"):
            client.request({"text": "?"})
        assert client.alive
        assert client.channels == ("a.current", "a.voltage")
        assert served.echo.seen == ["tester"]
    finally:
        client.close()


@pytest.mark.requirement("SYS-LOOP")
def test_blocks_events_and_reconnect(served: Served) -> None:
    blocks: list[Frame] = []
    events: list[Mapping[str, Any]] = []
    links: list[bool] = []
    peer = Peer("127.0.0.1", served.server.port, "tester", stale_s=None)
    client = WireClient(peer, blocks.append, lambda f: events.append(f.body), links.append)
    try:
        client.wait_alive(5)
        served.call(served.server.push_block, np.array([1.0, np.nan]), 7, 8)
        served.call(served.server.push_event, {"event": "trip", "input": "x"})
        wait_for(lambda: len(events) == 2 and blocks)
        np.testing.assert_array_equal(block_values(blocks[0]), [1.0, np.nan])
        assert (blocks[0].tick, blocks[0].wall_ns) == (7, 8)
        assert [e["event"] for e in events] == ["hello", "trip"]
        served.call(next(iter(served.server.clients)).writer.close)
        wait_for(lambda: links == [True, False, True])
        assert client.request({"do": "echo", "text": "again"}).body["text"] == "again"
    finally:
        client.close()


@pytest.mark.requirement("SYS-LOOP")
def test_watched_client_keeps_pulsing_and_its_end_is_seen(served: Served) -> None:
    healthy = threading.Event()
    healthy.set()
    peer = Peer("127.0.0.1", served.server.port, "session", True, 0.01, None, healthy.is_set)
    client = WireClient(peer)
    client.wait_alive(5)
    (link,) = served.server.clients
    assert link.watchdog and link.name == "session"
    first = link.heard
    wait_for(lambda: link.heard > first)
    healthy.clear()
    time.sleep(0.1)
    silent = link.heard
    time.sleep(0.1)
    assert link.heard == silent
    client.close()
    assert served.echo.gone.wait(5)
    with pytest.raises(LinkLost):
        client.request({"do": "echo", "text": ""})


def test_no_server_is_a_lost_link() -> None:
    client = WireClient(Peer("127.0.0.1", 1, "tester"))
    try:
        assert not client.alive
        with pytest.raises(LinkLost, match="no link to"):
            client.wait_alive(0.1)
    finally:
        client.close()
