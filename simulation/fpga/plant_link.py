"""The fpga's link to the plant: blocks in, cycle messages out, nothing that waits."""

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from common.errors import BadInput
from common.files import read_json
from common.ions import IONS
from common.units import air_density_correction
from common.wire.frame import Decoder, Frame, Kind, encode
from interlock.matrix import Matrix
from simulation.fpga.model import BeamView
from simulation.fpga.outputs import PhaseBegan
from simulation.fpga.plant_bits import NO_PLANT, PlantBits, SignalMap
from timing.cycle import Phase

log = logging.getLogger(__name__)

PAUSE_S = 0.1
SEEN = ("energy", "intensity", "offset_x", "offset_y", "size")
"""What of the beam is taken from the plant's block as it stands."""
REPEAT_S = 0.1
"""Period at which permits are repeated: they lapse where they are not."""
STALE_S = 0.25
"""Wall time without a block after which the plant counts as lost (blocks come every 20 ms)."""


def ion_of(told: float | None, ions: Sequence[str]) -> str:
    """What the beam consists of, "" when unknown. A machine with one ion need not tell (None)."""
    if told is None:
        return ions[0] if len(ions) == 1 else ""
    names = tuple(IONS)
    return names[int(told)] if told in range(len(names)) else ""


def cycle_message(phase: PhaseBegan) -> dict[str, object]:
    """How the plant is told of a phase."""
    body: dict[str, object] = {
        "do": "cycle",
        "phase": phase.phase.value,
        "energy": phase.energy,
        "tick": phase.tick,
    }
    if phase.accelerator:
        body |= {"accelerator": phase.accelerator, "ion": phase.accelerator.partition(":")[0]}
    return body


