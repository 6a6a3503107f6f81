"""What replaces the scanned stopping power: regions given a value, a couch, metal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.site import CONFIG, load_checked
from common.text import _
from tps_engine.patient.composition import library
from tps_engine.patient.grid import Grid
from tps_engine.patient.stopping_power import CtCalibration

Mask = NDArray[np.bool_]

_HIGHEST_RSP = 20.0
_SUPINE, _PRONE = ("HFS", "FFS"), ("HFP", "FFP")


@dataclass(frozen=True)
class Override:
    """A region taken as uniform. Exactly one of rsp, hu, density (g/cm3), material (a name in the library).

    density beside material: that material at another density. Where regions overlap the higher priority
    counts. Raises BadInput for none or several values, or one out of bounds.
    """

    region: str
    rsp: float | None = None
    hu: float | None = None
    density: float | None = None
    material: str = ""
    priority: int = 0

    def __post_init__(self) -> None:
        given = [self.rsp is not None, self.hu is not None, self.density is not None and not self.material]
        if sum(given) + bool(self.material) != 1:
            raise BadInput(
                _("override of {region}: give one of stopping power, CT number, density and material").format(
                    region=self.region
                )
            )

    def value(self, calibration: CtCalibration) -> float:
        """The stopping power relative to water. Raises BadInput: unknown material, value out of bounds."""
        if self.rsp is not None:
            found = self.rsp
        elif self.hu is not None:
            found = float(
                calibration.relative_stopping_power(np.array([self.hu], dtype=np.float32), "refuse")[0]
            )
        elif self.material:
            found = library().any(self.material).relative_stopping_power(self.density)
        else:
            found = calibration.of_density(float(self.density or 0.0))
        if not 0.0 <= found <= _HIGHEST_RSP:
            raise BadInput(
                _("override of {region}: stopping power {value}; allowed are 0 to {most}").format(
                    region=self.region, value=f"{found:g}", most=f"{_HIGHEST_RSP:g}"
                )
            )
        return found


def apply(
    rsp: NDArray[np.float32],
    regions: Mapping[str, Mask],
    overrides: Sequence[Override],
    calibration: CtCalibration,
) -> list[str]:
    """Set the regions' voxels in `rsp` (nz, ny, nx), lowest priority first; a text for each.

    A region outside the body (bolus, couch, fixation) becomes matter there. Raises BadInput when two
    overrides of one priority with different values overlap.
    """
    values = [(override, override.value(calibration)) for override in overrides]
    for k, (first, one) in enumerate(values):
        for second, other in values[:k]:
            clash = first.priority == second.priority and one != other
            if clash and (regions[first.region] & regions[second.region]).any():
                raise BadInput(
                    _(
                        "overrides of {one} and {other} overlap with the same priority; give one a higher"
                    ).format(one=second.region, other=first.region)
                )
    texts = []
    for override, value in sorted(values, key=lambda pair: pair[0].priority):
        rsp[regions[override.region]] = value
        texts.append(
            _("{region} is taken as stopping power {value} (override, priority {priority})").format(
                region=override.region, value=f"{value:.3f}", priority=override.priority
            )
        )
    return texts


@dataclass(frozen=True)
class Couch:
    """A flat couch top: a shell around a core, mm and stopping power relative to water, and where it lies.

    top: patient y of its upper face, mm; centre: patient x of its middle. It runs through the whole image.
    """

    name: str
    width: float
    thickness: float
    shell: float
    shell_rsp: float
    core_rsp: float
    top: float = 0.0
    centre: float = 0.0


def load_couch(name_or_path: str | Path, top: float, centre: float = 0.0) -> Couch:
    """A couch of config/couches, or of a file, at its place. Raises BadConfig."""
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = CONFIG / "couches" / f"{name_or_path}.yaml"
    content = load_checked(path, "couch")
    return Couch(
        content["name"],
        float(content["width_mm"]),
        float(content["thickness_mm"]),
        float(content["shell_mm"]),
        float(content["shell_rsp"]),
        float(content["core_rsp"]),
        top,
        centre,
    )


def insert_couch(
    rsp: NDArray[np.float32], body: Mask, grid: Grid, couch: Couch, position: str
) -> tuple[Mask, str]:
    """Lay a couch into `rsp` (nz, ny, nx) outside the body, by the exact part of each voxel it fills.

    Returns the voxels that it fills by half or more, and a text. It lies behind a supine and before a
    prone patient; raises BadInput for another position, or a couch outside the image.
    """
    if position not in _SUPINE + _PRONE:
        raise BadInput(
            _("a couch is placed for HFS, FFS, HFP and FFP; the image shows {position}").format(
                position=position or "-"
            )
        )
    down = 1.0 if position in _SUPINE else -1.0
    whole = _rectangle(grid, couch, down, 0.0)
    core = _rectangle(grid, couch, down, couch.shell)
    if not whole.any():
        raise BadInput(
            _("couch {name} at y = {top} mm lies outside the image; correct its height").format(
                name=couch.name, top=f"{couch.top:g}"
            )
        )
    added = (couch.shell_rsp * (whole - core) + couch.core_rsp * core).astype(np.float32)
    free = (1.0 - whole).astype(np.float32)
    for plane, inside in zip(rsp, body, strict=True):
        plane[:] = np.where(inside, plane, plane * free + added)
    mask = np.broadcast_to(whole >= 0.5, rsp.shape) & ~body
    text = _("couch {name} inserted at y = {top} mm").format(name=couch.name, top=f"{couch.top:g}")
    return mask, text


def _rectangle(grid: Grid, couch: Couch, down: float, inset: float) -> NDArray[np.float64]:
    """Part (ny, nx) of each voxel inside the couch's cross-section, `inset` mm within its faces."""
    if 2.0 * inset >= min(couch.thickness, couch.width):
        return np.zeros((grid.shape[1], grid.shape[2]))
    ends = sorted((couch.top + down * inset, couch.top + down * (couch.thickness - inset)))
    sides = (couch.centre - 0.5 * couch.width + inset, couch.centre + 0.5 * couch.width - inset)
    shares = []
    for axis, (low, high) in ((1, ends), (0, sides)):
        centre, half = grid.axis(axis), 0.5 * grid.spacing[axis]
        part = np.minimum(centre + half, high) - np.maximum(centre - half, low)
        shares.append(np.clip(part / (2.0 * half), 0.0, 1.0))
    return np.asarray(np.outer(shares[0], shares[1]))
