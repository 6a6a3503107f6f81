"""`ptcs dose`: recompute the dose of any RT Ion Plan; `ptcs beam-model import`: foreign tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from common.dicom import files, ion_plan, modules, rt_dose, structures
from common.dicom.ct import read_series
from common.errors import BadInput, PtcsError
from common.text import _
from ptcs import dose_ions, dose_output, dose_proton

if TYPE_CHECKING:
    from common.dicom.plan import IonPlan
    from tps_engine.beamdata.ion_machine import IonMachine
    from tps_engine.beamdata.model import BeamModel
    from tps_engine.dose.engines import Options
    from tps_engine.patient.grid import Grid
    from tps_engine.patient.model import Patient

_FILE = click.Path(path_type=Path)


@click.command("dose")
@click.option("--plan", "plan_file", type=_FILE, required=True, help="RT Ion Plan.")
@click.option("--ct", "ct_folder", type=_FILE, help="Folder of one CT series; a structure set in it is used.")
@click.option("--phantom", "phantom_file", type=_FILE, help="Phantom of boxes (YAML) instead of a CT.")
@click.option("--machine", required=True, help="Beam model: a .yaml file, or a name in config/beam_models.")
@click.option(
    "--engine", "engine_name", default="pb", show_default=True, help="pb: pencil beam; mc: Monte Carlo."
)
@click.option("--out", type=_FILE, required=True, help="RT Dose to write.")
@click.option("--per-beam", is_flag=True, help="Also write OUT-beamN.dcm for every beam.")
@click.option("--gantry", multiple=True, metavar="BEAM=ANGLE", help="Another gantry angle in deg for a beam.")
@click.option(
    "--dose-type", type=click.Choice(["physical", "effective"]), default="effective", show_default=True
)
@click.option("--spacing", type=float, default=2.5, show_default=True, help="Edge of the dose voxels, mm.")
@click.option("--like", type=_FILE, help="Take the grid of this RT Dose instead.")
@click.option(
    "--calibration", default="generic-120kv", show_default=True, help="CT numbers to stopping power."
)
@click.option(
    "--outside", type=click.Choice(["refuse", "clamp"]), default="refuse", show_default=True,
    help="CT values in the body beyond the table of --calibration: refuse them, or take its end values.",
)  # fmt: skip
@click.option("--noise", type=float, help="mc: mean uncertainty of a beam to reach, %; default 0.5.")
@click.option("--histories", type=int, help="mc: protons of a beam; with --noise at most so many.")
@click.option("--seed", type=int, default=1, show_default=True, help="mc: the same seed, the same dose.")
@click.option(
    "--dose-to", "quantity", type=click.Choice(["water", "medium"]), default="water", show_default=True
)
@click.option("--device", default="cpu", show_default=True, help="cpu; cuda; auto: cuda where there is one.")
@click.option("--alpha-beta", type=float, help="Carbon, effective dose: alpha/beta of the tissue, Gy.")
@click.option("--cell", help="Carbon, effective dose by mc: cell line of the parameter set carbon-mkm.")
@click.option(
    "--approximate-fragments",
    "approximate",
    is_flag=True,
    help="mc: calculate helium too, whose dose behind the peak is too low.",
)
@click.option("--let", "let_file", type=_FILE, help="mc: also write LETd, keV/um (.mha, .npz).")
@click.option("--uncertainty", "sigma_file", type=_FILE, help="mc: also write sigma, Gy (.mha, .npz).")
def dose(
    plan_file: Path,
    ct_folder: Path | None,
    phantom_file: Path | None,
    machine: str,
    engine_name: str,
    out: Path,
    per_beam: bool,
    gantry: tuple[str, ...],
    dose_type: str,
    spacing: float,
    like: Path | None,
    calibration: str,
    outside: str,
    noise: float | None,
    histories: int | None,
    seed: int,
    quantity: str,
    device: str,
    alpha_beta: float | None,
    cell: str | None,
    approximate: bool,
    let_file: Path | None,
    sigma_file: Path | None,
) -> None:
    """Recompute the dose of an RT Ion Plan, all fractions, on a CT or a phantom."""
    # Imported late: the engine brings a compiler, and other commands need none.
    from tps_engine.dose import engines, recompute  # noqa: PLC0415

    dose_output.check_out(out)
    engines.full_engine_of(engine_name)
    images = (let_file, sigma_file)
    part = None if noise is None else 0.01 * noise
    options = engines.Options(part, histories, seed, quantity, device, approximate)
    _check_options(engine_name, options, images)
    _check_where(ct_folder, phantom_file, spacing)
    plan = recompute.turned(ion_plan.from_dataset(files.read_file(plan_file)), _angles(gantry))
    asked = dose_output.Asked(plan, engine_name, options, out, dose_type, images)
    job = _job(asked, machine, per_beam, alpha_beta, cell)
    job.check()
    table = (calibration, outside)
    patient = _phantom(phantom_file) if phantom_file else _patient(plan, ct_folder or Path(), table)
    for warning in patient.warnings:
        dose_output.warn(warning)
    job.run(patient, _grid(patient, spacing, like), _progress())


def _job(
    asked: dose_output.Asked, machine: str, per_beam: bool, ratio: float | None, cell: str | None
) -> dose_proton.Job | dose_ions.Job:
    """What calculates a plan on a machine, which is read. Raises BadInput for options that do not fit it."""
    from tps_engine.beamdata import ion_files, model  # noqa: PLC0415

    tables = asked.plan.radiation == "ION" and ion_files.found(machine)
    dose_ions.check(tables, asked.engine, per_beam, ratio, cell)
    if not tables:
        return dose_proton.Job(asked, model.load(machine), per_beam)
    if asked.options.device == "cuda":
        raise BadInput(_("carbon plans are calculated on the cores only; take device cpu or auto"))
    return dose_ions.Job(asked, ion_files.load(machine), ratio, cell)


def _check_where(ct_folder: Path | None, phantom_file: Path | None, spacing: float) -> None:
    if (ct_folder is None) == (phantom_file is None):
        raise BadInput(_("give either --ct or --phantom"))
    if not 0.5 <= spacing <= 20.0:
        raise BadInput(_("dose voxels of {mm} mm: allowed are 0.5 to 20 mm").format(mm=spacing))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip


def _check_options(engine: str, options: Options, images: tuple[Path | None, Path | None]) -> None:
    """Raise BadInput for options that the engine does not know or cannot keep."""
    from tps_engine.device import choice  # noqa: PLC0415

    choice.chosen(options.device)
    noise, histories = options.noise, options.histories
    if engine != "mc" and (noise is not None or histories is not None or any(images)):
        raise BadInput(
            _("--noise, --histories, --let and --uncertainty are the Monte Carlo engine's: take --engine mc")
        )
    for path in images:
        dose_output.check_image(path)
    if noise is not None and not 0.0001 <= noise <= 0.5:
        raise BadInput(
            _("noise of {percent} %: allowed are 0.01 to 50 %").format(percent=f"{100.0 * noise:g}")
        )
    if histories is not None and histories < 20:
        raise BadInput(_("{count} histories: allowed are 20 and more").format(count=histories))


def _angles(gantry: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for text in gantry:
        beam, equals, angle = text.rpartition("=")
        try:
            found[beam] = float(angle)
        except ValueError:
            equals = ""
        if not equals or not beam or not -360.0 <= found[beam] <= 360.0:
            raise BadInput(_("--gantry {text}: give BEAM=ANGLE, the angle in degrees").format(text=text))
    return found


def _phantom(path: Path) -> Patient:
    from tps_engine.patient import phantom  # noqa: PLC0415

    return phantom.load(path).patient


def _patient(plan: IonPlan, folder: Path, table: tuple[str, str]) -> Patient:
    """The CT of a folder, with the one structure set that may lie in it. table: --calibration, --outside."""
    from tps_engine.dose import recompute  # noqa: PLC0415
    from tps_engine.patient import stopping_power  # noqa: PLC0415

    datasets = files.read_folder(folder)
    ct = read_series(datasets)
    if plan.frame_of_reference_uid and plan.frame_of_reference_uid != ct.frame_of_reference_uid:
        raise BadInput(
            _("the plan has another frame of reference than the CT; give the CT that it was made on")
        )
    drawn = [ds for ds in datasets if modules.text(ds, "Modality") == "RTSTRUCT"]
    if len(drawn) > 1:
        raise BadInput(
            _("{folder} holds {count} structure sets: allowed is one").format(
                folder=folder.name, count=len(drawn)
            )
        )
    regions = structures.from_dataset(drawn[0]) if drawn else None
    calibration, outside = table
    return recompute.patient_of(ct, regions, stopping_power.load(calibration), outside)


def _grid(patient: Patient, spacing: float, like: Path | None) -> Grid:
    from tps_engine.evaluate.compare import grid_of  # noqa: PLC0415
    from tps_engine.patient.grid import dose_grid  # noqa: PLC0415

    if like is not None:
        return grid_of(rt_dose.from_dataset(files.read_file(like)))
    return dose_grid(patient.grid, patient.body, spacing)


@click.group("beam-model")
def beam_model() -> None:
    """Beam models of machines."""


@beam_model.command("import")
@click.argument("table", type=_FILE)
@click.option("--format", "kind", type=click.Choice(["dcpt", "mcsquare", "matrad"]), required=True)
@click.option("--out", type=_FILE, required=True, help="Beam model (.yaml) to write.")
def import_model(table: Path, kind: str, out: Path) -> None:
    """Turn a DCPT table (CSV) or an MCsquare library into a beam model, matRad data into an ion machine."""
    from tps_engine.beamdata.importers import common as importers  # noqa: PLC0415
    from tps_engine.beamdata.importers import dcpt, matrad, mcsquare  # noqa: PLC0415

    made: BeamModel | IonMachine
    try:
        if kind == "matrad":
            made = matrad.convert(table, out)
        else:
            made = importers.write({"dcpt": dcpt.read, "mcsquare": mcsquare.read}[kind](table), out)
    except OSError as why:
        raise PtcsError(_("cannot write {path}: {why}").format(path=out, why=why.strerror)) from why
    click.echo(
        _("{path}: {count} energies, {low} .. {high} MeV").format(
            path=out, count=len(made.energies), low=f"{made.energies[0]:g}", high=f"{made.energies[-1]:g}"
        )
    )
