"""The room's temperature and pressure station: instrument lines on a port of its own."""

import asyncio
import logging

from common.errors import BadInput
from common.wire.scpi import LineDecoder, answer
from simulation.plant.plant import Plant

log = logging.getLogger(__name__)

IDENTITY = b"PTCS,ENVIRONMENT-STATION,1,1.0\n"
UNKNOWN = b'-113,"Undefined header"\n'


class StationServer:
    """Answers `MEAS:TEMP?` (degC), `MEAS:PRES?` (hPa) and `*IDN?`."""

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

    def reply(self, line: str) -> bytes:
        """What the instrument says to a line."""
        air = self._plant.families["EnvironmentStation"].values
        match line.strip().upper():
            case "MEAS:TEMP?" if len(air):
                return answer(float(air[0, 0]))
            case "MEAS:PRES?" if len(air):
                return answer(float(air[0, 1]))
            case "*IDN?":
                return IDENTITY
        return UNKNOWN

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = LineDecoder()
        self._writers.add(writer)
        try:
            while data := await reader.read(4096):
                for line in decoder.feed(data):
                    writer.write(self.reply(line))
                await writer.drain()
        except (OSError, BadInput) as why:
            log.warning("station client dropped: %s", why)
        finally:
            self._writers.discard(writer)
            writer.close()
