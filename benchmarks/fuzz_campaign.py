"""`./run fuzz-campaign [--messages N]`: bad bytes and bad requests at every port of a running facility.

Our own protocols (frames of plant and beam hardware, instrument lines, Modbus registers) get N messages each:
every one must be refused with a reason or its link closed, the process must live and the machine's state
stay. The ports of Tango (CORBA and ZMQ) get a tenth: their server may die if it is started again.
One JSON line a port: messages, refused, dropped, whether the process survived and its state stayed.
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.fuzzing import GIOP, MODBUS, ZMTP, Count, fuzz_bytes, fuzz_frames, fuzz_lines
from common import site as sites
from common.links.wire import Peer, WireClient, block_values, channel_names
from common.site import CONFIG
from common.state import StateDir
from common.wire.frame import Frame
from ptcs.health import Readiness
from ptcs.running import bring_up, find, take_down

LIMIT_S = 5.0
HARDWARE = ("state", "beam", "digest")


def machine_state(state: Path) -> dict[str, Any]:
    """What bad input must not change: settings and switches of the plant, state of the beam hardware."""
    latest: dict[str, Any] = {}
    links = {}
    for name in ("plant", "fpga"):
        names: list[str] = []

        def take(frame: Frame, name: str = name, names: list[str] = names) -> None:
            latest[name] = dict(zip(names, block_values(frame), strict=True))

        def hello(frame: Frame, names: list[str] = names) -> None:
            if frame.body.get("event") == "hello":
                names[:] = channel_names(frame.body)

        endpoint = StateDir(state).endpoint(name)
        links[name] = WireClient(Peer("127.0.0.1", endpoint["port"], "fuzz"), take, hello, lambda _up: None)
    deadline = time.monotonic() + LIMIT_S
    while len(latest) < len(links) and time.monotonic() < deadline:
        time.sleep(0.02)
    faults = links["plant"].request({"do": "faults"}).body["faults"]
    status = links["fpga"].request({"do": "status"}).body
    for link in links.values():
        link.close()
    kept = (".setpoint", ".on", ".position", ".fault")
    settings = {name: value for name, value in latest["plant"].items() if name.endswith(kept)}
    causes = {name: entry["causes"] for name, entry in faults.items() if entry["causes"]}
    return {"settings": settings, "causes": causes, **{key: status[key] for key in HARDWARE}}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of what is not as it was."""
    rows = [key for key in ("causes", *HARDWARE) if before[key] != after[key]]
    old, new = before["settings"], after["settings"]
    return rows + [name for name in old if not abs(old[name] - new[name]) <= 0.02]


class Campaign:
    """One facility under bad input."""

    def __init__(self, state: Path, seed: int) -> None:
        self.state, self.rng = state, random.Random(seed)

    def pids(self) -> dict[str, int]:
        """Process numbers by name."""
        return {row["name"]: row["pid"] for row in find(self.state)["servers"]}

    def attack(self, name: str, process: str, act: Callable[[], Count], *, may_restart: bool = False) -> bool:
        """Bad input at one port of one process, then a look at what is left; whether all is as it must be."""
        before, pid, began = machine_state(self.state), self.pids()[process], time.monotonic()
        count = act()
        span = time.monotonic() - began
        changed = differences(before, machine_state(self.state))
        survived = self.pids()[process] == pid and psutil.pid_exists(pid)
        good = not count.accepted and not changed and (survived or may_restart)
        facts = {"refused": count.refused, "dropped": count.dropped, "accepted": count.accepted[:3]}
        row = {"name": f"fuzz-{name}", "ours": len(count.accepted), "peer": 0, "unit": "1", "n": count.sent}
        row |= {**facts, "survived": survived, "changed": changed, "seconds": round(span, 1), "good": good}
        print(json.dumps(row), flush=True)
        return good

    def own_protocols(self, messages: int) -> list[bool]:
        """Every protocol that is ours."""
        plant, fpga = StateDir(self.state).endpoint("plant"), StateDir(self.state).endpoint("fpga")
        jobs: list[tuple[str, str, Callable[[], Count]]] = [
            ("frames-plant", "plant", lambda: fuzz_frames(plant["port"], messages, self.rng)),
            ("frames-fpga", "fpga", lambda: fuzz_frames(fpga["port"], messages, self.rng)),
            ("instrument", "plant", lambda: fuzz_lines(plant["environment_port"], messages, self.rng)),
        ]
        if "modbus_port" in plant:
            act = lambda: fuzz_bytes(plant["modbus_port"], messages, self.rng, MODBUS)  # noqa: E731
            jobs.append(("modbus", "plant", act))
        return [self.attack(*job) for job in jobs]

    def tango_ports(self, server: str, messages: int) -> list[bool]:
        """CORBA and event ports of one device server."""
        os.environ["TANGO_HOST"] = find(self.state)["tango_host"]
        process = psutil.Process(self.pids()[server])
        listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        ports = sorted({connection.laddr.port for connection in listening})
        good = []
        for number, port in enumerate(ports):
            act = lambda port=port: fuzz_bytes(port, messages, self.rng, GIOP + ZMTP)  # noqa: E731
            good.append(self.attack(f"tango-{number}", server, act, may_restart=True))
        return [*good, self.answering()]

    def answering(self) -> bool:
        """Whether every device answers again."""
        readiness = Readiness(sites.load(Path(find(self.state)["site_file"])))
        deadline = time.monotonic() + 30.0
        while readiness.missing() and time.monotonic() < deadline:
            time.sleep(0.2)
        return not readiness.missing()


@click.command()
@click.option("--site", "site_file", default=CONFIG / "demo.yaml", type=click.Path(path_type=Path))
@click.option("--messages", default=100_000, show_default=True, help="Messages to each protocol of ours.")
@click.option(
    "--server", default="accelerator", show_default=True, help="Device server whose ports are tried."
)
@click.option("--seed", default=1, show_default=True)
def main(site_file: Path, messages: int, server: str, seed: int) -> None:
    """Run the campaign on a facility of its own."""
    with tempfile.TemporaryDirectory(prefix="ptcs-fuzz-") as folder:
        state = Path(folder) / "state"
        try:
            bring_up(state, site_file)
            campaign = Campaign(state, seed)
            good = campaign.own_protocols(messages) + campaign.tango_ports(server, messages // 10)
        finally:
            take_down(state)
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
