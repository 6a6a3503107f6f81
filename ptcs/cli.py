"""The command line: `ptcs --help`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from common.errors import PtcsError, Refused
from common.files import read_json
from common.site import DEFAULT_SITE
from common.state import StateDir
from common.text import _
from ptcs import __version__
from ptcs.child import alive
from ptcs.demo.command import demo
from ptcs.doctor import doctor

console = Console()
UP_LIMIT = 100.0
DOWN_LIMIT = 6.0


class Commands(click.Group):
    """A group whose commands print PTCS errors as one line and exit with 1."""

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


def default_state() -> Path:
    """$PTCS_STATE, else ptcs/demo below $XDG_STATE_HOME or ~/.local/state."""
    chosen = os.environ.get("PTCS_STATE")
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(chosen) if chosen else home / "ptcs" / "demo"


state_option = click.option(
    "--state", type=click.Path(path_type=Path), default=default_state, help="State directory of the facility."
)
site_option = click.option(
    "--site",
    "site_file",
    type=click.Path(path_type=Path, exists=True),
    default=DEFAULT_SITE,
    help="Site file.",
)


def running(state: Path) -> dict[str, Any] | None:
    """What the facility of a state directory says of itself, or None if none runs there."""
    try:
        facility: dict[str, Any] = read_json(StateDir(state.resolve()).facility)
    except (OSError, ValueError):
        return None
    return facility if alive(facility["supervisor_pid"]) and facility["phase"] != "DOWN" else None


def bring_up(state: Path, site_file: Path, seed: int | None = None) -> dict[str, Any]:
    """Start a detached facility with a progress line; returns when every device is ready.

    Raises Refused when one runs there already or it does not come up; nothing is left running then.
    """
    root = state.resolve()
    if running(root):
        raise Refused(f"a facility already runs in {root}; `ptcs down --state {root}` stops it")
    log = StateDir(root).log_file("supervisor")
    log.parent.mkdir(parents=True, exist_ok=True)
    StateDir(root).facility.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "ptcs.supervisor",
        "--state",
        str(root),
        "--site",
        str(site_file.resolve()),
    ]
    command += [] if seed is None else ["--seed", str(seed)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    with console.status(_("starting")) as line:
        deadline = time.monotonic() + UP_LIMIT
        while time.monotonic() < deadline:
            facility = running(root)
            if facility and facility["phase"] == "UP":
                return facility
            if process.poll() is not None:
                last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
                raise Refused(f"the facility did not start: {last[0]}; see {log}")
            line.update(f"{_('starting')}: {facility['phase']}" if facility else _("starting"))
            time.sleep(0.05)
    take_down(root)
    raise Refused(f"the facility did not start within {UP_LIMIT:.0f} s; see {log}")


def take_down(state: Path) -> bool:
    """Stop the facility of a state directory; whether one was running."""
    facility = running(state)
    if facility is None:
        return False
    pid = int(facility["supervisor_pid"])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_LIMIT
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    if alive(pid):
        os.kill(pid, signal.SIGKILL)
    return True


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
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def status(state: Path, as_json: bool) -> None:
    """Say what runs, where, and since when."""
    facility = running(state)
    if facility is None:
        raise Refused(f"no facility runs in {state}; `ptcs up --state {state}` starts one")
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


main.add_command(demo)
main.add_command(doctor)

if __name__ == "__main__":
    main()