async def _connected(run_file: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Streams to the plant; None where it does not answer."""
    try:
        entry = read_json(run_file)
        return await asyncio.open_connection("127.0.0.1", int(entry["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def delivered_message(where: tuple[str, float], counts: int) -> dict[str, object]:
    """What instruments in the beam are told: counts in a room at an energy in MeV."""
    return {"do": "delivered", "room": where[0], "energy": where[1], "counts": counts}


class PlantLink:
    """Connects by itself, again after each loss. All methods belong to one event loop."""

    def __init__(
        self,
        run_file: Path,
        matrix: Matrix,
        shutters: Mapping[str, Sequence[str]],
        ions: Sequence[str] = ("proton",),
    ) -> None:
        """`shutters`: room -> plant channels of its shutters' closed switches. `ions`: those of the site."""
        self._ions = ions
        self._shutters = shutters
        self._map = SignalMap(matrix)
        self._confirms = tuple(dict.fromkeys(stage.confirm for stage in matrix.beam_off))
        self._run_file = run_file
        self._index: dict[str, int] = {}
        self._values = np.empty(0)
        self._heard = -math.inf
        self._now = 0.0
        self._writer: asyncio.StreamWriter | None = None
        self._sequence = 0
        self._bits = self._told = NO_PLANT
        self._was_alive = False
        self._permits: dict[str, bool] = {}
        self._counts = Counter[tuple[str, float]]()
        self._permitted = -math.inf
        self._k_tp = 1.0
        self._cycle = PhaseBegan(Phase.IDLE, 0.0, 0)
        self.room = 0
        """Index of the room that the machine serves, from 1, as the plant is told with each phase."""

    @property
    def alive(self) -> bool:
        """Whether the latest block was fresh when the slice began."""
        return len(self._values) > 0 and self._now - self._heard < STALE_S

    def begin(self) -> None:
        """A slice begins: all it asks for is of one moment, or a link could be lost between two answers."""
        self._now = time.monotonic()

    def inputs(self) -> PlantBits:
        """Interlock inputs read from the plant; unknown are those that it does not tell.

        The first time after a loss they are still the last ones told, so that the first fault is the
        lost link, which takes every permit, and not one of the many inputs lost with it.
        """
        last, self._told = self._told, self._bits if self.alive else NO_PLANT
        lost, self._was_alive = self._was_alive and not self.alive, self.alive
        return last if lost else self._told

    def confirmed(self) -> frozenset[str]:
        """Confirmations of beam-off stages that the plant gives now, by equipment without a fault."""
        return frozenset(channel for channel in self._confirms if self._vouched(channel))

    def shut(self) -> frozenset[str]:
        """Rooms whose shutters are all seen closed now, without a fault; a room without one is never shut."""
        return frozenset(room for room, seen in self._shutters.items() if all(map(self._vouched, seen)))

    def beam(self) -> BeamView:
        """The beam as the plant tells it; not ready while the link is lost or the air is unknown.

        With unknown air `k_tp` is the last one known and the rest as it is: beam under way is watched on.
        """
        if not self.alive:
            return BeamView()
        known = True
        try:
            self._k_tp = air_density_correction(*map(self._value, ("beam.temperature", "beam.pressure")))
        except ValueError:
            known = False
        return BeamView(
            ready=known and self._fresh() and self._value("beam.ready") == 1.0,
            **{name: self._value(f"beam.{name}") for name in SEEN},
            k_tp=self._k_tp,
            ion=ion_of(self._value("beam.ion") if "beam.ion" in self._index else None, self._ions),
        )

    def _fresh(self) -> bool:
        """Whether the block has seen the phase told last; a late one may still show the flat-top before."""
        return "beam.cycle" not in self._index or self._value("beam.cycle") == self._cycle.tick

    def tell(self, phase: PhaseBegan) -> None:
        """Pass a phase of the machine cycle on; a plant that comes back is told the latest one."""
        self._cycle = phase
        self._request({**cycle_message(phase), "room": self.room})

    def deliver(self, room: str, energy: float, counts: int) -> None:
        """Spots have ended, for the instruments in the beam; told with the permits."""
        self._counts[room, energy] += counts

    def permit(self, permits: Mapping[str, bool]) -> None:
        """Pass the interlock's outputs on to the actuators that follow them, at changes and repeatedly."""
        now = time.monotonic()
        if permits != self._permits or now - self._permitted >= REPEAT_S:
            self._permits, self._permitted = dict(permits), now
            self._request({"do": "permits", "permits": self._permits})
            while self._counts and self._writer is not None:  # what cannot be told now is told later
                self._request(delivered_message(*self._counts.popitem()))

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            if (streams := await _connected(self._run_file)) is not None:
                reader, writer = streams
                try:
                    await self._listen(reader, writer)
                except (OSError, BadInput, KeyError, TypeError, ValueError) as why:
                    log.warning("link to the plant: %s", why)
                finally:
                    self._values, self._writer = np.empty(0), None
                    writer.close()
                log.warning("link to the plant is lost")
            await asyncio.sleep(PAUSE_S)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._request({"do": "hello", "name": "fpga", "watchdog": False})
        self.tell(self._cycle)
        self._request({"do": "permits", "permits": self._permits})
        decoder = Decoder()
        while data := await reader.read(1 << 18):
            for frame in decoder.feed(data):
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.EVENT and frame.body.get("event") == "hello":
            names = [str(channel["name"]) for channel in frame.body["channels"]]
            self._index = {name: i for i, name in enumerate(names)}
            self._map.connect(self._index)
            log.info("link to the plant is up: %d channels", len(names))
        elif frame.kind is Kind.BLOCK and "values" in frame.arrays:
            self._values, self._heard = frame.arrays["values"], time.monotonic()
            self._bits = self._map.bits(self._values)
        elif frame.kind is Kind.REPLY and not frame.body.get("ok"):
            log.error("the plant refused: %s", frame.body.get("why"))

    def _vouched(self, channel: str) -> bool:
        """Whether a channel reads 1 and its equipment is good: a switch that stays made confirms nothing."""
        return self._value(channel) == 1.0 and self._value(f"{channel.rpartition('.')[0]}.ok") == 1.0

    def _value(self, channel: str) -> float:
        i = self._index.get(channel, -1)
        return float(self._values[i]) if self.alive and 0 <= i < len(self._values) else math.nan

    def _request(self, body: Mapping[str, object]) -> None:
        self._sequence += 1
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.write(encode(Frame(Kind.REQUEST, self._sequence, body)))
