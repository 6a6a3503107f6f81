"""Channels of Channel Access as caproto knows them, whose samples are those of the board."""

import math
from typing import Any, Protocol

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

from device_servers.services.epics.puts import LOGIN, LONGEST_TOKEN, peer_of
from device_servers.services.epics.pv import OF_GATEWAY, Sample, Shape

LONGEST_TEXT = 4000
MOST_CHOICES, LONGEST_CHOICE = 16, 25
"""What Channel Access has room for in an enum; one with more is a number."""


class Keeper(Protocol):
    """The server that has the channels."""

    port: int

    async def present(self, channel: Any) -> Sample:
        """The present sample of a channel."""

    def watch(self, shape: Shape, seen: bool) -> None:
        """Somebody begins or ends to look at a channel."""

    async def put(self, shape: Shape, value: Any, peer: tuple[str, str]) -> None:
        """Write for a client. Raises PtcsError."""


class Shown:
    """A channel whose samples are those of the board. Mixed into caproto's channel types."""

    def tie(self, server: Keeper, shape: Shape) -> None:
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


def _is_enum(shape: Shape) -> bool:
    fits = len(shape.choices) <= MOST_CHOICES and all(len(word) <= LONGEST_CHOICE for word in shape.choices)
    return not shape.array and (shape.kind == "bool" or (shape.kind == "enum" and fits))


def channel_of(shape: Shape) -> Any:
    """A new channel for what an attribute looks like."""
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
