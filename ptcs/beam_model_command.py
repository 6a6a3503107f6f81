"""`ptcs beam-model fit | show | compare | approve`: physics data of machines, beside `import`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from common.errors import BadInput, PtcsError
from common.files import write_atomic
from common.text import _
from common.yaml_file import CONFIG, load_checked
from ptcs.dose_command import beam_model

_FILE = click.Path(path_type=Path)

__all__ = ["beam_model"]


@beam_model.command("fit")
@click.argument("measurements", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="Beam model (.yaml) to write.")
@click.option("--report", type=_FILE, help="Report (.pdf or .html) to write.")
def fit_model(measurements: Path, out: Path, report: Path | None) -> None:
    """Fit a beam model to commissioning measurements (a YAML head beside its CSV files)."""
    from tps_engine.beamdata.fit import fitting  # noqa: PLC0415
    from tps_engine.beamdata.fit import measurements as files  # noqa: PLC0415

    if report is not None and report.suffix not in (".pdf", ".html"):
        raise BadInput(_("{name}: a report is a .pdf or .html file").format(name=report.name))
    result = fitting.fit(files.load(measurements))
    _write(out, result.content)
    if report is not None:
        _report(result, report)
    for text in result.warnings:
        click.echo(f"{_('warning')}: {text}", err=True)
    worst = max(row.rms for row in result.residuals)
    click.echo(
        _("{path}: {count} energies from {measured} measurements; largest residual {rms} % rms").format(
            path=out, count=len(result.content["energies"]), measured=len(result.residuals),
            rms=f"{100 * worst:.2f}",
        )
    )  # fmt: skip


@beam_model.command("show")
@click.argument("model")
def show_model(model: str) -> None:
    """Show what a beam model is: name, version, author, hash, approval and energies."""
    from tps_engine.beamdata import identity  # noqa: PLC0415
    from tps_engine.beamdata import model as models  # noqa: PLC0415

    path = _path(model)
    content = load_checked(path, "beam_model")
    loaded = models.load(path)
    approved = content.get("approved")
    known = [key for key in ("name", "version", "description", "author", "date", "source") if key in content]
    rows: list[tuple[str, str]] = [(key, str(content[key])) for key in known]
    ends = [float(loaded.water.range_of(float(loaded.mean_energy[k]))) for k in (0, -1)]
    rows += [
        ("SHA-256", identity.digest(content)),
        (_("approved"), f"{approved['name']}, {approved['date']}" if approved else _("no")),
        (_("energies"), f"{len(loaded.energies)}, {loaded.energies[0]:g} .. {loaded.energies[-1]:g} MeV"),
        (_("range in water"), f"{ends[0]:.1f} .. {ends[1]:.1f} mm"),
    ]
    table = Table("", "", show_header=False)
    table.columns[1].overflow = "fold"
    for name, value in rows:
        table.add_row(name, value)
    Console().print(table)


@beam_model.command("compare")
@click.argument("first")
@click.argument("second")
def compare_models(first: str, second: str) -> None:
    """Compare two beam models: entries that differ, and the largest differences over common energies."""
    from tps_engine.beamdata import identity  # noqa: PLC0415
    from tps_engine.beamdata.fit import compare  # noqa: PLC0415

    one, two = (load_checked(_path(name), "beam_model") for name in (first, second))
    if identity.digest(one) == identity.digest(two):
        click.echo(_("the same content"))
        return
    table = Table(_("entry"), first, second)
    for row in identity.differences(one, two):
        table.add_row(*row)
    Console().print(table)
    table = Table(_("parameter"), _("mean difference"), _("largest difference"), _("at (MeV)"))
    for difference in compare.over_energies(_path(first), _path(second)):
        unit = difference.unit
        table.add_row(
            difference.name, f"{difference.mean:.3g} {unit}", f"{difference.worst:.3g} {unit}",
            f"{difference.energy:g}",
        )  # fmt: skip
    Console().print(table)


@beam_model.command("approve")
@click.argument("model", type=_FILE)
@click.option("--name", required=True, help="Who approves.")
@click.option("--date", help="YYYY-MM-DD; today if not given.")
def approve_model(model: Path, name: str, date: str | None) -> None:
    """Add a record of approval: name, date and hash of exactly this content. Comments are not kept."""
    from tps_engine.beamdata import identity  # noqa: PLC0415

    content = load_checked(model, "beam_model")
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    approved = identity.with_approval(content, name, date or today)
    _write(model, approved)
    click.echo(_("{path}: approved, SHA-256 {hash}").format(path=model, hash=approved["approved"]["hash"]))


def _path(name: str) -> Path:
    """A .yaml file, or a name in config/beam_models."""
    path = Path(name)
    return path if path.suffix == ".yaml" else CONFIG / "beam_models" / f"{name}.yaml"


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a beam model, atomically, after it has passed its own checks."""
    from tps_engine.beamdata.importers.common import write_checked  # noqa: PLC0415

    try:
        write_checked(content, path)
    except OSError as why:
        raise PtcsError(_("cannot write {path}: {why}").format(path=path, why=why.strerror)) from why


def _report(result: Any, path: Path) -> None:
    from common.links import pdf  # noqa: PLC0415
    from tps_engine.beamdata.fit import report  # noqa: PLC0415

    text = report.html(result)
    try:
        if path.suffix == ".pdf":
            pdf.render(text, path)
        else:
            write_atomic(path, text.encode())
    except OSError as why:
        raise PtcsError(_("cannot write {path}: {why}").format(path=path, why=why.strerror)) from why
