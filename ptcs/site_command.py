"""`ptcs site`: check a site file, show what it would change in a running Tango database, and apply it."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.errors import LinkLost, Refused
from common.site import Site, load
from common.text import _
from ptcs.options import json_option
from ptcs.running import find, state_option
from ptcs.site_check import check

if TYPE_CHECKING:
    from device_servers.registration import Difference, Plan

SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
_file = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def site() -> None:
    """Check a site file, compare it with a running Tango database, apply it."""


@site.command("check")
@_file
@json_option
def check_command(file: Path, as_json: bool) -> None:
    """Check a site file, what it includes, and how its parts fit. Exit status 1 when something is wrong."""
    found, wrong = check(file)
    if as_json:
        click.echo(
            json.dumps({"schema": 1, "site": found.name, **_numbers(found), "findings": wrong}, indent=2)
        )
    else:
        for line in wrong:
            click.secho(line, fg="red")
        numbers = _numbers(found)
        click.echo(
            _("{site}: {devices} devices of {classes} classes on {servers} servers, {wrong} findings").format(
                site=found.name, wrong=len(wrong), **numbers
            )
        )
    if wrong:
        raise click.exceptions.Exit(1)


@site.command("diff")
@_file
@state_option
@json_option
def diff_command(file: Path, state: Path, as_json: bool) -> None:
    """Show what FILE would change in the running facility's Tango database. Exit status 1 when it differs."""
    plan, facility = _plan(load(file), state)
    _show(plan, facility, file, as_json, applied=False)
    if plan.differences:
        raise click.exceptions.Exit(1)


@site.command("apply")
@_file
@state_option
@json_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def apply_command(file: Path, state: Path, as_json: bool, yes: bool) -> None:
    """Make the running facility's Tango database as FILE says. A site with findings is not applied."""
    found, wrong = check(file)
    if wrong:
        raise Refused(
            _("{site} has {count} findings and is not applied; see `ptcs site check {file}`").format(
                site=found.name, count=len(wrong), file=file
            )
        )
    plan, facility = _plan(found, state)
    if plan.differences and not yes:
        _show(plan, facility, file, as_json=False, applied=False)
        click.confirm(_("Apply these changes?"), abort=True)
    _carry_out(plan)
    _show(plan, facility, file, as_json, applied=True)


def _plan(found: Site, state: Path) -> tuple["Plan", dict[str, Any]]:
    """The differences to the database of the running facility, and what the facility says of itself."""
    # Imported late: Tango takes longer to load than the rest of the command line.
    import tango  # noqa: PLC0415

    from device_servers import registration  # noqa: PLC0415

    facility = find(state)
    try:
        return registration.diff(found, str(facility["tango_host"])), facility
    except tango.DevFailed as why:
        raise _lost(facility, why) from why


def _carry_out(plan: "Plan") -> None:
    import tango  # noqa: PLC0415

    from device_servers import registration  # noqa: PLC0415

    try:
        registration.apply(plan)
    except tango.DevFailed as why:
        raise LinkLost(
            _("the Tango database refused: {why}; `ptcs site diff` shows what is left to do").format(
                why=why.args[0].desc
            )
        ) from why


def _lost(facility: dict[str, Any], why: Any) -> LinkLost:
    return LinkLost(
        _("the Tango database at {host} does not answer: {why}").format(
            host=facility["tango_host"], why=why.args[0].desc.strip()
        )
    )


def _show(plan: "Plan", facility: dict[str, Any], file: Path, as_json: bool, applied: bool) -> None:
    elsewhere = Path(facility["site_file"]).resolve() != file.resolve()
    if as_json:
        rows = [
            {
                "change": d.change,
                "what": d.what,
                "name": d.name,
                "was": d.was,
                "will": d.will,
                "server": d.server,
            }
            for d in plan.differences
        ]
        answer = {"schema": 1, "different": bool(rows), "applied": applied, "restart": plan.restart}
        click.echo(
            json.dumps({**answer, "site_file_in_force": facility["site_file"], "changes": rows}, indent=2)
        )
        return
    for line in plan.differences:
        sign, colour = SIGNS[line.change]
        click.secho(f"{sign} {_text(line)}", fg=colour)
    counts = Counter(str(line.change) for line in plan.differences)
    click.echo(
        _("{added} added, {removed} removed, {changed} changed").format(
            **{name: counts.get(name, 0) for name in SIGNS}
        )
    )
    if not plan.differences:
        return
    if applied:
        click.echo(_("applied"))
    for note in _notes(plan.restart, elsewhere, facility):
        click.echo(note)


def _text(line: "Difference") -> str:
    head = f"{line.what} {line.name}"
    if line.was and line.will:
        return f"{head}: {line.was} -> {line.will}"
    return f"{head}: {line.was or line.will}" if line.was or line.will else head


def _notes(restart: Iterable[str], elsewhere: bool, facility: dict[str, Any]) -> Iterable[str]:
    """What a running facility does not take over by itself."""
    names = ", ".join(restart)
    if names:
        yield _("Takes effect when these servers, plant and fpga start anew: {names}").format(names=names)
        if not elsewhere:
            yield _("`ptcs down`, then `ptcs up --site {file}` starts them anew").format(
                file=facility["site_file"]
            )
    if elsewhere:
        yield _(
            "The facility runs {file}, and its processes read that file when they start;"
            " `ptcs down` and `ptcs up --site` change it"
        ).format(file=facility["site_file"])


def _numbers(found: Site) -> dict[str, int]:
    return {
        "devices": len(found.devices),
        "classes": len({device.tango_class for device in found.devices}),
        "servers": len(found.servers),
    }
