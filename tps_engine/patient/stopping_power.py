"""CT numbers to stopping power relative to water, density and material, by a versioned table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadConfig, BadInput
from common.site import CONFIG, load_checked
from common.text import _
from tps_engine.patient.composition import Material, library

AIR = np.float32(0.0011)
"""Relative stopping power outside the body."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CtCalibration:
    """A piecewise linear table: hu (n,) increasing, rsp (n,). metal_hu: above it nothing is tissue.

    density: (m, 2) of HU and g/cm3, or None. materials: (lower limit in HU, material), rising.
    provenance: how the table came about, as its file says.
    """

    name: str
    version: str
    hu: Floats
    rsp: Floats
    metal_hu: float
    density: Floats | None = field(default=None, repr=False)
    materials: tuple[tuple[float, Material], ...] = field(default=(), repr=False)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def relative_stopping_power(self, hu: NDArray[np.float32], outside: str = "clamp") -> NDArray[np.float32]:
        """RSP, float32, of CT numbers of any shape.

        outside: what to do with values beyond the ends of the table: "clamp" to its end values (below is air,
        above is metal; `beyond` counts them), or "refuse". Raises BadInput for values that are no numbers,
        for refused values, and for another word.
        """
        refuse_not_finite(hu)
        if outside not in ("clamp", "refuse"):
            raise BadInput(
                _("{word}: allowed for CT values outside the table are clamp and refuse").format(word=outside)
            )
        below, above = self.beyond(hu)
        if outside == "refuse" and below + above:
            raise BadInput(
                _(
                    "{count} CT values lie outside table {name} ({low} to {high} HU); give them an override, "
                    "take a longer table, or allow clamping"
                ).format(
                    count=below + above, name=self.name, low=f"{self.hu[0]:.0f}", high=f"{self.hu[-1]:.0f}"
                )
            )
        return np.interp(hu, self.hu, self.rsp).astype(np.float32)

    def beyond(self, hu: NDArray[np.float32]) -> tuple[int, int]:
        """How many CT numbers lie below and above the table."""
        return int((hu < self.hu[0]).sum()), int((hu > self.hu[-1]).sum())

    def mass_density(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Density in g/cm3, float32, of CT numbers, clamped at the ends.

        Raises BadInput when the table has no densities or for values that are no numbers.
        """
        refuse_not_finite(hu)
        table = self._densities()
        return np.interp(hu, table[:, 0], table[:, 1]).astype(np.float32)

    def of_density(self, density: float) -> float:
        """RSP of the tissue of a density in g/cm3, by the table's densities; in proportion beyond its ends.

        Raises BadInput when the table has no densities or for a density that is not positive.
        """
        table = self._densities()
        if not density > 0.0:
            raise BadInput(_("density {value} g/cm3: allowed are positive numbers").format(value=density))
        rising = np.r_[True, np.diff(table[:, 1]) > 1e-9]
        inside = float(np.clip(density, table[0, 1], table[-1, 1]))
        hu = float(np.interp(inside, table[rising, 1], table[rising, 0]))
        return float(np.interp(hu, self.hu, self.rsp)) * density / inside

    def material_numbers(self, hu: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Index into `materials` of each CT number, uint8; below the first limit the first."""
        refuse_not_finite(hu)
        limits = np.array([limit for limit, _material in self.materials[1:]])
        return np.searchsorted(limits, hu, side="right").astype(np.uint8)

    def _densities(self) -> Floats:
        if self.density is None:
            raise BadInput(
                _("CT calibration {name} holds no densities; make one with `ptcs ct-calibration fit`").format(
                    name=self.name
                )
            )
        return self.density


def refuse_not_finite(hu: NDArray[np.float32]) -> None:
    """Raise BadInput for CT values that are no numbers."""
    if not np.isfinite(hu).all():
        raise BadInput(_("the CT holds values that are no numbers (NaN or infinite); send the series again"))


def load(name_or_path: str | Path = "generic-120kv") -> CtCalibration:
    """Read and check a table: a name in `config/ct_calibrations`, or a path. Raises BadConfig."""
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = CONFIG / "ct_calibrations" / f"{name_or_path}.yaml"
    content = load_checked(path, "ct_calibration")
    table = _rising(content["table"], "stopping powers", path)
    density = _rising(content["density"], "densities", path) if "density" in content else None
    return CtCalibration(
        content["name"],
        content["version"],
        table[:, 0],
        table[:, 1],
        float(content["metal_hu"]),
        density,
        _materials(content.get("materials"), path),
        content.get("provenance", {}),
    )


def _rising(rows: list[list[float]], what: str, path: Path) -> Floats:
    table = np.asarray(rows, dtype=np.float64)
    if (np.diff(table[:, 0]) <= 0.0).any() or (np.diff(table[:, 1]) < 0.0).any():
        raise BadConfig(f"{path.name}: CT numbers must rise and {what} must not fall along the table")
    return table


def _materials(rows: list[list[Any]] | None, path: Path) -> tuple[tuple[float, Material], ...]:
    """The file's materials by name; without any those of Schneider (2000)."""
    known = library().schneider
    if rows is None:
        return known
    by_name = {material.name: material for _limit, material in known}
    missing = [name for _limit, name in rows if name not in by_name]
    if missing or any(rows[k][0] >= rows[k + 1][0] for k in range(len(rows) - 1)):
        raise BadConfig(
            f"{path.name}: materials must rise in CT number and be known ({', '.join(missing) or 'order'}): "
            f"known are {', '.join(by_name)}"
        )
    return tuple((float(limit), by_name[name]) for limit, name in rows)
