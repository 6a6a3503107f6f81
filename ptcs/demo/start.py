"""The operator brings the machine to beam, through Tango: mode, equipment, self-test of the interlock."""

import json
import time
from collections.abc import Sequence

import tango

from common.errors import LinkLost
from common.site import Device, Site
from common.text import _
from ptcs.client import Client, connect
from ptcs.demo.context import Demo, JobFailed
from ptcs.demo.machine import start_up

STAGE_S = 60.0
POLL_S = 0.1
REACHED = {
    "On": {tango.DevState.ON},
    "Open": {tango.DevState.OPEN},
    "Retract": {tango.DevState.EXTRACT},
}
"""States in which a command of the start has done its work."""


def start_machine(demo: Demo, site: Site, room: str) -> None:
    """Switch on, stage by stage, what beam in a room needs. Raises JobFailed, LinkLost."""
    client = connect(demo.state.root, "operator", demo.passwords["operator"])
    stages = list(start_up(site, room))
    with demo.step("ACS", _("operator switches the machine on")) as step:
        _choose_mode(client, site)
        for count, (stage, devices) in enumerate(stages):
            step.update(count / len(stages), _(stage.text))
            _command(client, stage.command, devices)
            _await(client, stage.command, devices)
    _self_test(demo, client, site)
    demo.summary["machine_start"] = {stage.text: len(devices) for stage, devices in stages}


def _choose_mode(client: Client, site: Site) -> None:
    for device in site.of_class("MachineMode"):
        client.proxy(device.name).command_inout("SetMode", "CLINICAL")


def _self_test(demo: Demo, client: Client, site: Site) -> None:
    """Where the table asks for a self-test, no beam comes without a passed one."""
    for device in site.of_class("Interlock"):
        proxy = client.proxy(device.name)
        if proxy.read_attribute("SelfTestState").value in ("NOT_NEEDED", "PASSED"):
            continue
        with demo.step("ACS", _("interlock tests itself")) as step:
            result = json.loads(proxy.command_inout("SelfTest"))
            step.update(1.0, str(result["cases"]))
        if not result["passed"]:
            raise JobFailed(f"{device.name}: {'; '.join(result['failures'][:3])}")
        demo.summary["self_test"] = {"cases": result["cases"]}


def _command(client: Client, command: str, devices: Sequence[Device]) -> None:
    """The command to each device; one that is refused is asked again, as its vacuum may still come."""
    deadline = time.monotonic() + STAGE_S
    waiting = list(devices)
    while waiting:
        refused = []
        for device in waiting:
            try:
                client.proxy(device.name).command_inout(command)
            except tango.DevFailed as why:
                if time.monotonic() > deadline:
                    raise JobFailed(f"{device.name} {command}: {why.args[0].desc}") from why
                refused.append(device)
        waiting = refused
        time.sleep(POLL_S if waiting else 0.0)


def _await(client: Client, command: str, devices: Sequence[Device]) -> None:
    deadline = time.monotonic() + STAGE_S
    for device in devices:
        if device.plant.get("permit"):
            continue  # it opens with the interlock's permit, when beam is asked for
        proxy = client.proxy(device.name)
        while (state := proxy.state()) not in REACHED[command]:
            if time.monotonic() > deadline:
                raise LinkLost(f"{device.name} {command}: still {state}, {proxy.status()}")
            time.sleep(POLL_S)
