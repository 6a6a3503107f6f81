"""`./run fault-campaign [--count N] [--site FILE]`: faults of all kinds while beam is delivered.

On the real processes of plant and beam hardware, over frames: every kind of fault of every family of the
site, by chance more of them, every fault of the beam hardware, and lost links and processes. Of each: beam
is off as the monitors measure it; the first fault is a row that may be first; a reset clears nothing while
the cause is there; after the repair beam is delivered again. Then beam without any fault, for trips that
nobody caused. It prints JSON lines: `fault-campaign` with how many were right, and `false-trips`.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from benchmarks.fault_cases import Case, Deck
from benchmarks.fault_trial import LINK_ROWS, Outcome, Trials
from benchmarks.machine_processes import until
from benchmarks.machine_rig import Rig
from common.errors import PtcsError, Refused
from common.site import CONFIG
from common.site import load as load_site
from simulation.fpga.model import FAULT_CHECKS
from simulation.fpga.states import ACTIVE

LIMIT_S = 0.15
"""Wall time from a lost link to no beam."""
AGAIN = 4
"""Attempts at a trial that a computer too busy for the watchdogs has spoilt."""
Trial = Callable[[], Outcome]


def links(rig: Rig) -> list[tuple[str, str]]:
    """What can be lost: clients that concern the room, each in two ways, and the two processes."""
    mine = [n for n in rig.site.watchdogs["clients"] if "." not in n or n.startswith(f"{rig.room}.")]
    pairs = [(kind, name) for name in mine for kind in ("silent", "closed")]
    return [*pairs, ("stopped", "plant"), ("killed", "plant"), ("killed", "fpga")]


def trials(rig: Rig, count: int, seed: int) -> Iterator[Trial]:
    """At least `count` trials: hardware and links first, devices in rounds of all kinds."""
    run, deck = Trials(rig), Deck(rig.site, rig.table, rig.room, seed)
    rounds = max(round(count / 100), 1)
    extra: list[Trial] = []
    for _ in range(rounds):
        extra += [partial(run.hardware, kind) for kind in FAULT_CHECKS]
        extra += [partial(run.link, kind, name) for kind, name in links(rig)]
    extra = extra[: max(count // 6, len(extra) // rounds)]
    deck.random.shuffle(extra)
    yield from extra
    for case in deck.cases(max(count - len(extra), 0)):
        yield partial(run.device, case)


def campaign(rig: Rig, count: int, seed: int, verbose: bool = False) -> list[Outcome]:
    """Run the trials; one that the links of a busy computer have spoilt is done again."""
    outcomes: list[Outcome] = []
    say = partial(click.echo, err=True)
    for number, trial in enumerate(trials(rig, count, seed), start=1):
        begun = time.monotonic()
        for _attempt in range(AGAIN):
            outcome = attempt(trial)
            if not outcome.strange or outcome.wrong:
                break
        outcomes.append(outcome)
        if outcome.wrong:
            say(f"{number}: {outcome.device} {outcome.kind}: {'; '.join(outcome.wrong)}")
        if verbose:
            took = time.monotonic() - begun
            say(f"{number}: {outcome.device} {outcome.kind}: {outcome.first or '-'}, {took:.1f} s")
        elif number % 50 == 0:
            say(f"{number} of {count}")
    return outcomes


def attempt(trial: Trial) -> Outcome:
    """One trial; one that cannot be made is wrong by itself."""
    try:
        return trial()
    except PtcsError as why:
        of = trial.args[0] if isinstance(trial, partial) else ""
        name, kind = (of.device.wire, of.kind) if isinstance(of, Case) else ("", str(of))
        return Outcome("trial", kind, name, wrong=[str(why)[:200]])


def result(rig: Rig, outcomes: Sequence[Outcome], seconds: float) -> dict[str, object]:
    """The JSON line of a campaign. Times are wall time from injection to beam off, in s."""
    families: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        families.setdefault(outcome.family, []).append(outcome)
    wrong = [
        {"device": o.device, "kind": o.kind, "first": o.first, "wrong": o.wrong} for o in outcomes if o.wrong
    ]
    return {
        "name": "fault-campaign",
        "site": rig.site.name,
        "room": rig.room,
        "n": len(outcomes),
        "right": len(outcomes) - len(wrong),
        "tripped": sum(o.off_s is not None for o in outcomes),
        "kinds": len({(o.family, o.kind) for o in outcomes}),
        "devices": len({o.device for o in outcomes}),
        "spoilt": sum(bool(o.strange) for o in outcomes),
        "seconds": round(seconds, 1),
        **times(outcomes),
        "families": {
            name: {
                "n": len(rows),
                "right": sum(not o.wrong for o in rows),
                "kinds": len({o.kind for o in rows}),
                **times(rows),
            }
            for name, rows in sorted(families.items())
        },
        "wrong": wrong,
    }


def times(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    """Median and worst time from injection to beam off, of those faults that act at once."""
    off = [o.off_s for o in outcomes if o.off_s is not None]
    return {
        "median_s": round(statistics.median(off), 4) if off else None,
        "worst_s": round(max(off), 4) if off else None,
    }


def false_trips(rig: Rig, seconds: float) -> dict[str, object]:
    """Deliver without any fault for so long; trips are false, those of links told apart."""
    rig.beam()
    rig.events.clear()
    begun, delivered, causes = time.monotonic(), 0, dict[str, int]()
    while time.monotonic() - begun < seconds:
        rig.beam()
        with suppress(Refused):
            if until(lambda: rig.state() not in ACTIVE, "map"):
                delivered += int(rig.fpga("read_counters").arrays["primary"].sum())
        for event in rig.events:
            if event.get("event") == "trip":
                causes[str(event["input"])] = causes.get(str(event["input"]), 0) + 1
        rig.events.clear()
    ours = sum(n for name, n in causes.items() if not name.startswith(LINK_ROWS))
    per_mu = float(rig.site.monitor["counts_per_mu"])
    return {
        "name": "false-trips",
        "site": rig.site.name,
        "ours": ours,
        "peer": 0,
        "unit": "trips",
        "seconds": seconds,
        "beam_seconds": seconds * rig.site.clock_factor,
        "mu": round(delivered / per_mu, 1),
        "causes": causes,
    }


@click.command()
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True, help="Faults to inject.")
@click.option("--site", "site_file", type=click.Path(path_type=Path), default=CONFIG / "synchrotron.yaml")
@click.option("--room", default="", help="Room that gets the beam. Default: the first one.")
@click.option(
    "--idle", type=click.FloatRange(0), default=120.0, show_default=True, help="Seconds without fault."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--verbose", is_flag=True, help="Tell of every fault.")
def main(count: int, site_file: Path, room: str, idle: float, seed: int, verbose: bool) -> None:
    """Inject faults while beam is delivered, and judge what the machine does."""
    site = load_site(site_file)
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), site_file, room or site.rooms[0], seed)
        try:
            rig.up()
            if idle:
                print(json.dumps(false_trips(rig, idle)), flush=True)
            begun = time.monotonic()
            outcomes = campaign(rig, count, seed, verbose)
            line = result(rig, outcomes, time.monotonic() - begun)
        except PtcsError as why:
            raise click.ClickException(str(why)) from why
        finally:
            rig.stop()
    print(json.dumps(line), flush=True)
    sys.exit(bool(line["wrong"]))


if __name__ == "__main__":
    main()
