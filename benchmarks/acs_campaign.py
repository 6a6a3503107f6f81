"""`./run acs-campaign [--minutes N]`: a whole site under load, and what happens when its processes die.

On a facility of its own it measures: from nothing to every device ready; a killed device server's way back;
a killed simulator seen and found again. Then, on a larger site (`larger_site`, over 3000 channels): processor
time and proportional memory of the control system; latency from the plant to a client, and losses, both
counted. One JSON line each; peer is the limit asked for.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import tango

from benchmarks.larger_site import larger
from common import site as sites
from common.site import CONFIG, Site
from ptcs.health import device_names
from ptcs.running import bring_up, find, take_down

OUTSIDE = ("ois", "tps")
"""Processes of the facility that are no part of the accelerator control system."""
MONITORS = 1000
"""pvAccess monitors at the gateway during the load run."""
SIMULATORS = ("plant", "fpga")


def line(name: str, ours: float, limit: float, unit: str, n: int, **more: Any) -> None:
    """Print one result; every figure here is better when it is smaller."""
    ratio = round(limit / ours, 3) if ours else None
    head = {"name": name, "ours": round(ours, 5), "peer": limit, "unit": unit, "ratio": ratio}
    print(json.dumps({**head, "n": n, "warm": True, **more}), flush=True)


class Listener:
    """Subscribes to `changes` of crates, and keeps count, latency and the newest values."""

    def __init__(self, crates: Sequence[str]) -> None:
        self.count = dict.fromkeys(crates, 0)
        self.missed = 0
        self.errors: dict[str, float] = {}
        self.latency: list[float] = []
        self.unknown: dict[str, float] = {}
        self.known: dict[str, float] = {}
        self.first = dict.fromkeys(crates, 0)
        self._proxies = {crate: tango.DeviceProxy(crate) for crate in crates}
        self._subscriptions = {crate: self._subscribe(crate) for crate in crates}

    def _subscribe(self, crate: str) -> int:
        mode = tango.EventSubMode.SyncRead
        kind = tango.EventType.CHANGE_EVENT
        return int(
            self._proxies[crate].subscribe_event(
                "changes", kind, lambda event: self._event(crate, event), mode
            )
        )

    def again(self, crate: str) -> bool:
        """Subscribe to a crate that was restarted; whether it is there."""
        with contextlib.suppress(tango.DevFailed):
            self._proxies[crate].unsubscribe_event(self._subscriptions[crate])
        try:
            self._proxies[crate] = tango.DeviceProxy(crate)
            self._subscriptions[crate] = self._subscribe(crate)
        except tango.DevFailed:
            return False
        return True

    def _event(self, crate: str, event: Any) -> None:
        now = time.time()
        if event.err:
            self.missed += any(error.reason == "API_MissedEvents" for error in event.errors)
            self.errors[crate] = now
            return
        triples = np.asarray(event.attr_value.value, float).reshape(-1, 3)
        if not self.first[crate]:  # the picture as it stands, which is no change
            self.first[crate] = len(triples)
            return
        self.count[crate] += len(triples)
        good = np.isfinite(triples[:, 2])
        if good.any():
            self.known[crate] = now
            self.latency += (now - triples[good, 0]).tolist()
        if not good.all():
            self.unknown[crate] = now

    def close(self) -> None:
        """End the subscriptions."""
        for crate, number in self._subscriptions.items():
            try:
                self._proxies[crate].unsubscribe_event(number)
            except tango.DevFailed:
                continue


def processes(state: Path) -> dict[str, psutil.Process]:
    """The facility's processes by name."""
    return {row["name"]: psutil.Process(row["pid"]) for row in find(state)["servers"] if row["pid"]}


def cpu_seconds(members: dict[str, psutil.Process]) -> dict[str, float]:
    """Processor time of each so far, s."""
    return {name: sum(process.cpu_times()[:2]) for name, process in members.items()}


