"""Rays through a row of elements by the accelerator toolbox (PyAT), and what a beam of Gaussian shape does.

PyAT integrates the transverse motion in the magnets symplectically (BndMPoleSymplectic4Pass,
StrMPoleSymplectic4Pass: fourth-order maps of Forest and Ruth, Physica D 43 (1990) 105), in strengths
divided by the rigidity. Nothing in that part depends on the speed of the particles; its time of flight does
and is not used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from simulation.plant.optics_data import Element, Start
from simulation.plant.toolbox import at, atpass

Floats = NDArray[np.float64]

RAY = 1e-6
"""How far the rays beside the middle one start: m, rad or relative momentum."""
UNCHANGED = 1e-6
"""A relative change of a strength that is passed over."""


class Track:
    """Elements in a row. `track` follows a middle ray and five beside it; ratio 1 is the nominal strength."""

    def __init__(self, elements: Sequence[Element], supplies: Sequence[str]) -> None:
        """`supplies`: wires in the order of the ratios. Raises ValueError for an unknown supply."""
        self.elements = tuple(elements)
        self.names = [element.name for element in elements]
        self.supply = np.array([supplies.index(e.supply) if e.supply else -1 for e in elements])
        self.ends = np.cumsum([element.length for element in elements])
        """Place of each element's end, (n,) m."""
        self._at = [_built(element) for element in elements]
        self._set = np.full(len(elements), np.nan)
        self._points = np.arange(len(elements) + 1, dtype=np.uint32)
        self.driven = np.flatnonzero(self.supply >= 0)
        self.used = np.unique(self.supply[self.driven])
        self.set(np.ones(len(supplies)))

    def moved(self, ratio: Floats) -> bool:
        """Whether a strength differs from the one set by more than what is passed over."""
        gap = np.abs(ratio[self.supply[self.driven]] - self._set[self.driven])
        return bool(np.any(~(gap <= UNCHANGED)))

    def set(self, ratio: Floats) -> None:
        """Give each element its supply's present share of the nominal strength; (supplies,)."""
        wanted = ratio[self.supply]
        for i in self.driven[wanted[self.driven] != self._set[self.driven]]:
            _drive(self._at[i], self.elements[i], float(wanted[i]))
        self._set[self.driven] = wanted[self.driven]

    def track(self, start: Floats | None = None) -> "Rays":
        """Through all elements from (x, x', y, y') in m and rad; None: on the axis."""
        rays = np.zeros((6, 6), order="F")
        rays[:5, 1:] = RAY * np.eye(5)
        if start is not None:
            rays[:4] += start[:, None]
        out = atpass(self._at, rays, 1, refpts=self._points)[:, :, :, 0]
        middle = np.moveaxis(out[:4, 0, :], 1, 0)
        return Rays(middle, np.moveaxis(out[:4, 1:, :] - out[:4, :1, :], 2, 0) / RAY)


@dataclass(frozen=True)
class Rays:
    """At the entrance of each element and at the end, (n + 1, ...).

    orbit (n + 1, 4): x m, x' rad, y m, y' rad of the middle ray. matrix (n + 1, 4, 5): derivative of these by
    x, x', y, y' at the start and by the relative momentum. NaN: the ray was lost before.
    """

    orbit: Floats
    matrix: Floats


def sigma_matrix(twiss: Sequence[float], emittance: tuple[float, float]) -> Floats:
    """(4, 4) beam matrix of beta_x, alpha_x, beta_y, alpha_y and geometric rms emittances in m rad."""
    sigma = np.zeros((4, 4))
    for plane, (beta, alpha) in enumerate((twiss[:2], twiss[2:])):
        block = [[beta, -alpha], [-alpha, (1.0 + alpha**2) / beta]]
        sigma[2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2] = emittance[plane] * np.array(block)
    return sigma


@dataclass(frozen=True)
class Seen:
    """The beam at the entrance of each element and at the end, (n + 1,): middle and rms sizes in m.

    alive: part of the beam that has come so far. lost (n,): part that each element's aperture takes.
    shift: relative change of the mean momentum behind the slits.
    """

    x: Floats
    y: Floats
    size_x: Floats
    size_y: Floats
    alive: Floats
    lost: Floats
    shift: float = 0.0


