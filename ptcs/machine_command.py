"""`ptcs mode` and `ptcs hand`: the use of the machine, and what people do in its simulated rooms."""

import contextlib
from pathlib import Path

import click
import tango
from rich.console import Console

from common import site as sites
from common.errors import BadConfig, Refused
from common.site import Device
from common.text import _
from ptcs.client import connect
from ptcs.demo.machine import buttons
from ptcs.fault_command import ANSWER_S, link
from ptcs.maintenance_command import call, password_option, site_of
from ptcs.running import find, state_option

HANDS = {
    "SafetyDoor": ("open", "close"),
    "EmergencyStop": ("press", "release"),
    "SearchStation": ("press", "search"),
}
"""What people can do, by class of device."""
console = Console(highlight=False, soft_wrap=True)


@click.command()
@click.argument("mode", required=False)
@state_option
@click.option("--user", default="", help="User of the OIS; needed to change the mode.")
@password_option
def mode(state: Path, mode: str | None, user: str, password: str) -> None:
    """Say what the machine is used for, or change it to MODE: CLINICAL, PHYSICS, SERVICE or OFF."""
    found = site_of(state).of_class("MachineMode")
    if not found:
        raise Refused(_("this site has no MachineMode device; add one to its site file"))
    if mode is None:
        proxy = tango.DeviceProxy(f"tango://{find(state)['tango_host']}/{found[0].name}")
        console.print(str(proxy.read_attribute("Mode").value))
        return
    if not user:
        raise Refused(_("the change of a mode is in somebody's name: give --user"))
    typed = password or click.prompt(_("password of {user}").format(user=user), hide_input=True)
    with connect(state, user, typed) as client:
        call(client.proxy(found[0].name), "SetMode", mode.upper())
        console.print(str(client.proxy(found[0].name).read_attribute("Mode").value))


@click.command()
@click.argument("device")
@click.argument("act")
@click.argument("button", required=False)
@state_option
def hand(state: Path, device: str, act: str, button: str | None) -> None:
    """Do what people do in the simulated rooms: ACT on DEVICE.

    Doors: open, close. Emergency stops: press, release. Search stations: press BUTTON, or search (all
    buttons in order).
    """
    entry = _device(state, device.lower())
    allowed = HANDS.get(entry.tango_class, ())
    if act not in allowed:
        text = _("people do not {act} a {kind}; they do: {allowed}")
        classes = ", ".join(allowed) or ", ".join(f"{name}: {'|'.join(do)}" for name, do in HANDS.items())
        raise Refused(text.format(act=act, kind=entry.tango_class, allowed=classes))
    pressed: tuple[str | None, ...] = (button,)
    if entry.tango_class == "SearchStation":
        if (act == "search") != (button is None):
            raise Refused(_("press takes the name of a BUTTON, search takes none"))
        pressed = buttons(entry) if act == "search" else (button,)
    verb = "press" if act == "search" else act
    with link(state, "plant") as plant:
        for name in pressed:
            body = {"do": verb, "device": entry.wire} | ({"button": name} if name else {})
            plant.request(body, timeout=ANSWER_S)
            console.print(f"{entry.name}: {verb}{' ' + name if name else ''}")


def _device(state: Path, name: str) -> Device:
    """A device of the running site by its Tango name or its wire. Raises Refused."""
    site = sites.load(Path(find(state)["site_file"]))
    for device in site.devices:
        if device.wire == name and device.tango_class in HANDS:
            return device
    with contextlib.suppress(BadConfig):
        return site.device(name)
    raise Refused(
        _("the site has no device {device}; `ptcs fault list --all` shows every device").format(device=name)
    )
