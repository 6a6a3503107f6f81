"""Modbus TCP for PLC-like equipment: holding registers and coils as docs/reference/acs.md lists them.

The bytes are those of the Modbus application protocol (V1.1b3) in its TCP frame: transaction u16, protocol
u16 = 0, length u16, unit u8, function u8, data, all big endian. Pipelined requests are answered in their
order. A frame that is none drops the connection; a request that cannot be done is answered by an exception;
neither changes anything.
"""

import asyncio
import logging
import math
import struct
from collections.abc import Iterator

from common.errors import BadInput, Refused
from common.site import Device
from simulation.doors import admitted
from simulation.plant.plant import Plant

log = logging.getLogger(__name__)

CLASSES = ("WaterPump", "Chiller")
MOST_UNITS = 247
MOST_CLIENTS = 32
REGISTERS = 10
SETPOINT = 2
COIL_ON, COIL_RESET = 0, 1
READ_REGISTERS, WRITE_COIL, WRITE_REGISTERS = 3, 5, 16
BAD_FUNCTION, BAD_ADDRESS, BAD_VALUE, DEVICE_FAILURE, NO_UNIT = 1, 2, 3, 4, 11
COILS = {0xFF00: True, 0x0000: False}

_HEADER = struct.Struct(">HHHB")
_PAIR = struct.Struct(">HH")


class ModbusError(Exception):
    """A request that is answered by an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class ModbusDecoder:
    """Collects bytes and hands out whole requests: (transaction, unit, function and data)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add received bytes. Raises BadInput for what is no Modbus TCP frame."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._buffer)
            if protocol != 0 or not 2 <= length <= 254:
                raise BadInput(f"not a Modbus TCP frame (protocol {protocol}, length {length})")
            end = _HEADER.size - 1 + length
            if len(self._buffer) < end:
                return
            request = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield transaction, unit, request


class ModbusMap:
    """Units, their registers and coils, on a plant."""

    def __init__(self, plant: Plant) -> None:
        """Raises Refused for more units than Modbus has addresses."""
        self._plant = plant
        self.units = [device for device in plant.site.devices if device.tango_class in CLASSES]
        if len(self.units) > MOST_UNITS:
            raise Refused(f"{len(self.units)} units on Modbus: allowed are {MOST_UNITS}")

    def answer(self, unit: int, request: bytes) -> bytes:
        """Function and data of the answer to a request; an exception where it cannot be done."""
        function = request[0]
        try:
            if not 1 <= unit <= len(self.units):
                raise ModbusError(NO_UNIT)
            device = self.units[unit - 1]
            if function == READ_REGISTERS:
                return self._read(device, request)
            if function == WRITE_COIL:
                return self._write_coil(device, request)
            if function == WRITE_REGISTERS:
                return self._write_registers(device, request)
            raise ModbusError(BAD_FUNCTION)
        except ModbusError as why:
            return bytes((function | 0x80, why.code))

    def registers(self, device: Device) -> bytes:
        """All registers of a device, big endian."""
        family = self._plant.families[device.tango_class]
        row = family.values[family.devices.index(device)]
        return struct.pack(">5f", *row[:4], row[family.column("fault")])

    def _read(self, device: Device, request: bytes) -> bytes:
        if len(request) != 5:
            raise ModbusError(BAD_VALUE)
        start, count = _PAIR.unpack_from(request, 1)
        if not 1 <= count <= 125:
            raise ModbusError(BAD_VALUE)
        if start + count > REGISTERS:
            raise ModbusError(BAD_ADDRESS)
        data = self.registers(device)[2 * start : 2 * (start + count)]
        return bytes((READ_REGISTERS, len(data))) + data

    def _write_coil(self, device: Device, request: bytes) -> bytes:
        if len(request) != 5:
            raise ModbusError(BAD_VALUE)
        coil, value = _PAIR.unpack_from(request, 1)
        if value not in COILS:
            raise ModbusError(BAD_VALUE)
        if coil not in (COIL_ON, COIL_RESET):
            raise ModbusError(BAD_ADDRESS)
        verb = "reset" if coil == COIL_RESET else "on" if COILS[value] else "off"
        if coil == COIL_ON or COILS[value]:
            self._do(verb, {"device": device.wire}, DEVICE_FAILURE)
        return request

    def _write_registers(self, device: Device, request: bytes) -> bytes:
        if len(request) < 6 or len(request) != 6 + request[5]:
            raise ModbusError(BAD_VALUE)
        start, count = _PAIR.unpack_from(request, 1)
        if request[5] != 2 * count:
            raise ModbusError(BAD_VALUE)
        if device.tango_class != "Chiller" or (start, count) != (SETPOINT, 2):
            raise ModbusError(BAD_ADDRESS)
        (value,) = struct.unpack_from(">f", request, 6)
        if not math.isfinite(value):
            raise ModbusError(BAD_VALUE)
        self._do("set", {"device": device.wire, "name": "setpoint", "value": value}, BAD_VALUE)
        return request[:5]

    def _do(self, verb: str, body: dict[str, object], code: int) -> None:
        try:
            self._plant.do(verb, body)
        except Refused as why:
            log.info("modbus: %s refused: %s", verb, why)
            raise ModbusError(code) from why


class ModbusServer:
    """Answers on 127.0.0.1."""

    def __init__(self, plant: Plant) -> None:
        self._map = ModbusMap(plant)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every link and stop listening."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not admitted(writer, "modbus"):
            return
        if len(self._writers) >= MOST_CLIENTS:
            log.warning("modbus: more than %d clients", MOST_CLIENTS)
            writer.close()
            return
        decoder = ModbusDecoder()
        self._writers.add(writer)
        try:
            while data := await reader.read(4096):
                for transaction, unit, request in decoder.feed(data):
                    answer = self._map.answer(unit, request)
                    writer.write(_HEADER.pack(transaction, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (OSError, BadInput) as why:
            log.warning("modbus client dropped: %s", why)
        finally:
            self._writers.discard(writer)
            writer.close()
