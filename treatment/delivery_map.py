"""What the beam hardware is told of one beam: arrays of spots and layers, and their digest.

The map is made from the approved plan and nothing else; what the hardware reads back is compared
with a map made anew from the plan, so that a change in transit or at rest names its spot.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput, Refused, Tampered
from common.text import _
from treatment.monitor import Monitor

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum of a Gaussian, in sigmas."""

ARRAYS: tuple[tuple[str, str], ...] = (
    ("energy", "<f8"),
    ("layer", "<i4"),
    ("x", "<f8"),
    ("y", "<f8"),
    ("size_x", "<f8"),
    ("size_y", "<f8"),
    ("preset", "<i8"),
    ("done", "<i8"),
)
"""Name and type of each array, in the order of the digest."""

ENERGY_TOLERANCE_MEV = 0.01


@dataclass(frozen=True)
class Machine:
    """What this machine can deliver. energies: MeV. scan_x, scan_y: reach at isocentre, (low, high) mm."""

    name: str
    energies: tuple[float, ...]
    scan_x: tuple[float, float]
    scan_y: tuple[float, float]
    max_spot_mu: float

    @classmethod
    def from_beam_model(cls, name: str, model: Mapping[str, Any]) -> "Machine":
        """Read a beam model file's content (config/beam_models). Raises KeyError for a missing key."""
        x, y = model["scan_limits_mm"]["x"], model["scan_limits_mm"]["y"]
        return cls(
            name=name,
            energies=tuple(float(row[0]) for row in model["energies"]),
            scan_x=(float(x[0]), float(x[1])),
            scan_y=(float(y[0]), float(y[1])),
            max_spot_mu=float(model["maximum_mu"]),
        )


