"""The server side of the frames in `common/wire/frame.py`, for simulated hardware. One asyncio loop."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from common.errors import BadInput, PtcsError, Refused
from common.wire.frame import Decoder, Frame, Kind, encode
from simulation.doors import admitted

log = logging.getLogger(__name__)

BLOCK_HZ = 20.0
SLOW_READER_BYTES = 1 << 19
"""A client with this much unread gets no more blocks (they are snapshots; the next one will do)."""
DEAD_READER_BYTES = 1 << 25
"""A client with this much unread is disconnected."""

LARGEST = 1e15
"""No number of the contract is larger."""

Answer = tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]


@dataclass(eq=False)
class Client:
    """One connected client. `heard`: monotonic time of its last frame, s."""

    writer: asyncio.StreamWriter
    name: str = ""
    watchdog: bool = False
    heard: float = field(default_factory=time.monotonic)
    block_period: float = 1.0 / BLOCK_HZ
    block_due: float = 0.0

    @property
    def unread(self) -> int:
        """Bytes that wait for this client to read."""
        return self.writer.transport.get_write_buffer_size()


class Crate(Protocol):
    """What a server serves."""

    name: str

    def channels(self) -> list[dict[str, str]]:
        """`{"name", "unit"}` of each value of a block, in order."""

    def handle(self, client: Client, frame: Frame) -> Answer:
        """Do one request; body and arrays of the answer. Raises PtcsError with the reason of a refusal."""

    def greeted(self, client: Client) -> None:
        """A client has named itself."""

    def left(self, client: Client) -> None:
        """A client's link has closed."""


class WireServer:
    """Accepts clients of the same user on 127.0.0.1, answers their requests and pushes blocks and events."""

    def __init__(self, crate: Crate) -> None:
        self.crate = crate
        self.clients: set[Client] = set()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        """Listen. `port` 0 takes any free one, which `port` then names. Raises OSError when taken."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every link and stop listening."""
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            client.writer.close()
        await asyncio.sleep(0)

    def push_event(
        self, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None, tick: int = 0
    ) -> None:
        """Send an EVENT to every client."""
        self._push(list(self.clients), Frame(Kind.EVENT, 0, body, arrays or {}, tick, time.time_ns()))

    def push_block(self, values: NDArray[Any], tick: int, wall_ns: int) -> None:
        """Send a snapshot to every client whose turn it is and who keeps up with reading."""
        now = time.monotonic()
        due = [c for c in self.clients if c.block_due <= now and c.unread < SLOW_READER_BYTES]
        for client in due:
            # Clients of one rate share their turns, so that one encoding serves them all.
            client.block_due = (now // client.block_period + 1) * client.block_period
        if due:
            self._push(due, Frame(Kind.BLOCK, 0, {}, {"values": values}, tick, wall_ns))

    def due(self) -> bool:
        """Whether any client's turn for a block has come."""
        now = time.monotonic()
        return any(client.block_due <= now for client in self.clients)

    def _push(self, clients: list[Client], frame: Frame) -> None:
        data = encode(frame) if clients else b""
        for client in clients:
            if client.unread > DEAD_READER_BYTES:
                log.warning("client %r does not read; disconnected", client.name)
                client.writer.transport.abort()
            else:
                client.writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not admitted(writer, self.crate.name):
            return
        client = Client(writer)
        self.clients.add(client)
        hello = {"event": "hello", "crate": self.crate.name, "channels": self.crate.channels()}
        self._push([client], Frame(Kind.EVENT, 0, hello, {}, 0, time.time_ns()))
        try:
            await self._read(client, reader)
        except (OSError, BadInput) as why:
            log.warning("client %r dropped: %s", client.name, why)
        except asyncio.CancelledError:
            log.debug("client %r: server stops", client.name)
        finally:
            self.clients.discard(client)
            self.crate.left(client)
            writer.close()

    async def _read(self, client: Client, reader: asyncio.StreamReader) -> None:
        decoder = Decoder()
        while data := await reader.read(1 << 18):
            client.heard = time.monotonic()
            for frame in decoder.feed(data):
                if frame.kind is Kind.REQUEST:
                    self._answer(client, frame)
            await client.writer.drain()

    def _answer(self, client: Client, frame: Frame) -> None:
        body: Mapping[str, Any]
        arrays: Mapping[str, NDArray[Any]]
        try:
            body, arrays = self._dispatch(client, frame)
        except PtcsError as why:
            body, arrays = {"ok": False, "why": str(why)}, {}
        except Exception as why:  # border: one bad request must not stop the hardware
            log.exception("request %r failed", frame.body.get("do"))
            body, arrays = {"ok": False, "why": f"internal fault ({type(why).__name__}); see the log"}, {}
        reply = Frame(Kind.REPLY, frame.sequence, body, arrays, frame.tick, time.time_ns())
        client.writer.write(encode(reply))

    def _dispatch(self, client: Client, frame: Frame) -> Answer:
        if not isinstance(frame.body, Mapping) or not isinstance(frame.body.get("do"), str):
            raise Refused('request without a verb: allowed is {"do": VERB, ...}')
        if frame.body["do"] == "hello":
            return self._hello(client, frame.body)
        body, arrays = self.crate.handle(client, frame)
        return {"ok": True, **body}, arrays

    def _hello(self, client: Client, body: Mapping[str, Any]) -> Answer:
        name, watchdog = body.get("name"), body.get("watchdog", False)
        if not isinstance(name, str) or not name or not isinstance(watchdog, bool):
            raise Refused("hello needs a name (text) and may say watchdog (true or false)")
        client.name, client.watchdog = name, watchdog
        self.crate.greeted(client)
        return {"ok": True, "crate": self.crate.name}, {}


def text(body: Mapping[str, Any], key: str) -> str:
    """A text of a request. Raises Refused when it is missing or something else."""
    value = body.get(key)
    if not isinstance(value, str):
        raise Refused(f"{body.get('do')}: {key!r} must be a text")
    return value


def number(body: Mapping[str, Any], key: str) -> float:
    """A finite number of a request. Raises Refused when it is missing, something else or absurdly large."""
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise Refused(f"{body.get('do')}: {key!r} must be a finite number up to {LARGEST:g}")
    return float(value)