def wait(what: str, done: Callable[[], bool], limit: float) -> float:
    """Seconds until done. Raises TimeoutError."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > limit:
            raise TimeoutError(f"{what}: not within {limit:g} s")
        time.sleep(0.005)
    return time.monotonic() - began


class Campaign:
    """One facility of one site."""

    def __init__(self, state: Path, site_file: Path) -> None:
        self.state, self.site_file = state, site_file
        self.site: Site = sites.load(site_file)
        self.crates = [f"crate/server/{server}" for server in self.site.servers]

    def start_up(self, rounds: int) -> None:
        """From nothing to every device ready; the last one stays up."""
        times = []
        for number in range(rounds):
            if number:
                take_down(self.state)
            began = time.monotonic()
            facility = bring_up(self.state, self.site_file)
            times.append(time.monotonic() - began)
        os.environ["TANGO_HOST"] = facility["tango_host"]
        classes = len({device.tango_class for device in self.site.devices})
        devices = len(device_names(self.site))
        line("acs-start", float(np.median(times)), 10.0, "s", rounds, devices=devices, classes=classes)

    def load(self, minutes: float) -> None:
        """Processor, memory, latency, losses over some minutes."""
        members = processes(self.state)
        monitors = self.monitors()
        with self.quiet():
            pushed = self.pushed()
            listener = Listener(self.crates)
        acs = {name: process for name, process in members.items() if name not in OUTSIDE}
        time.sleep(5.0)
        listener.latency.clear()
        began, before = time.monotonic(), cpu_seconds(acs)
        count = sum(listener.count.values())
        time.sleep(60.0 * minutes)
        span, after = time.monotonic() - began, cpu_seconds(acs)
        changes = (sum(listener.count.values()) - count) / span
        shares = {name: round((after[name] - before[name]) / span, 3) for name in acs}
        sizes = {name: process.memory_full_info().pss for name, process in acs.items()}
        p50, p95 = np.percentile(listener.latency, [50, 95])
        facts: dict[str, Any] = {"devices": len(device_names(self.site)), "channels": len(self.channels())}
        facts |= {"changes_per_s": round(changes), "minutes": minutes}
        heard = json.loads(monitors.communicate()[0])["updates"]
        facts |= {"monitors": MONITORS, "monitor_updates": heard}
        line("acs-cores", sum(shares.values()), 0.8, "cores", 1, by=shares, **facts)
        by = {name: round(size / 1e6, 1) for name, size in sizes.items()}
        line("acs-memory", float(sum(sizes.values())), 600e6, "B", 1, by_mb=by)
        line("acs-latency-p95", float(p95), 0.1, "s", len(listener.latency), p50=round(float(p50), 5))
        with self.quiet():
            gone = self.pushed() - pushed - sum(listener.count.values())
        facts = {"changes": sum(listener.count.values()), "missed_events": listener.missed}
        print(json.dumps({"name": "acs-lost", "ours": gone, "peer": 0, "unit": "1", **facts}), flush=True)
        listener.close()

    def channels(self) -> list[str]:
        """Names of the channels of all blocks, DEVICE/ATTRIBUTE."""
        return [name for crate in self.crates for name in tango.DeviceProxy(crate).Channels or ()]

    def monitors(self) -> subprocess.Popen[str]:
        """A pvAccess client that monitors some of the channels, all connected."""
        names = [channel.rpartition("/") for channel in self.channels()[:MONITORS]]
        client = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.acs_monitors"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **find(self.state)["pva_env"]},
        )
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(json.dumps([f"PTCS:{device}:{name}" for device, _slash, name in names]) + "\n")
        client.stdin.flush()
        if not client.stdout.readline():
            raise RuntimeError("the client with the monitors has ended")
        return client

    def pushed(self) -> int:
        """Changes that all crates have pushed so far."""
        return sum(int(tango.DeviceProxy(crate).read_attribute("Pushed").value) for crate in self.crates)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Simulators that stand still, until nothing is pushed any more: then counts can be compared."""
        members = processes(self.state)
        for name in SIMULATORS:
            members[name].suspend()
        time.sleep(2.0)
        before, now = -1, self.pushed()
        while now != before:
            time.sleep(0.5)
            before, now = now, self.pushed()
        try:
            yield
        finally:
            for name in SIMULATORS:
                members[name].resume()

    def kill_server(self, server: str) -> float:
        """Kill a device server: seconds until its devices are back and subscribed again."""
        crate = f"crate/server/{server}"
        names = [crate, *(device.name for device in self.site.on_server(server))]
        listener = Listener([crate])
        os.kill(processes(self.state)[server].pid, signal.SIGKILL)
        took = wait("server back", lambda: answers(names) and listener.again(crate), 60.0)
        listener.close()
        time.sleep(3.0)
        return took

    def kill_plant(self, server: str) -> tuple[float, float]:
        """Kill the plant: seconds until a client sees values unknown, and until they are known again."""
        crate = f"crate/server/{server}"
        listener = Listener([crate])
        time.sleep(1.0)
        os.kill(processes(self.state)["plant"].pid, signal.SIGKILL)
        killed = time.time()
        wait("loss seen", lambda: listener.unknown.get(crate, 0.0) > killed, 10.0)
        seen = listener.unknown[crate]
        wait("plant found again", lambda: listener.known.get(crate, 0.0) > listener.unknown[crate], 60.0)
        back = listener.known[crate]
        listener.close()
        time.sleep(3.0)
        return seen - killed, back - killed

    def kills(self, server: str, rounds: int) -> None:
        """Processes that die, each several times."""
        times = [self.kill_server(server) for _round in range(rounds)]
        devices = len(self.site.on_server(server))
        line("acs-server-back", float(np.median(times)), 5.0, "s", rounds, server=server, devices=devices)
        pairs = np.array([self.kill_plant(server) for _round in range(rounds)])
        line("acs-plant-loss-seen", float(pairs[:, 0].max()), 0.5, "s", rounds)
        line("acs-plant-back", float(np.median(pairs[:, 1])), 10.0, "s", rounds)


