"""Files of `ptcs dose`: RT Doses of a plan and its beams; LET and uncertainty as images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from common.dicom import files, modules, rt_dose
from common.errors import BadInput, PtcsError
from common.text import _

if TYPE_CHECKING:
    from common.dicom.plan import IonPlan
    from tps_engine.dose.engines import Options
    from tps_engine.dose.recompute import BeamDose
    from tps_engine.patient.grid import Grid

_IMAGES = (".mha", ".npz")


@dataclass(frozen=True)
class Asked:
    """What is asked for, whatever the particle, and where it goes. kind: physical or effective.

    images: where LETd and the uncertainty go, None: nowhere.
    """

    plan: IonPlan
    engine: str
    options: Options
    out: Path
    kind: str
    images: tuple[Path | None, Path | None]


def warn(text: str) -> None:
    """A warning on the error stream."""
    click.echo(f"! {text}", err=True)


def check_out(path: Path) -> None:
    """Raise PtcsError, before time is spent, for a file that cannot be written: a folder, no permission."""
    place = path.absolute().parent
    while not place.exists():
        place = place.parent
    if path.is_dir() or not place.is_dir() or not os.access(place, os.W_OK):
        raise PtcsError(
            _("cannot write {path}: {why}").format(path=path, why=_("no file in a folder open to writing"))
        )


def check_image(path: Path | None) -> None:
    """Raise BadInput, before time is spent, for an image file of a kind that is not written."""
    if path is not None and path.suffix not in _IMAGES:
        raise BadInput(
            _("{path}: LET and uncertainty are written as {allowed}; end the name with one of these").format(
                path=path, allowed=", ".join(_IMAGES)
            )
        )


def write_image(path: Path, values: NDArray[np.float32], grid: Grid, quantity: str, unit: str) -> None:
    """Write (nz, ny, nx) float32 values on a grid; coordinates are the patient's (DICOM), mm.

    .mha: a MetaImage, which image viewers read; quantity and unit stand in its Comment. .npz: numpy arrays
    values, origin and spacing (x, y, z), quantity and unit. Raises PtcsError when it cannot be written.
    """
    try:
        if path.suffix == ".npz":
            np.savez_compressed(
                path, values=values, origin=grid.origin, spacing=grid.spacing, quantity=quantity, unit=unit
            )
        else:
            path.write_bytes(_meta_image(values, grid, f"{quantity}, {unit}"))
    except OSError as why:
        raise PtcsError(_("cannot write {path}: {why}").format(path=path, why=why.strerror)) from why
    click.echo(
        _("{path}: {what}, maximum {value} {unit}").format(
            path=path, what=quantity, value=f"{float(values.max()):.4g}", unit=unit
        )
    )


def _meta_image(values: NDArray[np.float32], grid: Grid, comment: str) -> bytes:
    def numbers(row: tuple[float, ...]) -> str:
        return " ".join(f"{value:.10g}" for value in row)

    head = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        "TransformMatrix = 1 0 0 0 1 0 0 0 1",
        f"Offset = {numbers(grid.origin)}",
        f"ElementSpacing = {numbers(grid.spacing)}",
        f"DimSize = {numbers(grid.shape[::-1])}",
        f"Comment = {comment}",
        "ElementType = MET_FLOAT",
        "ElementDataFile = LOCAL",
    ]
    return "\n".join(head).encode() + b"\n" + values.astype("<f4").tobytes()


def write_doses(
    plan: IonPlan,
    parts: list[BeamDose],
    grid: Grid,
    out: Path,
    per_beam: bool,
    dose_type: str,
    factor: float,
    comment: str,
) -> None:
    """Doses of all fractions: the plan's, and on wish every beam's beside it. factor: to one fraction's Gy.

    Raises PtcsError when a file cannot be written.
    """
    total = np.asarray(np.sum([part.dose for part in parts], axis=0, dtype=np.float64))
    todo: list[tuple[Path, NDArray[np.floating], str, int | None]] = [(out, total, "PLAN", None)]
    if per_beam:
        todo += [
            (out.with_name(f"{out.stem}-beam{part.beam.number}.dcm"), part.dose, "BEAM", part.beam.number)
            for part in parts
        ]
    series = modules.new_uid()
    for path, values, summation, number in todo:
        kind = (dose_type, summation, number)
        write_dose(plan, (factor * values).astype("f4"), grid, path, kind, comment, series)


def write_dose(
    plan: IonPlan,
    values: NDArray[np.float32],
    grid: Grid,
    path: Path,
    kind: tuple[str, str, int | None],
    comment: str,
    series: str = "",
) -> None:
    """One RT Dose in Gy. kind: dose type, summation type, number of the beam. Raises PtcsError."""
    content = rt_dose.DoseGrid(
        values, grid.origin, grid.spacing, plan.patient, modules.new_uid(), plan.study_instance_uid,
        series or modules.new_uid(), plan.frame_of_reference_uid, plan.sop_instance_uid, kind[0], kind[1],
        plan.structure_set_uid, kind[2], (), comment,
    )  # fmt: skip
    try:
        files.write_file(rt_dose.to_dataset(content), path)
    except OSError as why:
        raise PtcsError(_("cannot write {path}: {why}").format(path=path, why=why.strerror)) from why
    click.echo(_("{path}: maximum {dose} Gy").format(path=path, dose=f"{content.dose.max():.3f}"))