class Line:
    """A way of the beam with its apertures, stoppers and slits."""

    def __init__(self, elements: Sequence[Element], supplies: Sequence[str], start: Start) -> None:
        self.path = Track(elements, supplies)
        self.start = start
        wide = [element.aperture or (np.inf, np.inf) for element in elements]
        self._aperture = np.array(wide, dtype=np.float64)
        kinds = [element.kind for element in elements]
        self._stoppers = [i for i, kind in enumerate(kinds) if kind == "stopper"]
        self._slits = [i for i, kind in enumerate(kinds) if kind == "slit"]

    def beam(
        self,
        rays: Rays,
        emittance: tuple[float, float],
        momentum: float,
        blocked: Mapping[str, bool],
        gaps: Mapping[str, tuple[float, float]],
    ) -> Seen:
        """The Gaussian beam on these rays; geometric emittances in m rad, momentum: its rms relative spread,
        gaps (centre, gap) in mm.

        An aperture takes the tails beyond it. Tails taken on one side are not taken twice: what is alive in a
        plane is the least share inside so far, and the planes are independent. Behind a slit in a dispersive
        place the spread of momentum is what a slit of that width lets through.
        """
        sigma = sigma_matrix(self.start.twiss, emittance)
        linear, dispersion = rays.matrix[:, :, :4], rays.matrix[:, :, 4]
        beam = linear @ sigma @ linear.transpose(0, 2, 1)
        betatron = np.sqrt(np.stack([beam[:, 0, 0], beam[:, 2, 2]], axis=1))
        sizes = np.hypot(betatron, momentum * dispersion[:, (0, 2)])
        middle = rays.orbit[:, (0, 2)]
        low, high = -self._aperture, self._aperture.copy()
        shift = 0.0
        for i in self._slits:
            centre, gap = gaps.get(self.path.names[i], (0.0, np.inf))
            low[i, 0], high[i, 0] = 1e-3 * (centre - gap / 2), 1e-3 * (centre + gap / 2)
            if not np.isfinite(sizes[i, 0] + middle[i, 0]):
                continue
            shift += _passed_shift(middle[i, 0], sizes[i, 0], low[i, 0], high[i, 0]) * (
                momentum**2 * dispersion[i, 0] / sizes[i, 0] ** 2
            )
            slit = np.sqrt(3.0) * dispersion[i, 0] / max((high[i, 0] - low[i, 0]) / 2, 1e-6)
            momentum = momentum / np.sqrt(1.0 + (momentum * slit) ** 2)
            sizes[i + 1 :] = np.hypot(betatron[i + 1 :], momentum * dispersion[i + 1 :, (0, 2)])
        inside = np.minimum(
            share(middle[:-1], sizes[:-1], low, high), share(middle[1:], sizes[1:], low, high)
        )
        through = np.minimum.accumulate(np.nan_to_num(inside, nan=0.0), axis=0).prod(axis=1)
        stopped = np.zeros(len(through))
        for i in self._stoppers:
            stopped[i] = blocked.get(self.path.names[i], False)
        gone = np.cumsum(stopped) > 0
        before = np.where(np.cumsum(stopped) - stopped > 0, 0.0, np.concatenate([[1.0], through[:-1]]))
        alive = np.concatenate([[1.0], np.where(gone, 0.0, through)])
        lost = np.where(stopped > 0, 0.0, np.maximum(before - alive[1:], 0.0))
        return Seen(middle[:, 0], middle[:, 1], sizes[:, 0], sizes[:, 1], alive, lost, float(shift))


def share(middle: Floats, size: Floats, low: Floats, high: Floats) -> Floats:
    """Part of a Gaussian of that middle and rms size that lies between low and high, elementwise."""
    scale = 1.0 / (np.sqrt(2.0) * np.maximum(size, 1e-9))
    part: Floats = 0.5 * (erf((high - middle) * scale) - erf((low - middle) * scale))
    return part


def _passed_shift(middle: float, size: float, low: float, high: float) -> float:
    """How far the mean of what passes a slit lies from the middle of the beam, m (truncated Gaussian)."""
    part = float(share(np.array(middle), np.array(size), np.array(low), np.array(high)))
    if not part > 1e-9:
        return 0.0
    a, b = (low - middle) / size, (high - middle) / size
    return float(size * (np.exp(-(a**2) / 2) - np.exp(-(b**2) / 2)) / (np.sqrt(2 * np.pi) * part))


def _built(element: Element) -> at.Element:
    """The element of the library at its nominal strength."""
    name, length = element.name or "drift", element.length
    match element.kind:
        case "drift":
            return at.Drift(name, length)
        case "dipole":
            built = at.Dipole(name, length, element.angle, PassMethod="BndMPoleSymplectic4Pass", MaxOrder=1)
        case "quadrupole":
            built = at.Quadrupole(name, length, element.strength, PassMethod="StrMPoleSymplectic4Pass")
        case "sextupole":
            built = at.Sextupole(name, length, element.strength / 2, PassMethod="StrMPoleSymplectic4Pass")
        case "corrector" | "scanner":
            return at.Corrector(name, length, np.zeros(2))
        case _:
            return at.Marker(name)
    x, y = element.shift
    if x or y:
        built.T1 = np.array([-x, 0.0, -y, 0.0, 0.0, 0.0])
        built.T2 = -built.T1
    return built


def _drive(built: at.Element, element: Element, ratio: float) -> None:
    """Set an element to a share of its nominal strength."""
    match element.kind:
        case "dipole":
            # the reference orbit keeps its angle: a wrong field is a kick spread over the length
            built.PolynomB[0] = (element.strength * ratio - element.angle) / element.length
        case "quadrupole":
            built.PolynomB[1] = element.strength * ratio
        case "sextupole":
            built.PolynomB[2] = element.strength * ratio / 2
        case "corrector" | "scanner":
            built.KickAngle[0 if element.plane == "x" else 1] = element.strength * ratio
