"""The synchrotron as a periodic lattice: tune, optics, closed orbit, apertures, slow extraction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.plant.optics import Floats, Rays, Seen, Track, share
from simulation.plant.optics_data import RingData

Scraper = Mapping[str, tuple[float, float]]
"""Element -> (centre, gap) in mm."""
RESONANCE = 1.0 / 3.0
MISALIGNED = 1e-9
"""Below this a triangle of stability is nothing: m^(1/2)."""


@dataclass(frozen=True)
class Optics:
    """A stable ring. tunes: fractional parts (x, y) in 0..1. beta m (n + 1, 2), phase rad (n + 1,) in x.

    orbit (n + 1, 4): closed orbit, m and rad. dispersion (n + 1, 4): its derivative by momentum, m and rad.
    """

    tunes: tuple[float, float]
    beta: Floats
    phase: Floats
    orbit: Floats
    dispersion: Floats


@dataclass(frozen=True)
class Extraction:
    """Third-integer extraction. strength: of the virtual sextupole, m^(-1/2). distance: of the tune from the
    resonance. apex: how far the triangle of stable motion reaches at the septum, m. step: growth in the last
    three turns there, m. efficiency: 0..1.
    """

    strength: float
    distance: float
    apex: float
    step: float
    efficiency: float


class Ring:
    """Lattice, apertures and extraction septum. Feed it ratios of strengths as `Track` takes them."""

    def __init__(self, data: RingData, supplies: Sequence[str]) -> None:
        self.data = data
        self.path = Track(data.elements, supplies)
        wide = [element.aperture or (np.inf, np.inf) for element in data.elements]
        self._aperture = np.array(wide)
        self.septum = self.path.names.index(data.septum)
        sextupoles = [(i, e) for i, e in enumerate(data.elements) if e.kind == "sextupole"]
        self._sextupoles = np.array([i for i, _ in sextupoles])
        self._k2l = np.array([e.strength * e.length for _, e in sextupoles])

    def optics(self, rays: Rays) -> Optics | None:
        """Optics of the lattice that gave these rays, or None where motion is unstable.

        Courant and Snyder, Ann. Phys. 3 (1958) 1; planes uncoupled, as the lattice has no skew elements.
        """
        turn = rays.matrix[-1]
        if not np.all(np.isfinite(turn)):
            return None
        planes = [_periodic(turn[k : k + 2, k : k + 2], rays.matrix[:, k : k + 2, k : k + 2]) for k in (0, 2)]
        if any(plane is None for plane in planes):
            return None
        (tune_x, beta_x, phase), (tune_y, beta_y, _) = (plane for plane in planes if plane is not None)
        try:
            inverse = np.linalg.inv(np.eye(4) - turn[:, :4])
        except np.linalg.LinAlgError:  # an integer tune: no orbit closes
            return None
        start, slope = inverse @ rays.orbit[-1], inverse @ turn[:, 4]
        linear = rays.matrix[:, :, :4]
        return Optics(
            tunes=(tune_x, tune_y),
            beta=np.stack([beta_x, beta_y], axis=1),
            phase=phase,
            orbit=rays.orbit + linear @ start,
            dispersion=rays.matrix[:, :, 4] + linear @ slope,
        )

    def beam(self, optics: Optics | None, emittance: tuple[float, float], scraper: Scraper) -> Seen:
        """The stored beam; geometric rms emittances in m rad. An unstable ring keeps nothing."""
        count = len(self.data.elements)
        if optics is None:
            lost = np.full(count, 1.0 / count)
            nothing = np.zeros(count + 1)
            return Seen(nothing, nothing, nothing, nothing, nothing, lost)
        momentum = self.data.start.momentum_spread
        sizes = np.sqrt(np.array(emittance) * optics.beta + (momentum * optics.dispersion[:, (0, 2)]) ** 2)
        middle = optics.orbit[:, (0, 2)]
        low, high = -self._aperture, self._aperture.copy()
        for name, (centre, gap) in scraper.items():
            if name in self.path.names:
                i = self.path.names.index(name)
                low[i, 0], high[i, 0] = 1e-3 * (centre - gap / 2), 1e-3 * (centre + gap / 2)
        inside = np.minimum(
            share(middle[:-1], sizes[:-1], low, high), share(middle[1:], sizes[1:], low, high)
        )
        taken = 1.0 - inside.prod(axis=1)
        kept = float(inside.min(axis=0).prod())
        lost = (1.0 - kept) * taken / max(float(taken.sum()), 1e-12)
        alive = np.full(count + 1, kept)
        return Seen(middle[:, 0], middle[:, 1], sizes[:, 0], sizes[:, 1], alive, lost)

    def extraction(self, optics: Optics | None, ratio: Floats) -> Extraction:
        """Steinbach triangle and spiral step (Pullia, CERN-ACC PIMMS study, CERN-PS-99-010, chapter 3).

        S exp(3 i mu): sum of beta^(3/2) k2 L / 2 over the sextupoles. With epsilon = 6 pi (Q - Q_res) the
        stable triangle reaches to 4 epsilon / 3 S from the middle, and a particle on its way out at X grows
        by 3 S / 4 (X^2 - 3 h^2) in three turns, h = 2 epsilon / 3 S. The wires take wire / step of the beam.
        """
        if optics is None or not len(self._sextupoles):
            return Extraction(0.0, 1.0, np.inf, 0.0, 0.0)
        at = self._sextupoles
        strong = 0.5 * optics.beta[at, 0] ** 1.5 * self._k2l * ratio[self.path.supply[at]]
        strength = float(abs(np.sum(strong * np.exp(3j * optics.phase[at]))))
        tune = optics.tunes[0]
        nearest = RESONANCE if tune < 0.5 else 1.0 - RESONANCE
        distance = tune - nearest
        scale = float(np.sqrt(optics.beta[self.septum, 0]))
        if strength < MISALIGNED:
            return Extraction(strength, distance, np.inf, 0.0, 0.0)
        half = 2.0 * 6.0 * np.pi * abs(distance) / (3.0 * strength)
        reach = (self.data.septum_m - optics.orbit[self.septum, 0]) / scale
        step = max(0.75 * strength * (reach**2 - 3.0 * half**2), 0.0) * scale if reach > 0 else 0.0
        efficiency = max(1.0 - self.data.wire_m / step, 0.0) if step > 0 else 0.0
        return Extraction(strength, distance, 2.0 * half * scale, step, efficiency)


def _periodic(
    turn: Floats, matrices: NDArray[np.float64]
) -> tuple[float, Floats, NDArray[np.float64]] | None:
    """Tune, beta (n,) and phase advance (n,) of one plane from its one-turn matrix; None if unstable."""
    cosine = float(np.trace(turn)) / 2.0
    if not abs(cosine) < 1.0 or turn[0, 1] == 0.0:
        return None
    sine = float(np.sign(turn[0, 1]) * np.sqrt(1.0 - cosine**2))
    beta = turn[0, 1] / sine
    alpha = (turn[0, 0] - turn[1, 1]) / (2.0 * sine)
    forward = matrices[:, 0, 0] * beta - matrices[:, 0, 1] * alpha
    local = (forward**2 + matrices[:, 0, 1] ** 2) / beta
    phase = np.unwrap(np.arctan2(matrices[:, 0, 1], forward))
    tune = float(np.arctan2(sine, cosine) / (2.0 * np.pi)) % 1.0
    return tune, local, phase
