"""What a notebook finds instead of a facility: the plant in its own process, the same every time."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from plant_bench import PlantBeam, PlantBench

from ptcs.commissioning.measure import Session
from ptcs.commissioning.plot import Live
from ptcs.commissioning.store import Store


class SteadyBeam(PlantBeam):
    """A beam that is there all the time."""

    def __init__(self, bench: PlantBench) -> None:
        super().__init__(bench)
        self.revived: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def steady(self, energy: float) -> None:
        self.bench.energy = energy

    def revive(self, why: str) -> None:
        self.revived.append(why)


class PlantWorkplace:
    """As ptcs.commissioning.workplace.Workplace."""

    room = "room1"
    has_catalogue = False

    def __init__(self, state: Path, user: str) -> None:
        self.bench = PlantBench()
        self.bench.user = user
        self.site = self.bench.site
        self.bench.plain |= {
            "room1/dosimetry/reference/Depth": 20.0,
            "room1/dosimetry/reference/Coefficient": 4.2,
            "room1/beam/physics/CountsPerMU": 20000.0,
        }
        self.store = Store(state)
        self._beam = SteadyBeam(self.bench)

    @classmethod
    def open(cls, state: Path, user: str = "service") -> Self:
        return cls(Path(state), user)

    def bring_to_beam(self) -> None:
        self.bench.pause(1.0)

    def beam(self) -> SteadyBeam:
        return self._beam

    def session(self, beam: Any = None, *, live: bool = False) -> Session:
        return Session(self.bench, self.store, beam.revive if beam else None, [Live()] if live else [])

    def close(self) -> None:
        pass
