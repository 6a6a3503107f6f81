"""The rooms' temperature and pressure stations: instrument lines on one port."""

import asyncio
import logging

from common.errors import BadInput
from common.wire.scpi import LineDecoder, answer
from simulation.doors import admitted
from simulation.plant.plant import Plant

log = logging.getLogger(__name__)

IDENTITY = b"PTCS,ENVIRONMENT-STATION,1,1.0\n"
UNKNOWN = b'-113,"Undefined header"\n'


class StationServer:
    """Answers `MEAS:TEMP?` (degC), `MEAS:PRES?` (hPa), `INST:SEL?` and `*IDN?`; `INST:SEL WIRE` selects a
    station.

    A connection begins with the first station of the site file.
    """

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every link and stop listening."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()

    def reply(self, line: str, at: int = 0) -> bytes:
        """What station `at` (in the order of the site file) says to a line."""
        air = self._plant.families["EnvironmentStation"].values
        match line.strip().upper():
            case "MEAS:TEMP?" if len(air):
                return answer(float(air[at, 0]))
            case "MEAS:PRES?" if len(air):
                return answer(float(air[at, 1]))
            case "INST:SEL?" if len(air):
                return f"{self._wires()[at]}\n".encode("ascii", "replace")
            case "*IDN?":
                return IDENTITY
        return UNKNOWN

    def _wires(self) -> list[str]:
        return [device.wire for device in self._plant.families["EnvironmentStation"].devices]

    def _selected(self, line: str) -> int | None:
        """The station that a line `INST:SEL WIRE` selects for this connection; None for other lines."""
        header, _, wire = line.strip().partition(" ")
        if header.upper() != "INST:SEL" or wire.strip() not in self._wires():
            return None
        return self._wires().index(wire.strip())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not admitted(writer, "environment"):
            return
        decoder, at = LineDecoder(), 0
        self._writers.add(writer)
        try:
            while data := await reader.read(4096):
                for line in decoder.feed(data):
                    chosen = self._selected(line)
                    at = at if chosen is None else chosen
                    if chosen is None:
                        writer.write(self.reply(line, at))
                await writer.drain()
        except (OSError, BadInput) as why:
            log.warning("station client dropped: %s", why)
        finally:
            self._writers.discard(writer)
            writer.close()