def answers(names: Sequence[str]) -> bool:
    """Whether all these devices are there and know their state."""
    try:
        states = {tango.DeviceProxy(name).state() for name in names}
    except tango.DevFailed:
        return False
    return not {tango.DevState.INIT, tango.DevState.UNKNOWN} & states


PARTS = ("start", "load")


@click.command()
@click.option("--site", "site_file", default=CONFIG / "synchrotron.yaml", type=click.Path(path_type=Path))
@click.option("--minutes", default=10.0, show_default=True, help="Length of the load run.")
@click.option("--rounds", default=3, show_default=True, help="Starts and kills of each kind.")
@click.option("--server", default="ring", show_default=True, help="The device server that is killed.")
@click.option("--only", type=click.Choice(PARTS), help="One of the two parts.")
def main(site_file: Path, minutes: float, rounds: int, server: str, only: str | None) -> None:
    """Run the campaign."""
    if only is None:  # a process keeps to the Tango database that it met first
        again = [sys.executable, "-m", "benchmarks.acs_campaign", *sys.argv[1:], "--only"]
        for part in PARTS:
            subprocess.run([*again, part], check=True)
        return
    with tempfile.TemporaryDirectory(prefix="ptcs-acs-") as folder:
        if only == "load":
            site_file = larger(site_file, Path(folder) / "site")
        campaign = Campaign(Path(folder) / "state", site_file)
        try:
            if only == "load":
                campaign.start_up(1)
                campaign.load(minutes)
            else:
                campaign.start_up(rounds)
                campaign.kills(server, rounds)
        finally:
            take_down(campaign.state)


if __name__ == "__main__":
    main()
