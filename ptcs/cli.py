"""The command line: `ptcs --help`."""

import importlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from common.errors import PtcsError, Refused
from common.state import StateDir
from common.text import _
from ptcs import __version__
from ptcs.options import json_option
from ptcs.running import bring_up, find, running, site_option, state_option, take_down

console = Console()

ELSEWHERE = {
    "alarm": "ptcs.alarm_command:alarm",
    "archive": "ptcs.archive_command:archive",
    "beam-model": "ptcs.beam_model_command:beam_model",
    "catalogue": "ptcs.catalogue_command:catalogue",
    "checklist": "ptcs.maintenance_command:checklist",
    "commission": "ptcs.commission_command:commission",
    "components": "ptcs.components_command:components",
    "console": "ptcs.console:console_command",
    "control": "ptcs.control_command:control",
    "ct-calibration": "ptcs.ct_calibration_command:ct_calibration",
    "demo": "ptcs.demo.command:demo",
    "department": "ptcs.department_command:department",
    "doctor": "ptcs.doctor:doctor",
    "dose": "ptcs.dose_command:dose",
    "epics": "ptcs.epics_command:epics",
    "fault": "ptcs.fault_command:fault",
    "gamma": "ptcs.gamma_command:gamma",
    "hand": "ptcs.machine_command:hand",
    "health": "ptcs.health_command:health",
    "logbook": "ptcs.logbook_command:logbook",
    "mode": "ptcs.machine_command:mode",
    "plan": "ptcs.plan_command:plan",
    "revalidate": "ptcs.maintenance_command:revalidate",
    "site": "ptcs.site_command:site",
    "snapshot": "ptcs.snapshot_command:snapshot",
    "validate": "ptcs.validate_command:validate",
    "verify": "ptcs.verify_command:verify",
}
"""Command -> where it is, imported when asked for: `ptcs up` must not wait for planning's libraries."""


class Commands(click.Group):
    """A group whose commands print PTCS errors as one line and exit with 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in order of their names."""
        return sorted({*super().list_commands(ctx), *ELSEWHERE})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """A command, imported if need be; None for one that does not exist."""
        if name not in ELSEWHERE:
            return super().get_command(ctx, name)
        module, _colon, member = ELSEWHERE[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), member)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that PTCS raises on purpose needs no traceback."""
        try:
            return super().invoke(ctx)
        except PtcsError as why:
            click.echo(f"{_('refused') if isinstance(why, Refused) else _('error')}: {why}", err=True)
            ctx.exit(1)


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="ptcs")
def main() -> None:
    """PTCS, an open particle-therapy control system. Research software, not a medical device."""


@main.command()
@state_option
@site_option
@click.option("--detach", is_flag=True, help="Return when the facility is up and leave it running.")
@click.option("--seed", type=int, default=None, help="Seed of the simulated beam's noise.")
def up(state: Path, site_file: Path, detach: bool, seed: int | None) -> None:
    """Start the whole facility; every device is exported and ready when this says so."""
    facility = bring_up(state, site_file, seed)
    show(facility)
    if detach:
        return
    click.echo(_("Ctrl-C stops the facility."))
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit(0))
    try:
        while running(state):
            time.sleep(0.2)
        raise Refused(f"the facility stopped; see {StateDir(state.resolve()).log_file('supervisor')}")
    except KeyboardInterrupt:
        pass
    finally:
        take_down(state)


@main.command()
@state_option
@json_option
def status(state: Path, as_json: bool) -> None:
    """Say what runs, where, and since when."""
    facility = find(state)
    if as_json:
        click.echo(json.dumps(facility, indent=2))
    else:
        show(facility)


@main.command()
@state_option
def down(state: Path) -> None:
    """Stop the facility."""
    click.echo(_("stopped") if take_down(state) else _("no facility was running"))


def show(facility: dict[str, Any]) -> None:
    """Print a facility as a table."""
    table = Table(title=f"PTCS {facility['version']}: {facility['site']} ({facility['phase']})")
    for column in (_("process"), _("state"), "PID", _("restarts"), _("log")):
        table.add_column(column)
    for row in facility["servers"]:
        table.add_row(row["name"], row["state"], str(row["pid"] or ""), str(row["restarts"]), row["log"])
    console.print(table)
    console.print(
        f"TANGO_HOST={facility['tango_host']}  OIS {facility['ois_url']}  x{facility['clock_factor']:g}"
    )


if __name__ == "__main__":
    main()
