"""The beam of a site: by optics where it has an optics file, else by levers: energy, position and size at the
isocentre, linear in the errors of the magnets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from common.errors import BadConfig
from common.site import Site
from simulation.plant.family import Family, Floats
from simulation.plant.optics_data import load
from simulation.plant.supplies import Supplies
from simulation.plant.world import World, energy_of
from timing.cycle import INJECTION_SHARE, RAMP_DOWN_SHARE, Phase

if TYPE_CHECKING:
    from simulation.plant.optics_beam import OpticalBeam

LEVER_MM = {"dipole": 0.7854 * 6000.0, "septum": 0.2 * 15000.0, "corrector": 0.002 * 5000.0}
"""Bending angle (rad) x distance to the isocentre (mm) by kind of magnet: offset per relative error."""
QUADRUPOLE_SIZE = 20.0
"""Relative growth of the spot per relative error of a quadrupole."""


INJECTION_S = 0.3
SPILL_S = 5.0
"""Beam time in which the ring fills, and empties on a flat-top (machine.md: spill of 5 s for protons)."""


@dataclass(frozen=True)
class BeamState:
    """energy MeV per nucleon; offsets mm at isocentre; size relative to nominal."""

    ready: bool
    energy: float
    offset_x: float
    offset_y: float
    size: float


def beam_state(supplies: Supplies, world: World, usable: bool) -> BeamState:
    """The beam as the magnets stand now. `usable`: vacuum, water, RF and source are good.

    A lever acts in y where the device's `plant` section says `plane: y`, else in x.
    """
    energy = energy_of(world.ion, world.rho_now) if world.rho_now > 0 else 0.0
    if world.energy <= 0 or not supplies.standing(world):
        return BeamState(False, energy, 0.0, 0.0, 1.0)
    errors = np.where(supplies.ring, 0.0, supplies.errors(world))
    offset = {"x": 0.0, "y": 0.0}
    growth = 0.0
    for error, device in zip(errors, supplies.devices, strict=True):
        kind = next((name for name in LEVER_MM if name in device.wire), None)
        if kind is not None:
            offset[str(device.plant.get("plane", "x"))] += LEVER_MM[kind] * float(error)
        elif "quad" in device.wire:
            growth += QUADRUPOLE_SIZE * abs(float(error))
    return BeamState(usable, energy, offset["x"], offset["y"], 1.0 + growth)


class BeamLine:
    """The crate-wide channels of the beam, computed from the families as they stand."""

    channels: ClassVar[tuple[tuple[str, str], ...]] = (
        ("beam.energy", "MeV"),
        ("beam.ready", ""),
        ("beam.intensity", ""),
        ("beam.offset_x", "mm"),
        ("beam.offset_y", "mm"),
        ("beam.size", ""),
    )
    NEEDED = ("VacuumGauge", "SectorValve", "WaterCircuit", "RfCavity", "IonSource")

    def __init__(self, families: Mapping[str, Family], world: World) -> None:
        self._supplies = cast(Supplies, families["MagnetSupply"])
        self._needed = [families[name] for name in self.NEEDED]
        self._world = world
        self._fill = 0.0

    def follow(self) -> None:
        """A phase of the cycle begins."""
        self._supplies.follow(self._world)

    def advance(self, dt: float) -> None:
        """Let `dt` seconds of wall time pass: the ring fills, holds and empties with the phase."""
        world = self._world
        span = dt * world.clock_factor
        if world.phase is Phase.INJECTION:
            self._fill = min(self._fill + span / INJECTION_S, 1.0)
        elif world.phase is Phase.FLAT_TOP:
            self._fill = max(self._fill - span / SPILL_S, 0.05)
        elif world.phase is not Phase.RAMP:
            self._fill = 0.0
        world.charge = self._fill * world.intensity

    def values(self) -> Floats:
        """The values of `channels`."""
        beam = beam_state(self._supplies, self._world, all(family.ok for family in self._needed))
        machine = (beam.energy, float(beam.ready), self._world.intensity)
        return np.array([*machine, beam.offset_x, beam.offset_y, beam.size])


def beam_of(site: Site, families: Mapping[str, Family], world: World) -> "BeamLine | OpticalBeam":
    """The beam of a site. Raises BadConfig for an optics file that cannot be used."""
    if site.optics_path is None:
        return BeamLine(families, world)
    # The optics library belongs to the extra `acs`: a site that moves its beam by levers runs without it.
    try:
        from simulation.plant.optics_beam import OpticalBeam  # noqa: PLC0415
    except ImportError as why:
        raise BadConfig(
            f"{site.optics_path.name} needs the optics library ({why}): pip install 'ptcs[acs]'"
        ) from why
    switch = float(site.delivery["layer_switch_s"])
    world.injection_s = INJECTION_SHARE * switch
    world.ramp_s = (1.0 - INJECTION_SHARE - RAMP_DOWN_SHARE) * switch
    return OpticalBeam(load(site.optics_path), len(site.rooms), families, world)
