"""`ptcs mode` and `ptcs hand`: the use of the machine, and what people do in its simulated rooms."""

import contextlib
from pathlib import Path

import click
from rich.console import Console

from common.errors import BadConfig, Refused
from common.site import Device
from common.text import _
from ptcs.demo.machine import buttons
from ptcs.fault_command import ANSWER_S, link
from ptcs.options import password_option
from ptcs.running import state_option
from ptcs.service_calls import attribute, call, proxy_as, proxy_of, site_of

KIND = "MachineMode"
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
    if mode is None:
        console.print(str(attribute(proxy_of(state, KIND), "Mode")))
        return
    if not user:
        raise Refused(_("the change of a mode is in somebody's name: give --user"))
    with proxy_as(state, KIND, user, password) as proxy:
        call(proxy, "SetMode", mode.upper())
        console.print(str(attribute(proxy, "Mode")))


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
    site = site_of(state)
    for device in site.devices:
        if device.wire == name and device.tango_class in HANDS:
            return device
    with contextlib.suppress(BadConfig):
        return site.device(name)
    raise Refused(
        _("the site has no device {device}; `ptcs fault list --all` shows every device").format(device=name)
    )
