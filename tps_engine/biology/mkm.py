"""Modified microdosimetric kinetic model: specific energies of domains around ion tracks, and alpha.

Inaniwa et al., Phys Med Biol 55 (2010) 6721, after Hawkins (1994) and Kase et al., Radiat Res 166 (2006) 629:
alpha = alpha_0 + beta z*, with z* the saturation-corrected dose-mean specific energy that one event deposits
in a domain, dose-averaged over the particles of the field; beta does not depend on radiation. Track structure
after Chatterjee and Schaefer (1976) and Kiefer and Straaten (1986), as in Kase et al., Phys Med Biol 53
(2008) 37. Lengths in um, energies in MeV per nucleon.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from tps_engine.beamdata.ion_water import beta2_of, effective_charge, let_of
from tps_engine.beamdata.water import Floats

GY_UM2_PER_KEV_UM = 0.1602176634
"""One keV/um in water, as dose times area, Gy um2."""

_RADII = 160
_PLACES = 240
_ENERGIES = np.geomspace(0.3, 450.0, 60)


@dataclass(frozen=True)
class MkmParameters:
    """alpha_0 1/Gy, beta 1/Gy2 of the cell, radii in um of domain and nucleus."""

    alpha_0: float
    beta: float
    domain_radius: float
    nucleus_radius: float

    @property
    def saturation(self) -> float:
        """z_0 in Gy: above it a domain is overkilled (Kase et al. 2006)."""
        ratio2 = (self.nucleus_radius / self.domain_radius) ** 2
        return float(ratio2 / np.sqrt(self.beta * (1.0 + ratio2)))

    def alpha(self, z_star: Floats) -> Floats:
        """Alpha (n,) in 1/Gy of fields with z* (n,) in Gy."""
        return np.asarray(self.alpha_0 + self.beta * z_star)


@dataclass(frozen=True)
class Track:
    """Radial dose of an ion: core and penumbra radius in um, penumbra constant Gy um2, core dose Gy."""

    core: float
    penumbra: float
    constant: float
    core_dose: float

    def dose(self, radius: Floats) -> Floats:
        """Dose in Gy at radii in um from the track."""
        inside = self.constant / np.maximum(radius, self.core) ** 2
        out = np.where(radius <= self.core, self.core_dose, inside)
        return np.asarray(np.where(radius <= self.penumbra, out, 0.0))

    def within(self, radius: Floats) -> Floats:
        """Integral in Gy um2 of the dose over discs of radii in um about the track."""
        core = np.minimum(radius, self.core)
        outer = np.clip(radius, self.core, self.penumbra)
        ring = 2.0 * np.pi * self.constant * np.log(outer / self.core)
        return np.asarray(self.core_dose * np.pi * core**2 + ring)


def track_of(charge: int, energy: float) -> Track:
    """The track of an ion in water whose radial dose integrates to its LET."""
    beta2 = float(beta2_of(energy))
    core = 0.0116 * np.sqrt(beta2)
    penumbra = max(0.0616 * energy**1.7, 1.001 * core)
    constant = 1.25e-4 * float(effective_charge(charge, energy)) ** 2 / beta2
    whole = GY_UM2_PER_KEV_UM * float(let_of(charge, energy))
    rest = max(whole - 2.0 * np.pi * constant * np.log(penumbra / core), 0.0)
    return Track(float(core), float(penumbra), constant, float(rest / (np.pi * core**2)))


def specific_energy(track: Track, radius: float, distance: Floats) -> Floats:
    """Mean dose in Gy (n,) in a cylinder of `radius` um whose axis lies at distances in um from the track."""
    return np.array([_mean_dose(track, radius, float(one)) for one in distance])


def _mean_dose(track: Track, radius: float, distance: float) -> float:
    """Mean over a disc: the whole circles about the track that lie in it, and arcs of the others."""
    full = max(radius - distance, 0.0)
    near, far = abs(radius - distance), min(radius + distance, track.penumbra)
    total = float(track.within(np.array(full)))
    if far > near:
        edges = np.geomspace(max(near, 1e-6), far, _RADII + 1)
        edges[0] = near
        middle = 0.5 * (edges[1:] + edges[:-1])
        # half the angle of the circle of radius r about the track that lies in the disc
        cosine = (middle**2 + distance**2 - radius**2) / (2.0 * middle * max(distance, 1e-12))
        share = np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi
        total += float((np.diff(track.within(edges)) * share).sum())
    return total / (np.pi * radius**2)


def z_star_of(charge: int, energy: float, parameters: MkmParameters) -> float:
    """z* in Gy of one kind of particle: integral of z_sat z over that of z, over all distances."""
    track = track_of(charge, energy)
    radius = parameters.domain_radius
    reach = radius + track.penumbra
    inner = np.linspace(0.0, min(2.0 * radius, reach), _PLACES)
    outer = np.geomspace(inner[-1], reach, _PLACES)[1:] if reach > inner[-1] else np.zeros(0)
    place = np.concatenate([inner, outer])
    z = specific_energy(track, radius, place)
    z0 = parameters.saturation
    overkilled = -(z0**2) * np.expm1(-((z / z0) ** 2))
    return float(np.trapezoid(overkilled * place, place) / np.trapezoid(z * place, place))


@cache
def z_star_table(charge: int, parameters: MkmParameters) -> tuple[Floats, Floats]:
    """Energies (k,) MeV per nucleon, rising, and z* (k,) in Gy of an ion."""
    return _ENERGIES, np.array([z_star_of(charge, float(one), parameters) for one in _ENERGIES])


def z_star(charge: int, energy: Floats, parameters: MkmParameters) -> Floats:
    """z* (n,) in Gy at energies in MeV per nucleon; beyond the table's ends its end values."""
    axis, values = z_star_table(charge, parameters)
    return np.asarray(np.interp(np.log(np.maximum(energy, 1e-9)), np.log(axis), values))
