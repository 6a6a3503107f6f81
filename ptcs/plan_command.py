"""`ptcs plan`: an intensity-modulated plan on a CT with its structure set, as DICOM and pictures."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from common.errors import BadInput, PtcsError
from common.text import _
from ptcs.options import json_option

_FILE = click.Path(path_type=Path)
_ANGLES = {"gantry": 360.0, "couch": 180.0}


@click.command("plan")
@click.option(
    "--ct", "folder", type=_FILE, required=True, help="Folder of one CT series and its structure set."
)
@click.option("--request", "file", type=_FILE, help="What is asked for (YAML); other options go before it.")
@click.option("--target", help="Region to treat.")
@click.option("--dose", type=float, help="RBE-weighted Gy of one fraction.")
@click.option("--fractions", type=int, help="[default: 1]")
@click.option("--field", "fields", multiple=True, metavar="NAME=GANTRY[/COUCH]", help="In degrees.")
@click.option("--organ", "organs", multiple=True, metavar="NAME[=GY]", help="Organ to spare; most Gy in all.")
@click.option(
    "--machine", help="Beam model or ion machine: a name or a .yaml file.  [default: proton-generic]"
)
@click.option("--margin", type=float, help="Target to planning target, mm.  [default: 3]")
@click.option("--spacing", type=float, help="Edge of the dose voxels, mm.  [default: 3]")
@click.option("--calibration", help="CT numbers to stopping power.  [default: generic-120kv]")
@click.option(
    "--outside",
    type=click.Choice(["refuse", "clamp"]),
    help="CT values in the body beyond the table of --calibration: refuse them, or take its end values.  "
    "[default: refuse]",
)
@click.option(
    "--robust", metavar="MM/PERCENT", help="Set-up and range errors that the plan must bear, such as 3/3.5."
)
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    metavar="LINE",
    help='Kept to, such as "rectum: V40 < 30 %".',
)
@click.option(
    "--objective", "objectives", multiple=True, metavar="LINE", help='Aimed at, such as "cord: LETd max < 6".'
)
@click.option("--model", help="Biology: constant 1.1, McNamara, ...; for ions tabulated, MKM or physical.")
@click.option(
    "--tissue",
    "tissues",
    multiple=True,
    metavar="NAME=RATIO",
    help="alpha/beta of a region, Gy, or a tissue.",
)
@click.option("--uniform", is_flag=True, default=None, help="Every field gives an even dose by itself.")
@click.option(
    "--fewer-layers", type=float, metavar="LOSS", help="Drop layers at this loss of objective, 0.1: 10 %."
)
@click.option("--fewer-spots", type=float, metavar="LOSS", help="Drop weak spots likewise.")
@click.option(
    "--time", "worth", type=float, help="Worth of delivery time against the objectives, such as 0.5."
)
@click.option("--start", type=_FILE, help="Earlier RT Ion Plan to begin from.")
@click.option("--device", default="cpu", show_default=True, help="cpu; cuda; auto: cuda where there is one.")
@click.option("--out", type=_FILE, required=True, help="Folder for plan.dcm, dose.dcm and pictures.")
@json_option
def plan(
    folder: Path,
    file: Path | None,
    start: Path | None,
    device: str,
    out: Path,
    as_json: bool,
    **words: Any,
) -> None:
    """Plan a treatment: spots, optimised metersets and their dose. Review before any use."""
    given = _given(words)
    # Imported late: the engine brings a compiler, and other commands need none.
    from tps_engine.scripting import asked  # noqa: PLC0415

    request = {**(asked.read(file) if file else {}), **given}
    missing = [f"--{name}" for name in ("target", "dose", "fields") if name not in request]
    if missing:
        raise BadInput(
            _("missing: {words}; give them, or a --request that holds them").format(
                words=", ".join(missing).replace("fields", "field")
            )
        )
    made = asked.make(folder, request, file.parent if file else Path(), start, device)
    try:
        made.save(out)
        made.planes().save(out / "dose_planes.png")
        made.histograms().save(out / "dvh.png")
    except OSError as why:
        raise PtcsError(_("cannot write {path}: {why}").format(path=out, why=why.strerror)) from why
    if as_json:
        click.echo(json.dumps(_facts(made, out)))
    else:
        _tell(made, out)


def _given(words: dict[str, Any]) -> dict[str, Any]:
    """What the command line says, as a request has it. Raises BadInput."""
    found = {name: value for name, value in words.items() if value not in (None, ())}
    for name, kind in (("fields", _field), ("organs", _organ), ("tissues", _tissue)):
        if name in found:
            pairs = [kind(text) for text in found[name]]
            if len({key for key, _value in pairs}) != len(pairs):
                raise BadInput(_("two of one name in --{word}; give each its own").format(word=name[:-1]))
            found[name] = dict(pairs)
    if "robust" in found:
        shift, percent = _errors(found["robust"])
        found["robust"] = {"shift": shift, "range": percent}
    reduce = {part: found.pop(f"fewer_{part}") for part in ("layers", "spots") if f"fewer_{part}" in found}
    if reduce:
        found["reduce"] = reduce
    if "worth" in found:
        found["time"] = found.pop("worth")
    return found


def _tell(made: Any, out: Path) -> None:
    """Tables and warnings, as lines."""
    console = Console()
    tables = [made.metrics()]
    tables += [made.goals()] if made.result.goals else []
    tables += [made.scenarios()] if made.result.scenarios else []
    for shown in tables:
        table = Table(*shown.headings)
        for row in shown.rows:
            table.add_row(*(cell if isinstance(cell, str) else f"{cell:.3f}" for cell in row))
        console.print(table)
    for warning in made.warnings:
        console.print(f"! {warning}")
    click.echo(
        _("{path}: {spots} spots in {layers} layers").format(
            path=out, spots=made.result.spots, layers=made.result.layers
        )
    )
    click.echo(
        _("estimated delivery: {seconds} s, {model}").format(
            seconds=f"{made.result.time.total:.0f}", model=made.result.model
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
        "model": made.result.model,
        "seconds": made.result.time.total,
        "regions": _by_name(metrics),
        "goals": [dataclasses.asdict(one) for one in made.result.goals],
        "scenarios": _by_name(made.scenarios()),
        "warnings": list(made.warnings),
    }


def _field(text: str) -> tuple[str, dict[str, float]]:
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
    return name, dict(zip(_ANGLES, values, strict=False))


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


def _tissue(text: str) -> tuple[str, float | str]:
    """NAME=RATIO, in Gy, or NAME=TISSUE. Raises BadInput."""
    name, equals, value = text.rpartition("=")
    if not name or not equals or not value:
        raise BadInput(_("--tissue {text}: give NAME=RATIO in Gy, or NAME=TISSUE").format(text=text))
    try:
        return name, float(value)
    except ValueError:
        return name, value