@dataclass(frozen=True)
class DeliveryMap:
    """One beam as the hardware holds it.

    energy: (L,) MeV. layer: (n,) index into energy. x, y: (n,) mm at isocentre. size_x, size_y: (n,)
    sigma, mm. preset: (n,) raw counts wanted in the whole fraction. done: (n,) raw counts that
    earlier runs delivered. counts_per_mu holds at the reference air density; k_tp is frozen.
    """

    beam_number: int
    counts_per_mu: float
    k_tp: float
    energy: NDArray[np.float64]
    layer: NDArray[np.int32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    size_x: NDArray[np.float64]
    size_y: NDArray[np.float64]
    preset: NDArray[np.int64]
    done: NDArray[np.int64]

    @classmethod
    def from_beam(cls, beam: IonBeam, monitor: Monitor, k_tp: float) -> "DeliveryMap":
        """The map of a planned beam, nothing delivered. Raises BadInput for an empty beam, a bad k_tp."""
        if not beam.layers or beam.spot_count == 0:
            raise BadInput(_("beam {number} has no spots").format(number=beam.number))
        if not 0.8 <= k_tp <= 1.3:
            raise BadInput(_("k_TP {k_tp:.3f}: allowed are 0.8..1.3").format(k_tp=k_tp))
        counts = [layer.spot_count for layer in beam.layers]
        mu = np.concatenate([layer.mu for layer in beam.layers]).astype(np.float64)
        sizes_x = np.array([layer.fwhm_x for layer in beam.layers], dtype=np.float64) / FWHM_PER_SIGMA
        sizes_y = np.array([layer.fwhm_y for layer in beam.layers], dtype=np.float64) / FWHM_PER_SIGMA
        return cls(
            beam_number=beam.number,
            counts_per_mu=monitor.counts_per_mu,
            k_tp=k_tp,
            energy=np.array([layer.energy for layer in beam.layers], dtype=np.float64),
            layer=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            x=np.concatenate([layer.x for layer in beam.layers]).astype(np.float64),
            y=np.concatenate([layer.y for layer in beam.layers]).astype(np.float64),
            size_x=np.repeat(sizes_x, counts),
            size_y=np.repeat(sizes_y, counts),
            preset=np.rint(mu * monitor.counts_per_mu / k_tp).astype(np.int64),
            done=np.zeros(len(mu), dtype=np.int64),
        )

    @property
    def spot_count(self) -> int:
        """Number of spots in all layers."""
        return len(self.preset)

    @property
    def remainder(self) -> NDArray[np.int64]:
        """Counts still to deliver, (n,), never negative."""
        left: NDArray[np.int64] = np.maximum(self.preset - self.done, 0)
        return left

    @property
    def mu_per_count(self) -> float:
        """MU of one raw count at the frozen air density."""
        return self.k_tp / self.counts_per_mu

    def with_done(self, done: NDArray[np.int64]) -> "DeliveryMap":
        """The same map with counts that earlier runs delivered. Raises BadInput if they do not fit."""
        if done.shape != self.preset.shape or (done < 0).any():
            raise BadInput(
                _("delivered counts do not fit beam {number}: {count} values for {spots} spots").format(
                    number=self.beam_number, count=done.size, spots=self.spot_count
                )
            )
        return replace(self, done=done.astype(np.int64))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, little endian, in the order of the digest."""
        return {name: np.ascontiguousarray(getattr(self, name), dtype=kind) for name, kind in ARRAYS}

    def digest(self) -> str:
        """SHA-256 over the arrays, in hex."""
        return digest(self.arrays())


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 in hex over a map's arrays, in contract order. Raises BadInput if one is missing."""
    content = hashlib.sha256()
    for name, kind in ARRAYS:
        if name not in arrays:
            raise BadInput(_("delivery map lacks array {name}").format(name=name))
        content.update(np.ascontiguousarray(arrays[name], dtype=kind).tobytes())
    return content.hexdigest()


def check_machine(wanted: DeliveryMap, machine: Machine) -> None:
    """Refuse what the machine cannot deliver.

    Raises Refused naming the energy with its nearest neighbour, or the spot outside the limits.
    """
    known = np.asarray(machine.energies, dtype=np.float64)
    for number, energy in enumerate(wanted.energy):
        gap = np.abs(known - energy)
        if not known.size or gap.min() > ENERGY_TOLERANCE_MEV:
            nearest = f"{known[gap.argmin()]:.2f} MeV" if known.size else _("none")
            raise Refused(
                _(
                    "layer {layer} of beam {beam} wants {energy:.2f} MeV, which the machine lacks; "
                    "nearest: {nearest}"
                ).format(layer=number + 1, beam=wanted.beam_number, energy=energy, nearest=nearest)
            )
    _check_spots(wanted, machine)


def _check_spots(wanted: DeliveryMap, machine: Machine) -> None:
    (left, right), (low, high) = machine.scan_x, machine.scan_y
    inside = (wanted.x >= left) & (wanted.x <= right) & (wanted.y >= low) & (wanted.y <= high)
    shaped = np.isfinite(wanted.size_x * wanted.size_y) & (wanted.size_x > 0) & (wanted.size_y > 0)
    mu = wanted.preset * wanted.mu_per_count
    bad = np.flatnonzero(~(inside & shaped & (wanted.preset > 0) & (mu <= machine.max_spot_mu * 1.001)))
    if bad.size:
        spot = int(bad[0])
        raise Refused(
            _(
                "spot {spot} of beam {beam} at ({x:.1f}, {y:.1f}) mm with {mu:.4f} MU is outside the limits: "
                "x {left:.0f}..{right:.0f} mm, y {low:.0f}..{high:.0f} mm, one count .. {most:g} MU"
            ).format(
                spot=spot,
                beam=wanted.beam_number,
                x=float(wanted.x[spot]),
                y=float(wanted.y[spot]),
                mu=float(mu[spot]),
                left=left,
                right=right,
                low=low,
                high=high,
                most=machine.max_spot_mu,
            )
        )


def differences(wanted: DeliveryMap, held: Mapping[str, NDArray[Any]]) -> list[str]:
    """Where a map that the hardware holds differs from the approved one: one text a spot or layer."""
    found: list[str] = []
    for name, array in wanted.arrays().items():
        other = held.get(name)
        if other is None or other.shape != array.shape:
            size = 0 if other is None else other.size
            found.append(
                _("{name} has {got} values, approved are {want}").format(name=name, got=size, want=array.size)
            )
            continue
        place = _("layer") if name == "energy" else _("spot")
        found += [
            _("{place} {index}: {name} is {got}, approved is {want}").format(
                place=place, index=int(index), name=name, got=other[index], want=array[index]
            )
            for index in np.flatnonzero(other != array)
        ]
    return found


def require_same(wanted: DeliveryMap, held: Mapping[str, NDArray[Any]], held_digest: str) -> None:
    """Raise Tampered unless the hardware holds exactly the approved map, naming what differs."""
    found = differences(wanted, held)
    if found:
        more = f" (+{len(found) - 5})" if len(found) > 5 else ""
        raise Tampered(
            _("beam {beam} as held by the hardware is not the approved one: {found}").format(
                beam=wanted.beam_number, found="; ".join(found[:5]) + more
            )
        )
    if held_digest != wanted.digest():
        raise Tampered(
            _("digest of beam {beam} as told by the hardware does not match its arrays").format(
                beam=wanted.beam_number
            )
        )
