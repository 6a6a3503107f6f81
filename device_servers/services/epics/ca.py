"""PVs over Channel Access: caproto's server on its own thread and event loop."""

import asyncio
import logging
import math
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tango
from caproto import (
    AccessRights,
    ChannelChar,
    ChannelData,
    ChannelDouble,
    ChannelEnum,
    ChannelString,
    ChannelType,
    backend,
    native_type,
)
from caproto._utils import ConversionDirection
from caproto.asyncio.server import Context

from common.errors import PtcsError
from device_servers.services.epics.board import Board, Change
from device_servers.services.epics.puts import LOGIN, LONGEST_TOKEN, Puts, peer_of
from device_servers.services.epics.pv import OF_GATEWAY, Sample, Shape

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
FETCH_S = 2.0
LONGEST_TEXT = 4000
MOST_CHOICES, LONGEST_CHOICE = 16, 25
"""What Channel Access has room for in an enum; one with more is a number."""
AGAIN_S = 1.0


class Shown:
    """A channel whose samples are those of the board. Mixed into caproto's channel types."""

    def tie(self, server: "CaServer", shape: Shape) -> None:
        """Say whose channel it is."""
        self.server, self.shape = server, shape
        self.listeners: set[Any] = set()

    async def read(self, data_type: Any) -> Any:
        """Answer a get with the present sample."""
        await self.take(await self.server.present(self))
        return await super().read(data_type)  # type: ignore[misc]

    async def subscribe(self, queue: Any, sub_spec: Any, sub: Any) -> None:
        """Begin a monitor with the present sample."""
        if not self.listeners:
            self.server.watch(self.shape, True)
        self.listeners.add(sub_spec)
        await self.take(await self.server.present(self))
        await super().subscribe(queue, sub_spec, sub)  # type: ignore[misc]

    async def unsubscribe(self, queue: Any, sub_spec: Any) -> None:
        """End a monitor."""
        if sub_spec in self.listeners:
            self.listeners.discard(sub_spec)
            if not self.listeners:
                self.server.watch(self.shape, False)
        await super().unsubscribe(queue, sub_spec)  # type: ignore[misc]

    async def take(self, sample: Sample) -> None:
        """Show a sample."""
        await self.write(  # type: ignore[attr-defined]
            _value(self.shape, self, sample.value),
            verify_value=False,
            update_fields=False,
            timestamp=sample.when,
            status=int(sample.status),
            severity=int(sample.severity),
        )

    async def auth_write(
        self, _hostname: str, username: str, data: Any, data_type: Any, _metadata: Any, **options: Any
    ) -> None:
        """Hand a put on. An exception's text is what the client gets."""
        host, port = (*(options.get("user_address") or ("", 0)), 0)[:2]
        value = self.put_value(data, data_type)
        await self.server.put(
            self.shape, value, peer_of(str(username), (str(host), int(port)), self.server.port)
        )

    def put_value(self, data: Any, data_type: Any) -> Any:
        """What a client has put, as a plain value."""
        values = self.converted(data, data_type)
        if isinstance(values, bytes):
            return values.split(b"\0")[0].decode("utf-8", "replace")
        if isinstance(values, str):
            return values
        parts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in list(values)]
        return parts if self.shape.array else (parts[0] if parts else math.nan)

    def converted(self, data: Any, data_type: Any) -> Any:
        """Values of the wire's type as those of this channel."""
        return backend.convert_values(
            values=data,
            from_dtype=native_type(data_type),
            to_dtype=self.data_type,  # type: ignore[attr-defined]
            string_encoding="utf-8",
            enum_strings=getattr(self, "enum_strings", None),
            direction=ConversionDirection.FROM_WIRE,
        )

    def check_access(self, _hostname: str, _username: str) -> AccessRights:
        """What a client may try: everybody reads."""
        rights = AccessRights.READ
        return rights | AccessRights.WRITE if self.shape.writable else rights


class DoubleChannel(Shown, ChannelDouble):
    """Numbers."""


class EnumChannel(Shown, ChannelEnum):
    """Choices and booleans."""


class TextChannel(Shown, ChannelString):
    """Texts: 39 characters, or all of them as `NAME.VAL$`."""


class LongTextChannel(Shown, ChannelChar):
    """A text that comes in as an array of characters."""

    def converted(self, data: Any, data_type: Any) -> Any:
        """The bytes: the library has no conversion of an empty text."""
        if native_type(data_type) == ChannelType.CHAR:
            return bytes(bytearray(data))
        return bytes(data[0]) if len(data) else b""


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
        channel = _channel(shape)
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


def _is_enum(shape: Shape) -> bool:
    fits = len(shape.choices) <= MOST_CHOICES and all(len(word) <= LONGEST_CHOICE for word in shape.choices)
    return not shape.array and (shape.kind == "bool" or (shape.kind == "enum" and fits))


def _channel(shape: Shape) -> Any:
    if shape.device == OF_GATEWAY and shape.member == LOGIN:
        return LongTextChannel(value="", max_length=LONGEST_TOKEN, string_encoding="utf-8")
    if shape.kind == "text":
        value: Any = [""] if shape.array else ""
        return TextChannel(
            value=value,
            max_length=shape.longest,
            string_encoding="utf-8",
            long_string_max_length=LONGEST_TEXT,
        )
    if _is_enum(shape):
        choices = ("False", "True") if shape.kind == "bool" else shape.choices
        return EnumChannel(value=choices[0], enum_strings=choices, string_encoding="utf-8")
    return DoubleChannel(
        value=[0.0] if shape.array else 0.0,
        max_length=shape.longest,
        units=shape.unit.encode("latin-1", "replace").decode("latin-1")[:7],
        precision=0 if shape.kind == "int" else shape.decimals,
        **_levels(shape),
    )


def _levels(shape: Shape) -> dict[str, float]:
    levels: dict[str, float] = {}
    if shape.limited:
        for group in ("disp", "ctrl"):
            levels[f"lower_{group}_limit"], levels[f"upper_{group}_limit"] = shape.limits
    if shape.alarms is not None:
        names = ("lower_alarm", "lower_warning", "upper_warning", "upper_alarm")
        levels |= {f"{name}_limit": level for name, level in zip(names, shape.alarms, strict=True)}
    return levels


def _value(shape: Shape, channel: ChannelData | Shown, value: Any) -> Any:
    """A sample's value as the channel's type holds it."""
    if isinstance(channel, EnumChannel):
        return channel.enum_strings[int(value)]
    if isinstance(channel, LongTextChannel | TextChannel):
        return [str(part) for part in value] or [""] if shape.array else str(value)
    return [float(part) for part in value] or [0.0] if shape.array else float(value)
