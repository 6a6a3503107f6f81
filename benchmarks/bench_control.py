"""What a write costs before it reaches its device, how fast chains are written and checked: processor time.

The plain guard of a site without areas of control is the reference of the first.
"""

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from common import authority
from common.hashchain import ChainLog, Rotation, entries, verify
from common.state import StateDir
from device_servers.callers import Client
from device_servers.control_areas import Area, Areas
from device_servers.control_file import Control
from device_servers.guard import Guard
from device_servers.services.control.desk import Asked, Person
from device_servers.services.control.start import keeper_of
from device_servers.services.control.table import Event

CHECKS, BURSTS, BURST = 20_000, 100, 1000
RING = Area("ring", "Ring", "环", True, 3600.0, {"operator": 1}, ("ring/*/*",))
DEVICE, ME, ROLES = "ring/a/b", Client("localhost", 1), frozenset({"operator"})
ENTRY = {
    "time": "2026-11-23T06:00:00.123456+00:00",
    "user": "otto",
    "host": "localhost",
    "pid": 1234,
    "device": "acs/magnet/ring-dipole",
    "what": "CurrentSetpoint",
    "value": "12.5",
    "outcome": "accepted",
    "why": "",
}


def spent(do: Callable[[], object], times: int = 1) -> float:
    """Processor time of one call, s."""
    began = time.process_time()
    for _ in range(times):
        do()
    return (time.process_time() - began) / times


def guards(state: StateDir) -> tuple[Guard, Guard]:
    """A guard with control of a required area, and one without areas; `otto` is logged in at both."""
    authority.new_key(state.signing_key, state.public_key)
    areas = Areas((RING,), {DEVICE: RING})
    keeper = keeper_of(state, areas, time.time)
    keeper.do("ring", Asked(Event.REQUEST, Person("otto", ROLES, time.time() + 3600), time.time()))
    keeper.close()
    control = Control(areas, state.holders, state.machine_public_key)
    token = authority.issue(authority.load_private(state.signing_key), "otto", ROLES, datetime.now(UTC))
    made = (
        Guard(state.public_key, state.audit("one"), control=control, machine_key=state.machine_public_key),
        Guard(state.public_key, state.audit("two")),
    )
    for guard in made:
        guard.open(ME, token)
    return made


def main() -> None:
    """Print the JSON lines: seconds a write, entries a second."""
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = (
            spent(partial(guard.check, ME, "accelerator", safe=False, device=DEVICE), CHECKS)
            for guard in guards(StateDir(Path(folder)))
        )
        print(json.dumps({"name": "control-guard", "seconds": ours, "reference": plain}))
        path = Path(folder) / "chain" / "x.log"
        log = ChainLog(path, Rotation())
        append = spent(lambda: log.append_all([ENTRY] * BURST), BURSTS) / BURST
        log.close()
        count = BURST * BURSTS
        rates = {
            "append": 1 / append,
            "verify": count / spent(lambda: verify(path)),
            "read": count / spent(lambda: entries(path)),
        }
        print(
            json.dumps(
                {
                    "name": "chain-log",
                    **{key: round(rate) for key, rate in rates.items()},
                    "unit": "entries/s",
                }
            )
        )


if __name__ == "__main__":
    main()
