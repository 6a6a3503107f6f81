"""PVs over Channel Access: caproto's server on its own thread and event loop."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tango
from caproto.asyncio.server import Context

from common.errors import PtcsError
from device_servers.services.epics.board import Board, Change
from device_servers.services.epics.ca_channels import channel_of
from device_servers.services.epics.puts import Puts
from device_servers.services.epics.pv import Sample, Shape

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
FETCH_S = 2.0
AGAIN_S = 1.0


class Directory(dict[str, Any]):
    """Channels by name, made when a client first asks."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Any:
        plain = name.removesuffix(".VAL")  # a record's value field is the record
        channel = self[plain] = self.get(plain) or self._make(plain)
        return channel


class Loopback(Context):
    """A server without beacons, which no garbage in a datagram can end."""

    async def broadcast_beacon_loop(self) -> None:
        """Send none: clients find the server by its address."""

    async def _broadcaster_recv_datagram(self, bytes_received: bytes, address: Any) -> None:
        try:
            await super()._broadcaster_recv_datagram(bytes_received, address)
        except Exception as why:  # noqa: BLE001 - border to the network
            log.debug("datagram from %s: %s", address, why)


class CaServer:
    """A Channel Access server on the loopback interface."""

    def __init__(self, board: Board, puts: Puts, before: Mapping[str, str]) -> None:
        """before: an `environment` whose port to have again if it is free."""
        # What caproto logs of a failed put holds its value, which may be a token.
        logging.getLogger("caproto").setLevel(logging.CRITICAL + 1)
        os.environ |= {"EPICS_CAS_BEACON_ADDR_LIST": "", "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO"}
        self._board, self._puts = board, puts
        self._directory = Directory(self._make)
        self.port = free_port(int(before.get("EPICS_CA_SERVER_PORT", 0)))
        self._loop = asyncio.new_event_loop()
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="channel access", daemon=True)
        self._thread.start()
        board.add_output(self)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {
            "EPICS_CA_ADDR_LIST": LOOPBACK,
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_SERVER_PORT": str(self.port),
        }

    def stop(self) -> None:
        """End all connections."""

        def end() -> None:
            if self._main is not None:
                self._main.cancel()

        self._loop.call_soon_threadsafe(end)
        self._thread.join(timeout=2.0)

    # --- Samples out

    def show(self, changes: Sequence[Change]) -> None:
        """Hand samples to the event loop, those of channels that have monitors."""
        if not self._directory:
            return
        wanted = [
            (ch, sample)
            for shape, sample in changes
            if (ch := self._directory.get(shape.name)) and ch.listeners
        ]
        if wanted and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, wanted)

    def _take(self, wanted: list[tuple[Any, Sample]]) -> None:
        async def write() -> None:
            for channel, sample in wanted:
                await channel.take(sample)

        task = self._loop.create_task(write())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    _tasks: set[Any]

    async def present(self, channel: Any) -> Sample:
        """The present sample of a channel; read now if it is one that is read."""
        name = channel.shape.name
        if not channel.shape.read:
            return self._board.sample(name)
        return await self._loop.run_in_executor(None, self._board.fetch, name, FETCH_S)

    def watch(self, shape: Shape, seen: bool) -> None:
        """Somebody begins or ends to look at a channel."""
        if shape.read:
            (self._board.watch if seen else self._board.unwatch)(shape.name)

    async def put(self, shape: Shape, value: Any, peer: tuple[str, str]) -> None:
        """Write on a thread. Raises PtcsError."""
        await self._loop.run_in_executor(None, self._put, shape, value, peer)

    def _put(self, shape: Shape, value: Any, peer: tuple[str, str]) -> None:
        with tango.EnsureOmniThread():
            try:
                self._puts.put(shape, value, peer)
            except PtcsError:
                raise
            except Exception as why:  # border to the clients: the log has the rest
                log.exception("put to %s", shape.name)
                raise PtcsError("internal error; see the log of the gateway") from why

    # --- Inner

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._tasks = set()
        self._main = self._loop.create_task(self._serve())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        while True:
            context = Loopback(self._directory, [LOOPBACK])
            context.ca_server_port = self.port
            try:
                await context.run()
            except Exception:  # border of the thread: a server that failed is started again
                log.exception("Channel Access server failed; starting it again")
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                return
            await asyncio.sleep(AGAIN_S)

    def _make(self, name: str) -> Any:
        shape = self._board.shapes.get(name)
        if shape is None:
            raise KeyError(name)
        channel = channel_of(shape)
        channel.tie(self, shape)
        return channel


def free_port(wish: int) -> int:
    """A port of the loopback interface that is free for TCP and UDP: the one wished if it is."""
    for port in (wish, *([0] * 20)):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((LOOPBACK, port))
                number = int(tcp.getsockname()[1])
                udp.bind((LOOPBACK, number))
                return number
            except OSError:
                continue
    raise OSError("no port is free for Channel Access")
