"""`ptcs gamma`: compare two RT Doses."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from common.dicom import files, ion_plan, modules, rt_dose, structures
from common.dicom.rt_dose import DoseGrid
from common.errors import BadInput
from common.text import _
from ptcs.options import json_option

_FILE = click.Path(path_type=Path)


@click.command("gamma")
@click.option("--reference", type=_FILE, required=True, help="RT Dose that is right.")
@click.option("--evaluated", type=_FILE, required=True, help="RT Dose that is judged.")
@click.option("--dose", "percent", type=float, default=2.0, show_default=True, help="Dose difference, %.")
@click.option("--distance", type=float, default=2.0, show_default=True, help="Distance to agreement, mm.")
@click.option("--threshold", type=float, default=10.0, show_default=True, help="Lowest dose, %.")
@click.option("--local", is_flag=True, help="Dose difference in % of each point's own dose.")
@click.option("--normalise", default="max", show_default=True, metavar="max|prescription|GY")
@click.option("--plan", "plan_file", type=_FILE, help="RT Ion Plan that holds the prescription.")
@click.option("--mask", type=_FILE, help="RT Structure Set (its External) or phantom (YAML): only inside it.")
@click.option("--roi", default="", help="Another region of the mask's structure set.")
@click.option("--scale", type=float, default=1.0, show_default=True, help="Factor on the evaluated dose.")
@click.option("--device", default="cpu", show_default=True, help="cpu; cuda; auto: cuda where there is one.")
@json_option
def gamma(
    reference: Path,
    evaluated: Path,
    percent: float,
    distance: float,
    threshold: float,
    local: bool,
    normalise: str,
    plan_file: Path | None,
    mask: Path | None,
    roi: str,
    scale: float,
    device: str,
    as_json: bool,
) -> None:
    """Gamma index of an evaluated dose against a reference dose."""
    # Imported late: the engine brings a compiler, and other commands need none.
    from tps_engine.device import choice  # noqa: PLC0415
    from tps_engine.evaluate.compare import compare  # noqa: PLC0415
    from tps_engine.evaluate.gamma import GammaCriteria  # noqa: PLC0415

    choice.chosen(device)
    _check(percent, distance, threshold, scale)
    planned = rt_dose.from_dataset(files.read_file(reference))
    given = rt_dose.from_dataset(files.read_file(evaluated))
    norm = _norm(normalise, planned, plan_file)
    criteria = GammaCriteria(percent, distance, threshold, "local" if local else "global", norm)
    region = None if mask is None else _mask(mask, roi, planned)
    with Console(stderr=True).status(_("comparing doses")):
        found = compare(planned, given, criteria, region, scale, device)
    result: dict[str, Any] = {
        "pass_rate": found.gamma.pass_rate,
        "points": found.gamma.points,
        "outside": found.outside,
        "dose_percent": percent,
        "distance_mm": distance,
        "threshold_percent": threshold,
        "mode": criteria.mode,
        "normalisation_gy": found.gamma.criteria.normalisation_gy,
        "mean_gamma": float(np.nanmean(found.gamma.values)),
        "mean_ratio": found.mean_ratio,
        "reference_max_gy": found.maximum[0],
        "evaluated_max_gy": found.maximum[1],
        "scale": scale,
    }
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    click.echo(
        _("gamma {percent} %/{distance} mm: {rate} % of {points} points; mean dose ratio {ratio}").format(
            percent=f"{percent:g}", distance=f"{distance:g}", rate=f"{found.gamma.pass_rate:.2f}",
            points=found.gamma.points, ratio=f"{found.mean_ratio:.4f}",
        )
    )  # fmt: skip
    if found.outside:
        click.echo(_("{count} points lie outside the evaluated dose or the mask").format(count=found.outside))


def _check(percent: float, distance: float, threshold: float, scale: float) -> None:
    allowed = (
        ("--dose", percent, 0.05, 50.0),
        ("--distance", distance, 0.1, 50.0),
        ("--threshold", threshold, 0.0, 99.0),
        ("--scale", scale, 0.01, 100.0),
    )
    for name, value, low, high in allowed:
        if not low <= value <= high:
            raise BadInput(
                _("{name} {value}: allowed are {low} to {high}").format(
                    name=name, value=f"{value:g}", low=f"{low:g}", high=f"{high:g}"
                )
            )


def _norm(text: str, planned: DoseGrid, plan_file: Path | None) -> float | None:
    """The dose in Gy that percentages refer to; None: the maximum of the reference."""
    if text == "max":
        return None
    if text == "prescription":
        if plan_file is None:
            raise BadInput(_("--normalise prescription needs --plan, the plan that holds the prescription"))
        plan = ion_plan.from_dataset(files.read_file(plan_file))
        if plan.prescription <= 0.0:
            raise BadInput(_("the plan states no prescription; give --normalise a dose in Gy"))
        total = plan.prescription * plan.fractions
        return total / 1.1 if planned.dose_type == "PHYSICAL" else total
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1000.0:
        raise BadInput(
            _("--normalise {text}: allowed are max, prescription or a dose in Gy").format(text=text)
        )
    return value


def _mask(path: Path, roi: str, planned: DoseGrid) -> NDArray[np.bool_]:
    """The region to compare, on the reference's grid."""
    from tps_engine.evaluate.compare import grid_of, mask_of  # noqa: PLC0415
    from tps_engine.patient import phantom  # noqa: PLC0415
    from tps_engine.patient.grid import resample_nearest  # noqa: PLC0415

    if path.suffix.lower() in (".yaml", ".yml"):
        patient = phantom.load(path).patient
        return resample_nearest(patient.body, patient.grid, grid_of(planned))
    ds = files.read_file(path)
    modules.check_class(ds, modules.RT_STRUCTURE_SET, "RT Structure Set Storage")
    drawn = structures.from_dataset(ds)
    if drawn.frame_of_reference_uid != planned.frame_of_reference_uid:
        raise BadInput(_("the mask has another frame of reference than the reference dose"))
    if roi:
        return mask_of(drawn.roi(roi).contours, planned)
    for region in drawn.of_kind("EXTERNAL"):
        if region.contours:
            return mask_of(region.contours, planned)
    raise BadInput(_("the structure set has no body outline (External); draw it first"))
