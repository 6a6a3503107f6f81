"""The delivery map as the hardware holds it: checked on the way in, digested, read back."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.ions import IONS
from common.text import _
from simulation.fpga.model import ENERGY_TOLERANCE, PRESET_QUANTUM

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
"""Names and types of the arrays, in the order of the digest."""

LONGEST_POSITION_MM = 300.0


@dataclass(frozen=True)
class SpotMap:
    """One beam's spots: energy (L,) MeV; all else (n,): layer index, position mm, sigma mm, counts.

    preset: counts wanted in the whole fraction. done: counts delivered by earlier parts.
    room: whose beam it is ("": the site's only room). ion: what the beam must consist of.
    """

    beam_number: int
    counts_per_mu: float
    k_tp: float
    plan_hash: str
    resume: bool
    energy: NDArray[np.float64]
    layer: NDArray[np.int32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    size_x: NDArray[np.float64]
    size_y: NDArray[np.float64]
    preset: NDArray[np.int64]
    done: NDArray[np.int64]
    room: str = ""
    ion: str = "proton"
    digest: str = field(default="", compare=False)

    @property
    def count(self) -> int:
        """Number of spots."""
        return len(self.preset)

    def body(self) -> dict[str, Any]:
        """What is not an array, as it came, with the digest."""
        return {
            "beam_number": self.beam_number,
            "counts_per_mu": self.counts_per_mu,
            "k_tp": self.k_tp,
            "plan_hash": self.plan_hash,
            "resume": self.resume,
            "room": self.room,
            "ion": self.ion,
            "digest": self.digest,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, in the order of the digest."""
        return {name: getattr(self, name) for name, _ in ARRAYS}


def digest_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over the arrays' bytes (little endian) in the order of `ARRAYS`, hex."""
    sha = hashlib.sha256()
    for name, dtype in ARRAYS:
        sha.update(np.ascontiguousarray(arrays[name], dtype=dtype).tobytes())
    return sha.hexdigest()


def accept(body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> SpotMap:
    """The map that a request carries, its form and numbers checked. Raises Refused."""
    taken = {name: _array(arrays, name, dtype) for name, dtype in ARRAYS}
    spots = SpotMap(
        beam_number=_whole(body, "beam_number", 1, 10_000),
        counts_per_mu=_real(body, "counts_per_mu", 1.0, 1e9),
        k_tp=_real(body, "k_tp", 0.8, 1.4),
        plan_hash=_text(body, "plan_hash"),
        resume=_flag(body, "resume"),
        room="" if body.get("room") in (None, "") else _text(body, "room"),
        ion=_ion(body),
        digest=digest_of(taken),
        **taken,
    )
    _check_lengths(spots)
    _check_numbers(spots)
    return spots


def _ion(body: Mapping[str, Any]) -> str:
    ion = str(body.get("ion", "proton"))
    if ion not in IONS:
        raise Refused(f"load_map: ion {ion!r}: allowed are {', '.join(IONS)}")
    return ion


def check_machine(spots: SpotMap, energies: Sequence[float], counts_per_mu: float) -> None:
    """Raise Refused unless this machine has the map's energies and monitor calibration."""
    if spots.counts_per_mu != counts_per_mu:
        raise Refused(
            _("map for {wanted:g} counts per MU: this machine's monitor has {here:g}").format(
                wanted=spots.counts_per_mu, here=counts_per_mu
            )
        )
    known = np.asarray(energies, dtype=np.float64)
    for energy in spots.energy:
        if not np.any(np.abs(known - energy) <= ENERGY_TOLERANCE * energy):
            raise Refused(
                _("no machine cycle for {energy:.3f} MeV: load the cycles of this beam first").format(
                    energy=energy
                )
            )


def _check_lengths(spots: SpotMap) -> None:
    if spots.count == 0 or len(spots.energy) == 0:
        raise Refused("map without spots or without energies")
    for name, _kind in ARRAYS[1:]:
        length = len(getattr(spots, name))
        if length != spots.count:
            raise Refused(
                f"map array {name!r} has {length} values: allowed are {spots.count}, as in 'preset'"
            )


def _check_numbers(spots: SpotMap) -> None:
    steps = np.diff(spots.layer)
    if spots.layer[0] < 0 or spots.layer[-1] >= len(spots.energy) or np.any(steps < 0):
        raise Refused("map layers must be ordered and lie within 'energy'")
    if np.any(spots.energy <= 0):
        raise Refused("map energies must be above 0 MeV")
    if max(np.abs(spots.x).max(), np.abs(spots.y).max()) > LONGEST_POSITION_MM:
        raise Refused(f"map position beyond the scanned field: allowed are +-{LONGEST_POSITION_MM:g} mm")
    if min(spots.size_x.min(), spots.size_y.min()) <= 0:
        raise Refused("map spot sizes must be above 0 mm")
    if spots.preset.min() <= 0 or spots.preset.max() > 1 << 40:
        raise Refused("map presets must be 1 count or more")
    # A finished spot may lie a quantum above its preset; more than that was never delivered by this machine.
    if spots.done.min() < 0 or np.any(spots.done > spots.preset + PRESET_QUANTUM):
        raise Refused("map 'done' counts must lie between 0 and the preset")
    if not spots.resume and spots.done.any():
        raise Refused("map with counts of earlier parts: set 'resume' for a continuation")


def _array(arrays: Mapping[str, NDArray[Any]], name: str, dtype: str) -> NDArray[Any]:
    array = arrays.get(name)
    if array is None or array.ndim != 1 or array.dtype.str != dtype:
        raise Refused(f"map array {name!r} must be one-dimensional and {dtype}")
    if not np.all(np.isfinite(array)):
        raise Refused(f"map array {name!r} holds a value that is not finite")
    return array.copy()


def _real(body: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refused(f"map {key!r} must be a number from {low:g} to {high:g}")
    return float(value)


def _whole(body: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refused(f"map {key!r} must be a whole number from {low} to {high}")
    return value


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 128:
        raise Refused(f"map {key!r} must be a text")
    return value


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key)
    if not isinstance(value, bool):
        raise Refused(f"map {key!r} must be true or false")
    return value
