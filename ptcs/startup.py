"""The start order of a facility: what is launched when, and what is waited for."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial

from common.errors import LinkLost
from ptcs.child import ChildState
from ptcs.facility import Facility, optional
from ptcs.health import Readiness, register_devices

POLL = 0.05
START_LIMIT = 90.0

log = logging.getLogger("supervisor")

Done = Callable[[], bool]


def start(facility: Facility, stopping: Done, report: Callable[[str], None]) -> None:
    """Start every process in order; returns early when `stopping`.

    report: told the name of each step as it begins. Raises LinkLost when a process dies meanwhile or the
    whole takes longer than START_LIMIT.
    """
    deadline = time.monotonic() + START_LIMIT
    readiness = Readiness(facility.site)
    for step, done in _steps(facility, readiness):
        log.info("%s", step)
        report(step)
        while not stopping() and not done():
            _fail_if_dead(facility)
            if time.monotonic() > deadline:
                logs, missing = facility.state.root / "log", ", ".join(readiness.missing()[:5])
                raise LinkLost(f"{step}: not done after {START_LIMIT:.0f} s ({missing}); see {logs}")
            time.sleep(POLL)
        if stopping():
            return


def _steps(facility: Facility, readiness: Readiness) -> Iterator[tuple[str, Done]]:
    """What to say, and when it is done; what can start meanwhile is launched between the steps."""
    _launch(facility, "database", *optional(facility.site), "plant", "fpga")
    facility.start_fork_server()
    for name in optional(facility.site):
        yield name, partial(facility.announced, name)
    _launch(facility, "ois")
    yield "Tango database", facility.announce_database
    yield "devices registered", lambda: register_devices(facility.site)
    yield "fork server", facility.fork_server_ready
    _launch(facility, *facility.site.servers)
    yield "plant", lambda: facility.announced("plant")
    yield "beam hardware", lambda: facility.announced("fpga")
    yield "oncology information system", lambda: facility.announced("ois")
    _launch(facility, "tps")
    yield "device servers", lambda: not readiness.missing()
    yield "planning service", lambda: facility.announced("tps")
    yield "devices", lambda: not Readiness(facility.site).missing()


def _launch(facility: Facility, *names: str) -> None:
    for name in names:
        facility.children[name].start(time.monotonic())


def _fail_if_dead(facility: Facility) -> None:
    for child in facility.children.values():
        if child.state is not ChildState.RUNNING:
            continue
        status = facility.exit_status(child)
        if status is not None:
            last = child.log.read_text(errors="replace").strip().splitlines()[-1:] or ["(empty log)"]
            raise LinkLost(f"{child.name} ended with status {status}: {last[0]} (see {child.log})")
