"""The beam catalogue: virtual accelerators, one for each ion, energy, intensity and room that a site offers.

The data file says what there is in a few lines; the catalogue expands it, numbers the energies as
waveforms (1 to 255 an ion), and gives settings by rigidity.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from common.errors import BadConfig, BadInput
from common.ions import rigidity
from common.site import Device, Site, load_checked
from timing.plan import locate
from timing.syncword import MAX_WAVEFORM

ENERGY_STEP = 0.005
"""MeV: two energies closer than this are the same entry of the catalogue."""
FOLLOWING = ("ring", "transport", "room")
"""Roles of supplies whose current follows the rigidity of the beam."""


@dataclass(frozen=True)
class VirtualAccelerator:
    """One entry. energy in MeV per nucleon; intensity relative to nominal; waveform from 1."""

    ion: str
    energy: float
    waveform: int
    intensity: str
    relative: float
    room: str

    @property
    def id(self) -> str:
        """What cycle messages carry."""
        return accelerator_id(self.ion, self.energy, self.intensity, self.room)

    @property
    def rigidity(self) -> float:
        """Magnetic rigidity in T m."""
        return rigidity(self.ion, self.energy)


def accelerator_id(ion: str, energy: float, intensity: str, room: str) -> str:
    """The name of a virtual accelerator: `ion:energy:intensity:room`."""
    return f"{ion}:{energy:.2f}:{intensity}:{room}"


@dataclass(frozen=True)
class Catalogue:
    """All virtual accelerators of a site.

    energies: per ion, rising, MeV per nucleon. cycle_s: per ion, from one flat-top to the next.
    """

    name: str
    version: str
    energies: Mapping[str, tuple[float, ...]]
    intensities: Mapping[str, float]
    rooms: tuple[str, ...]
    cycle_s: Mapping[str, float]

    @property
    def count(self) -> int:
        """How many virtual accelerators there are."""
        return sum(map(len, self.energies.values())) * len(self.intensities) * len(self.rooms)

    @property
    def id(self) -> str:
        """Name, version and the first digits of the SHA-256 of the content: changes with any entry."""
        content = [self.energies, self.intensities, self.rooms, self.cycle_s]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return f"{self.name}-{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def select(self, wanted: Mapping[str, Any]) -> VirtualAccelerator:
        """The entry of {"ion", "energy", "intensity", "room"}. Raises BadInput naming what there is.

        What has only one value may be left out.
        """
        unknown = sorted(set(wanted) - {"ion", "energy", "intensity", "room"})
        if unknown:
            raise BadInput(f"unknown key {unknown[0]!r}: allowed are ion, energy, intensity, room")
        ion = _pick("ion", wanted.get("ion"), self.energies)
        intensity = _pick("intensity", wanted.get("intensity"), self.intensities)
        room = _pick("room", wanted.get("room"), self.rooms)
        waveform = self.waveform(ion, wanted.get("energy"))
        energy = self.energies[ion][waveform - 1]
        return VirtualAccelerator(ion, energy, waveform, intensity, self.intensities[intensity], room)

    def waveform(self, ion: str, energy: object) -> int:
        """Number of an energy, from 1. Raises BadInput for one that is not in the catalogue."""
        known = self.energies[ion]
        if isinstance(energy, bool) or not isinstance(energy, int | float) or not math.isfinite(energy):
            raise BadInput(f"energy {energy!r}: it must be a number of MeV per nucleon")
        number = min(range(len(known)), key=lambda n: abs(known[n] - energy))
        if abs(known[number] - energy) > ENERGY_STEP:
            raise BadInput(
                f"no {ion} beam of {energy:g} MeV: there are {len(known)} energies from {known[0]:g} to "
                f"{known[-1]:g} MeV, the nearest is {known[number]:g}"
            )
        return number + 1


def _pick(what: str, value: object, known: Iterable[str]) -> str:
    names = list(known)
    if value is None and len(names) == 1:
        return names[0]
    if value not in names:
        raise BadInput(f"{what} {value!r}: there are {', '.join(names)}")
    return str(value)


def load(path: Path, site: Site) -> Catalogue:
    """Read and check a catalogue file for a site. Raises BadConfig."""
    content = load_checked(path, "beams")
    energies = {ion: tuple(_expand(path, ion, rows)) for ion, rows in content["ions"].items()}
    foreign = sorted(set(energies) - set(site.ions))
    if foreign:
        raise BadConfig(f"{path.name}: ion {foreign[0]} is not of site {site.name}: {', '.join(site.ions)}")
    rooms = tuple(content.get("rooms", site.rooms))
    strange = [room for room in rooms if room not in site.rooms]
    if strange:
        raise BadConfig(f"{path.name}: no room {strange[0]} at site {site.name}: {', '.join(site.rooms)}")
    return Catalogue(
        name=content["catalogue"],
        version=str(content["version"]),
        energies=energies,
        intensities={name: float(value) for name, value in content["intensities"].items()},
        rooms=rooms,
        cycle_s={
            ion: float(rows["layer_switch_s"])
            for ion, rows in content["ions"].items()
            if "layer_switch_s" in rows
        },
    )


def of_site(site: Site) -> Catalogue:
    """The catalogue that belongs to a site. Raises BadConfig."""
    return load(locate(site.path.parent, site.name, "beams.yaml"), site)


def _expand(path: Path, ion: str, rows: Mapping[str, Any]) -> Iterable[float]:
    if "list" in rows:
        energies = [float(energy) for energy in rows["list"]]
    else:
        low, high, count = float(rows["from"]), float(rows["to"]), int(rows["count"])
        energies = [round(low + (high - low) * n / max(count - 1, 1), 3) for n in range(count)]
    if not 1 <= len(energies) <= MAX_WAVEFORM:
        raise BadConfig(f"{path.name}: {len(energies)} energies of {ion}: allowed are 1 to {MAX_WAVEFORM}")
    if any(b - a <= 2 * ENERGY_STEP for a, b in pairwise(energies)):
        raise BadConfig(f"{path.name}: energies of {ion} must rise by more than {2 * ENERGY_STEP:g} MeV")
    return energies


def settings(accelerator: VirtualAccelerator, devices: Iterable[Device]) -> dict[str, float]:
    """Current in A of each supply that follows the beam's rigidity, by wire: `ampere_per_tm` times B rho.

    Supplies of other rooms are left out: the beam does not pass them.
    """
    return {
        device.wire: device.plant["ampere_per_tm"] * accelerator.rigidity
        for device in devices
        if device.tango_class == "MagnetSupply"
        and "ampere_per_tm" in device.plant
        and device.plant.get("role") in FOLLOWING
        and device.room in ("", accelerator.room)
    }
