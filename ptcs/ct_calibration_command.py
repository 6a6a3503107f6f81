"""`ptcs ct-calibration`: make and look at tables of CT number to stopping power."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from common.errors import PtcsError
from common.text import _

_FILE = click.Path(path_type=Path)


@click.group("ct-calibration")
def ct_calibration() -> None:
    """CT number to stopping power of a scanner."""


@ct_calibration.command("fit")
@click.argument("measurements", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="CT calibration (.yaml) to write.")
def fit(measurements: Path, out: Path) -> None:
    """Stoichiometric calibration from CT numbers measured in phantom inserts (YAML)."""
    from tps_engine.patient import calibration_file  # noqa: PLC0415

    found = calibration_file.fit(measurements)
    console = Console()
    inserts = Table(_("insert"), _("computed HU"), _("computed - measured"))
    for name, hu in found.scanner.computed.items():
        inserts.add_row(name, f"{hu:.1f}", f"{found.scanner.residuals[name]:+.1f}")
    console.print(inserts)
    tissues = Table(_("tissue"), "HU", _("stopping power"), _("table - tissue, %"))
    for name, (hu, rsp, miss) in found.curve.tissues.items():
        tissues.add_row(name, f"{hu:.0f}", f"{rsp:.4f}", f"{100.0 * miss / rsp:+.2f}")
    console.print(tissues)
    click.echo(
        _("k photo-electric {photo}, k coherent {coherent}; root mean square of the inserts {rms} HU").format(
            photo=f"{found.scanner.k_photo:.3g}",
            coherent=f"{found.scanner.k_coherent:.3g}",
            rms=f"{found.scanner.rms:.1f}",
        )
    )
    for text in found.scanner.warnings():
        click.echo(_("warning: {text}").format(text=text), err=True)
    _write(found.content, out)


@ct_calibration.command("import")
@click.argument("folder", type=_FILE)
@click.option("--name", required=True, help="Name of the table: small letters, digits, hyphens.")
@click.option("--out", type=_FILE, required=True, help="CT calibration (.yaml) to write.")
def import_table(folder: Path, name: str, out: Path) -> None:
    """Turn a scanner folder of MCsquare into a CT calibration."""
    from tps_engine.patient import calibration_file  # noqa: PLC0415

    content, change = calibration_file.from_mcsquare(folder, name)
    if change > 0.0:
        click.echo(
            _("warning: the table fell in places and was raised by up to {change}").format(
                change=f"{change:.4f}"
            ),
            err=True,
        )
    _write(content, out)


@ct_calibration.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Points of a table: a file, or a name in config/ct_calibrations."""
    from tps_engine.patient import stopping_power  # noqa: PLC0415

    table = stopping_power.load(name)
    click.echo(f"{table.name} {table.version}")
    for key, value in table.provenance.items():
        click.echo(f"  {key}: {value}")
    for hu, rsp in zip(table.hu, table.rsp, strict=True):
        click.echo(f"{hu:8.1f} HU  {rsp:.4f}")


def _write(content: Mapping[str, Any], out: Path) -> None:
    from tps_engine.patient import calibration_file  # noqa: PLC0415

    try:
        made = calibration_file.write(content, out)
    except OSError as why:
        raise PtcsError(_("cannot write {path}: {why}").format(path=out, why=why.strerror)) from why
    click.echo(
        _("{path}: {count} points, {low} to {high} HU").format(
            path=out, count=len(made.hu), low=f"{made.hu[0]:.0f}", high=f"{made.hu[-1]:.0f}"
        )
    )
