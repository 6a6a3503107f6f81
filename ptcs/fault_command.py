"""`ptcs fault`: what can go wrong with the simulated equipment, made to go wrong and put right."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from common.errors import LinkLost, Refused
from common.links.wire import Peer, WireClient
from common.state import StateDir
from common.text import _
from ptcs.options import json_option
from ptcs.running import state_option

FPGA = "fpga"
ANSWER_S = 5.0


@contextmanager
def link(state: Path, process: str) -> Iterator[WireClient]:
    """A link to plant or fpga for one command. Raises LinkLost."""
    entry = StateDir(state.resolve()).endpoint(process)
    client = WireClient(Peer(str(entry["host"]), int(entry["port"]), "ptcs-fault", stale_s=None))
    try:
        client.wait_alive(ANSWER_S)
        yield client
    except LinkLost as why:
        raise LinkLost(
            _("{process} does not answer: {why}; `ptcs status` tells what runs").format(
                process=process, why=why
            )
        ) from why
    finally:
        client.close()


def _ask(state: Path, process: str, **body: Any) -> Mapping[str, Any]:
    with link(state, process) as client:
        return client.request(body, timeout=ANSWER_S).body


class Equipment:
    """What the plant says about faults: devices by wire, kinds by class."""

    def __init__(self, state: Path) -> None:
        """Raises LinkLost."""
        answer = _ask(state, "plant", do="faults")
        self.devices: Mapping[str, Mapping[str, Any]] = answer["faults"]
        self.classes: Mapping[str, Mapping[str, Mapping[str, Any]]] = answer["classes"]

    def wire(self, device: str) -> str:
        """The wire of a device given by wire or Tango name. Raises Refused with names like it."""
        if device in self.devices:
            return device
        named = {str(entry["name"]): wire for wire, entry in self.devices.items()}
        if device.lower() in named:
            return named[device.lower()]
        near = get_close_matches(device, [*self.devices, *named, FPGA], n=4, cutoff=0.5)
        hint = _("did you mean {near}?").format(near=", ".join(near)) if near else ""
        raise Refused(
            _("the plant has no device {device}; {hint} `ptcs fault list --all` shows every device").format(
                device=device, hint=hint
            )
        )

    def kinds(self, wire: str) -> list[dict[str, Any]]:
        """Kinds of faults of a device: kind, code, text, active."""
        entry = self.devices[wire]
        kinds = self.classes[str(entry["class"])]
        return [
            {"kind": kind, "code": int(kinds[kind]["code"]), "text": str(kinds[kind]["text"])}
            | {"active": kind in entry["causes"]}
            for kind in entry["kinds"]
        ]

    def rows(self, everything: bool) -> list[dict[str, Any]]:
        """Devices with faults, or all devices: device, name, class, code, causes."""
        return [
            {"device": wire, "name": entry["name"], "class": entry["class"]}
            | {"code": int(entry["code"]), "causes": list(entry["causes"]), "kinds": list(entry["kinds"])}
            for wire, entry in self.devices.items()
            if everything or entry["causes"] or entry["code"]
        ]


@click.group("fault")
def fault() -> None:
    """Faults of the simulated equipment: list, inject, clear."""


@fault.command("list")
@click.argument("device", required=False)
@click.option("--all", "everything", is_flag=True, help="Every device, also those without a fault.")
@json_option
@state_option
def list_command(state: Path, device: str | None, everything: bool, as_json: bool) -> None:
    """Devices that have faults now, or the kinds of faults of DEVICE (wire, Tango name, or fpga)."""
    if device == FPGA:
        _show_kinds(FPGA, _fpga_kinds(state), as_json)
        return
    equipment = Equipment(state)
    if device is not None:
        wire = equipment.wire(device)
        _show_kinds(wire, equipment.kinds(wire), as_json)
        return
    rows = equipment.rows(everything)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        click.echo(_("no device has a fault"))
        return
    table = Table()
    for title in (_("device"), _("class"), _("code"), _("causes"), _("kinds")):
        table.add_column(title)
    for row in rows:
        causes, kinds = ", ".join(row["causes"]), ", ".join(row["kinds"])
        table.add_row(row["device"], row["class"], str(row["code"]), causes, kinds)
    Console().print(table)


@fault.command("inject")
@click.argument("device")
@click.argument("kind")
@click.option("--size", type=float, default=None, help="Size of a fault of the fpga.")
@json_option
@state_option
def inject_command(state: Path, device: str, kind: str, size: float | None, as_json: bool) -> None:
    """Let a fault KIND happen to DEVICE (wire, Tango name, or fpga)."""
    if device == FPGA:
        body = {"do": "fault", "kind": kind} | ({} if size is None else {"size": size})
        _ask(state, FPGA, **body)
        _done({"device": FPGA, "kind": kind, "active": True}, as_json)
        return
    if size is not None:
        raise Refused(_("only faults of the fpga have a size"))
    wire = Equipment(state).wire(device)
    _ask(state, "plant", do="fault", device=wire, kind=kind)
    _done({"device": wire, "kind": kind, "active": True}, as_json)


@fault.command("clear")
@click.argument("device")
@click.argument("kind", required=False)
@json_option
@state_option
def clear_command(state: Path, device: str, kind: str | None, as_json: bool) -> None:
    """Take the cause KIND (all, without it) of DEVICE's faults away; a latched code still needs Reset."""
    if device == FPGA:
        kinds = [kind] if kind else [row["kind"] for row in _fpga_kinds(state)]
        for each in kinds:
            _ask(state, FPGA, do="clear", kind=each)
        _done({"device": FPGA, "kind": kind or "", "active": False}, as_json)
        return
    wire = Equipment(state).wire(device)
    body = {"do": "clear", "device": wire} | ({"kind": kind} if kind else {})
    _ask(state, "plant", **body)
    _done({"device": wire, "kind": kind or "", "active": False}, as_json)


def _fpga_kinds(state: Path) -> list[dict[str, Any]]:
    """Kinds of the beam hardware's faults. Raises LinkLost when it does not run."""
    # Imported late: the beam hardware's model brings numpy, and other commands need none.
    from simulation.fpga.model import FAULT_SIZES  # noqa: PLC0415

    StateDir(state.resolve()).endpoint(FPGA)
    return [{"kind": kind, "size": size} for kind, size in FAULT_SIZES.items()]


def _show_kinds(device: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    table = Table(title=device)
    for title in (_("kind"), _("code"), _("what happens"), _("now")):
        table.add_column(title)
    for row in rows:
        text = _(row["text"]) if "text" in row else _("size {size:g}").format(size=row["size"])
        now = _("active") if row.get("active") else ""
        table.add_row(row["kind"], str(row.get("code", "")), text, now)
    Console().print(table)


def _done(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(row))
    elif row["active"]:
        click.echo(_("{device}: {kind} injected").format(device=row["device"], kind=row["kind"]))
    else:
        click.echo(_("{device}: cleared").format(device=row["device"]))
