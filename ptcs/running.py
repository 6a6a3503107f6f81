"""Facilities that run: find one, bring one up, take it down."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from common.errors import Refused
from common.files import read_json
from common.site import DEFAULT_SITE
from common.state import StateDir
from common.text import _
from ptcs.child import alive

UP_LIMIT = 100.0
DOWN_LIMIT = 6.0


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


def find(state: Path) -> dict[str, Any]:
    """The running facility of a state directory. Raises Refused if none runs there."""
    facility = running(state)
    if facility is None:
        raise Refused(f"no facility runs in {state}; `ptcs up --state {state}` starts one")
    return facility


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
    with Console().status(_("starting")) as line:
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
