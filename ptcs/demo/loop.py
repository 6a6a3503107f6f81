"""The whole loop in order, and the table that ends it."""

import tempfile
import time
from pathlib import Path

import tango
from rich.console import Console
from rich.table import Table

from common.errors import PtcsError
from common.files import read_json
from common.site import Site
from common.text import _
from ptcs import __version__
from ptcs.demo import delivery, planning, results, start
from ptcs.demo.context import Demo, DemoOptions, JobFailed


class LoopFailed(PtcsError):
    """The loop ran, and something of it is not as it must be."""


def run(options: DemoOptions, facility_file: Path, site: Site, console: Console) -> Demo:
    """One patient through all four systems of a running facility.

    Raises LoopFailed when a goal or tolerance is missed or a system's job fails; other PtcsErrors
    where input is refused. What was produced until then stays in `options.out`.
    """
    started = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    demo = Demo(options, read_json(facility_file), console)
    demo.summary.update(
        {
            "schema": 1,
            "version": __version__,
            "site": site.name,
            "machine": site.machine,
            "room": options.room or site.rooms[0],
            "input": "synthetic" if options.ct is None else str(options.ct),
            "ion": options.ion,
            "seed": options.seed,
            "clock_factor": site.clock_factor,
        }
    )
    try:
        with demo.progress:
            _steps(demo, site)
    except JobFailed as why:
        raise LoopFailed(str(why)) from why
    except tango.DevFailed as why:
        raise LoopFailed(str(why.args[0].desc)) from why
    demo.summary["seconds"] = round(time.monotonic() - started, 1)
    failures = results.verdict(demo.summary)
    demo.summary["passed"] = not failures
    demo.summary["failures"] = failures
    results.write_summary(demo)
    show(demo)
    if failures:
        raise LoopFailed("; ".join(failures))
    return demo


def _steps(demo: Demo, site: Site) -> None:
    room = demo.options.room or site.rooms[0]
    case = planning.take_in(demo)
    planned = planning.plan(demo, case, planning.beam_angles(site, room))
    planning.approve(demo, case, planned["plan_uid"])
    start.start_machine(demo, site, room)
    delivery.treat(demo, case, planned["plan_uid"])
    records = results.recorded(demo, planned["plan_uid"])
    results.export_archive(demo)
    pictures = results.reconstruct(demo, planned["plan_uid"], records)
    results.report(demo, planned["plan_uid"], pictures)
    results.collect(demo, case["patient_id"], records)


def show(demo: Demo) -> None:
    """The table that ends the run."""
    summary = demo.summary
    plan, check, fraction = summary["plan"], summary["verification"], summary["fraction"]
    target = plan["metrics"]["target"]
    interruptions = summary["delivery"]["interruptions"]
    table = Table(title=f"PTCS {summary['version']}: {_('one patient through four systems')}")
    for column in (_("system"), _("what"), _("result")):
        table.add_column(column)
    table.add_row(
        "OIS", _("prescription"), f"{target['prescription']:g} Gy RBE, {summary['prescription']['target']}"
    )
    table.add_row("TPS", _("plan"), f"{plan['spots']} {_('spots')}, {plan['layers']} {_('layers')}")
    table.add_row("TPS", "D95 / D2", f"{target['d95']:.3f} / {target['d2']:.3f} Gy RBE")
    table.add_row("OIS", _("approved hash"), f"{summary['approval']['hash'][:16]}...")
    table.add_row("TCS", _("interruptions"), "; ".join(row["cause"] for row in interruptions) or "-")
    table.add_row(
        "ACS", _("delivered / planned"), f"{fraction['delivered_mu']:.3f} / {fraction['planned_mu']:.3f} MU"
    )
    gamma = check["gamma"]
    table.add_row(
        "TPS",
        f"{_('gamma')} {gamma['dose_percent']:g} %/{gamma['distance_mm']:g} mm",
        f"{gamma['pass_rate']:.2f} %  ({gamma['points']} {_('points')})",
    )
    table.add_row("TPS", _("spot centroids"), f"{check['centroid']['max_mm']:.2f} mm {_('at most')}")
    table.add_row("OIS", _("fraction"), f"{fraction['state']}, {len(fraction['parts'])} {_('records')}")
    table.add_row(
        "",
        _("time"),
        f"{summary['seconds']:.1f} s, {_('clock factor')} {summary['clock_factor']:g}",
    )
    mark = f"[green]✔ {_('passed')}[/]" if summary["passed"] else f"[red]✘ {_('failed')}[/]"
    table.add_row("", _("verdict"), mark)
    demo.console.print(table)
    demo.console.print(f"{_('output')}: {demo.options.out}")


def temporary_state() -> Path:
    """A new state directory for a demo that nobody keeps."""
    return Path(tempfile.mkdtemp(prefix="ptcs-demo-"))
