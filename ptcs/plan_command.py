"""`ptcs plan`: an intensity-modulated plan on a CT with its structure set, as DICOM and pictures."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from common.errors import BadInput, PtcsError
from common.text import _

_FILE = click.Path(path_type=Path)
_ANGLES = {"gantry": 360.0, "couch": 180.0}


@click.command("plan")
@click.option(
    "--ct", "folder", type=_FILE, required=True, help="Folder of one CT series and its structure set."
)
@click.option("--target", required=True, help="Region to treat.")
@click.option("--dose", type=float, required=True, help="RBE-weighted Gy of one fraction.")
@click.option("--fractions", type=int, default=1, show_default=True)
@click.option(
    "--field", "fields", multiple=True, required=True, metavar="NAME=GANTRY[/COUCH]", help="In degrees."
)
@click.option("--organ", "organs", multiple=True, metavar="NAME[=GY]", help="Organ to spare; most Gy in all.")
@click.option(
    "--machine", default="proton-generic", show_default=True, help="Beam model: a name or a .yaml file."
)
@click.option("--margin", type=float, default=3.0, show_default=True, help="Target to planning target, mm.")
@click.option("--spacing", type=float, default=3.0, show_default=True, help="Edge of the dose voxels, mm.")
@click.option(
    "--calibration", default="generic-120kv", show_default=True, help="CT numbers to stopping power."
)
@click.option(
    "--robust", metavar="MM/PERCENT", help="Set-up and range errors that the plan must bear, such as 3/3.5."
)
@click.option("--out", type=_FILE, required=True, help="Folder for plan.dcm, dose.dcm and pictures.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def plan(
    folder: Path,
    target: str,
    dose: float,
    fractions: int,
    fields: tuple[str, ...],
    organs: tuple[str, ...],
    machine: str,
    margin: float,
    spacing: float,
    calibration: str,
    robust: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Plan a treatment: spots, optimised metersets and their dose. Review before any use."""
    angles = dict(_field(text) for text in fields)
    limits = dict(_organ(text) for text in organs)
    if len(angles) != len(fields):
        raise BadInput(_("two fields have one name; give each its own"))
    if not 0.0 <= margin <= 50.0 or not 0.5 <= spacing <= 20.0:
        raise BadInput(_("allowed are margins of 0 to 50 mm and dose voxels of 0.5 to 20 mm"))
    # Imported late: the engine brings a compiler, and other commands need none.
    from tps_engine.plan.request import PlanOptions, Robustness  # noqa: PLC0415
    from tps_engine.scripting.case import Case  # noqa: PLC0415

    errors = None if robust is None else Robustness(*_errors(robust))
    made = Case.read(folder).plan(
        target,
        dose=dose,
        fractions=fractions,
        fields=angles,
        machine=machine,
        organs=limits,
        options=PlanOptions(margin=margin, dose_spacing=spacing, robust=errors),
        calibration=calibration,
    )
    try:
        made.save(out)
        made.planes().save(out / "dose_planes.png")
        made.histograms().save(out / "dvh.png")
    except OSError as why:
        raise PtcsError(_("cannot write {path}: {why}").format(path=out, why=why.strerror)) from why
    metrics = made.metrics()
    if as_json:
        click.echo(json.dumps(_facts(made, out)))
        return
    console = Console()
    for shown in (metrics, made.scenarios()) if errors else (metrics,):
        table = Table(*shown.headings)
        for name, *numbers in shown.rows:
            table.add_row(str(name), *(f"{number:.3f}" for number in numbers))
        console.print(table)
    for warning in made.warnings:
        console.print(f"! {warning}")
    click.echo(
        _("{path}: {spots} spots in {layers} layers").format(
            path=out, spots=made.result.spots, layers=made.result.layers
        )
    )


def _by_name(table: Any) -> dict[str, dict[str, float]]:
    return {row[0]: dict(zip(table.headings[1:], row[1:], strict=True)) for row in table.rows}


def _facts(made: Any, out: Path) -> dict[str, Any]:
    metrics = made.metrics()
    return {
        "out": str(out),
        "spots": made.result.spots,
        "layers": made.result.layers,
        "converged": made.result.converged,
        "regions": _by_name(metrics),
        "scenarios": _by_name(made.scenarios()),
        "warnings": list(made.warnings),
    }


def _field(text: str) -> tuple[str, tuple[float, float]]:
    """NAME=GANTRY[/COUCH]. Raises BadInput."""
    name, equals, angles = text.rpartition("=")
    parts = angles.split("/")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    limits = list(_ANGLES.values())
    if not name or not equals or not 1 <= len(values) <= len(limits):
        raise BadInput(
            _("--field {text}: give NAME=GANTRY or NAME=GANTRY/COUCH, in degrees").format(text=text)
        )
    if not all(-limit <= value <= limit for value, limit in zip(values, limits, strict=False)):
        raise BadInput(
            _("--field {text}: allowed are gantry -360 .. 360 and couch -180 .. 180 degrees").format(
                text=text
            )
        )
    return name, (values[0], values[1] if len(values) > 1 else 0.0)


def _errors(text: str) -> tuple[float, float]:
    """MM/PERCENT. Raises BadInput."""
    shift, slash, percent = text.partition("/")
    try:
        errors = (float(shift), float(percent))
    except ValueError:
        errors = (-1.0, -1.0)
    if not slash or not 0.0 <= errors[0] <= 20.0 or not 0.0 <= errors[1] <= 10.0 or not any(errors):
        raise BadInput(
            _("--robust {text}: give MM/PERCENT, up to 20 mm and 10 %, such as 3/3.5").format(text=text)
        )
    return errors


def _organ(text: str) -> tuple[str, float | None]:
    """NAME[=GY]. Raises BadInput."""
    name, equals, limit = text.rpartition("=")
    if not equals:
        return text, None
    try:
        value = float(limit)
    except ValueError:
        value = -1.0
    if not name or not 0.0 < value <= 1000.0:
        raise BadInput(_("--organ {text}: give NAME or NAME=GY, up to 1000 Gy").format(text=text))
    return name, value
