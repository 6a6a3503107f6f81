"""The command `ptcs demo`."""

import os
import shutil
from pathlib import Path

import click
from rich.console import Console

from common import site
from common.errors import BadInput
from common.state import StateDir
from common.text import _
from ptcs import department_command
from ptcs.demo.context import DemoOptions
from ptcs.running import bring_up, running, take_down

PATIENTS = 40
"""Of the demonstration department that `--keep` leaves behind."""


@click.command()
@click.option("--ct", type=click.Path(path_type=Path), help="Folder of a DICOM CT series with its RTSTRUCT.")
@click.option("--target", help="Name of the ROI to treat.")
@click.option("--ion", type=click.Choice(["proton"]), default="proton", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
@click.option("--keep", is_flag=True, help="Leave the facility up, with a department to look at.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="State directory; a facility that runs there is used. Default: a temporary one.",
)
@click.option("--site", "site_file", type=click.Path(path_type=Path, exists=True), default=site.DEFAULT_SITE)
@click.option("--room", default="", help="Treatment room. Default: the site's first one.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of noise and interruption.")
def demo(
    ct: Path | None,
    target: str | None,
    ion: str,
    out: Path,
    keep: bool,
    state: Path | None,
    site_file: Path,
    room: str,
    seed: int,
) -> None:
    """One patient through all four systems: OIS, TPS, OIS, TCS, ACS, record."""
    # Imported late: planning pulls in numba and matplotlib, which `ptcs status` need not wait for.
    from ptcs.demo import loop  # noqa: PLC0415

    if ct is not None and not ct.is_dir():
        raise BadInput(f"{ct} is no folder; --ct wants the folder of a CT series and its RTSTRUCT")
    rooms = site.load(site_file).rooms
    if room and room not in rooms:
        raise BadInput(_("no room {room!r}: allowed are {rooms}").format(room=room, rooms=", ".join(rooms)))
    options = DemoOptions(ct=ct, target=target, out=out.resolve(), ion=ion, seed=seed, room=room)
    root = (state or loop.temporary_state()).resolve()
    there_before = running(root)
    facility = there_before or bring_up(root, site_file, seed)
    try:
        os.environ["TANGO_HOST"] = facility["tango_host"]
        loop.run(options, StateDir(root).facility, site.load(site_file), Console())
        if keep and not there_before:
            department_command.fill(StateDir(root), PATIENTS)
    finally:
        if keep or there_before:
            click.echo(f"{_('the facility stays up')}: ptcs status --state {root}; {facility['ois_url']}")
        else:
            take_down(root)
            if state is None:
                shutil.rmtree(root, ignore_errors=True)
