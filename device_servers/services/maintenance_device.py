"""Maintenance: component register, hours and due tasks, work orders, and what must be re-validated."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import tango
from tango import DevState
from tango.server import command

from common.errors import Refused
from common.state import StateDir
from common.text import _
from device_servers.base import PtcsDevice, rule
from device_servers.channel import derived
from device_servers.guard import Session
from device_servers.modes import Admin
from device_servers.parse import json_object
from device_servers.registration import crate_name
from device_servers.services.maintenance import plan, procedures, records, view
from device_servers.services.maintenance.book import Book
from device_servers.services.maintenance.desk import Desk, line
from device_servers.services.maintenance.watcher import Watcher

TIMEOUT_MS = 3000
MOST_ROWS = 4096
LONGEST_RESULT = 4000


@dataclass
class Progress:
    """How far the re-validation under way is, as its client tells."""

    run: str = ""
    device: str = ""
    name: str = ""
    step: str = ""
    results: list[str] = field(default_factory=list)


class MaintenanceDisplay(PtcsDevice):
    """What the register says."""

    def init_device(self) -> None:
        """Open the register and begin to count. A register that was altered makes the device FAULT."""
        super().init_device()
        folder = self.context.state / "maintenance"
        self.plans = plan.of_devices(plan.load(), self.context.site.devices)
        self.book = Book(folder)
        self.watcher = Watcher(self.context.site, folder / "meters.json", self.plans, self.book.view)
        self.desk = Desk(self.context.site, self.plans, self.book, self.watcher.meters, self.watcher.online)
        self._progress = Progress()
        self.watcher.changed = self.refresh
        self.watcher.start()

    def delete_device(self) -> None:
        """End the counting, close the register."""
        super().delete_device()
        self.watcher.stop()
        self.book.close()

    def _state(self) -> tuple[DevState, str]:
        """FAULT when the register was altered, ALARM while clinical mode is locked out."""
        if self.book.broken:
            return DevState.FAULT, self.book.broken
        if locked := self._locked():
            text = _("clinical mode is locked: {count} devices wait for re-validation, the first: {name}")
            return DevState.ALARM, text.format(count=len(locked), name=locked[0])
        return DevState.ON, _("{count} components in the register").format(
            count=sum(1 for device in self.book.view.devices.values() if device.component)
        )

    @derived(dtype=(str,), max_dim_x=MOST_ROWS)
    def Pending(self) -> list[str]:
        """Devices that were exchanged or repaired and wait for their re-validation."""
        return sorted(self.book.view.pending)

    @derived(dtype=(str,), max_dim_x=MOST_ROWS)
    def ClinicalLock(self) -> list[str] | None:
        """Pending devices that patients depend on: while there is one, MachineMode refuses CLINICAL."""
        return None if self.book.broken else self._locked()

    @derived(dtype=(str,), max_dim_x=MOST_ROWS)
    def Due(self) -> list[str]:
        """JSON a row: device, task, text, kind, every, used, share, overdue; nearest to its end first."""
        return [json.dumps(due.row()) for due in self._due() if due.share >= 0.9]

    @derived(dtype=int, format="%d")
    def Overdue(self) -> int:
        """Number of tasks that are overdue."""
        return sum(1 for due in self._due() if due.share >= 1)

    @derived(dtype=(str,), max_dim_x=MOST_ROWS)
    def Orders(self) -> list[str]:
        """JSON a row: work orders that are not closed."""
        orders = [order for order in self.book.view.orders.values() if view.ORDERS[order.state]]
        return [json.dumps(order.row()) for order in orders]

    @derived(dtype=str)
    def Procedure(self) -> str:
        """The re-validation under way: class and device; nothing when none is."""
        return f"{self._progress.name} {self._progress.device}".strip()

    @derived(dtype=str)
    def Step(self) -> str:
        """The step under way."""
        return self._progress.step

    @derived(dtype=(str,), max_dim_x=256)
    def Results(self) -> list[str]:
        """JSON a row: steps of the re-validation under way that are done."""
        return list(self._progress.results)

    @rule(read=True)
    @command(dtype_in=str, doc_in="hash of a record, or its beginning", dtype_out=str)
    def Record(self, start: str) -> str:
        """JSON: a record as it is kept, with its signature."""
        return json.dumps(self.desk.found(start))

    @rule(read=True)
    @command(dtype_out=str)
    def Uptime(self) -> str:
        """JSON: a row a subsystem with hours observed and down, uptime, faults by cause; since when."""
        rows = self.watcher.meters.uptime()
        return json.dumps({"since": self.watcher.since.isoformat(), "subsystems": rows})

    @rule(read=True)
    @command(dtype_in=str, doc_in="first part of device names; nothing: all", dtype_out=str)
    def Components(self, start: str) -> str:
        """JSON: every device whose name begins so, with component, meter, pending, tasks."""
        rows = [self._row(name) for name in self.plans if name.startswith(start.lower())]
        return json.dumps(rows)

    @rule(read=True)
    @command(dtype_in=str, doc_in="device", dtype_out=str)
    def History(self, device: str) -> str:
        """JSON: everything that the register keeps of one device, in order, with its work orders."""
        name = self.desk.device({"device": device})
        orders = [order.row() for order in self.book.view.orders.values() if order.device == name]
        entries = self.book.view.device(name).history
        return json.dumps({**self._row(name), "history": entries, "orders": orders})

    def _row(self, name: str) -> dict[str, Any]:
        known, fitted = self.book.view.device(name), self.book.view.device(name).component
        reading = self.watcher.meters.devices[name].reading()
        return {
            "device": name,
            "class": self.context.site.device(name).tango_class,
            "serial": fitted["serial"] if fitted else "",
            "type": fitted["type"] if fitted else "",
            "maker": fitted["maker"] if fitted else "",
            "since": fitted["time"] if fitted else "",
            "reading": reading,
            "on_component": {key: value - fitted["reading"][key] for key, value in reading.items()}
            if fitted
            else reading,
            "pending_since": known.pending_since,
            "tasks": [due.row() for due in self._due([name])],
        }

    def _due(self, names: Sequence[str] = ()) -> list[plan.Due]:
        now, found = datetime.now(UTC), []
        for name in names or self.plans:
            if self.plans[name].tasks:
                since = view.baselines(self.book.view.device(name), self.plans[name], self.watcher.since)
                reading = self.watcher.meters.devices[name].reading()
                found += plan.due(name, self.plans[name], now, reading, since)
        return sorted(found, key=lambda due: -due.share)

    def _locked(self) -> list[str]:
        pending = self.book.view.pending
        return sorted(name for name in pending if name not in self.plans or self.plans[name].clinical)


class Maintenance(MaintenanceDisplay):
    """The register, and what people hand in."""

    @command(dtype_in=str, doc_in='JSON {"device", "serial", "type", "maker", "reason"}')
    def Fit(self, text: str) -> None:
        """Note which component a device has, for one of which the register knows none."""
        self._keep("fit", self.desk.component(json_object(text), exchange=False))

    @command(
        dtype_in=str, doc_in='JSON {"device", "serial", "reason"; "type", "maker" if others}', dtype_out=str
    )
    def Exchange(self, text: str) -> str:
        """Another component is in: pending until re-validated. Answers "", or why AdminMode stayed."""
        fields = self.desk.component(json_object(text), exchange=True)
        self._require_not_clinical(fields["device"])
        self._keep("exchange", fields)
        return self._set_admin_of(fields["device"], Admin.MAINTENANCE)

    @command(dtype_in=str, doc_in='JSON {"device", "task", "note"}')
    def Service(self, text: str) -> None:
        """A task of the maintenance plan was done."""
        self._keep("service", self.desk.service(json_object(text)))

    @command(dtype_in=str, doc_in='JSON {"device", "what", "major": must be re-validated}', dtype_out=int)
    def OpenOrder(self, text: str) -> int:
        """Open a work order; its number."""
        fields = self.desk.new_order(json_object(text))
        self._keep("order", fields)
        return int(fields["number"])

    @command(
        dtype_in=str, doc_in='JSON {"number", "to": IN_PROGRESS, DONE or CANCELLED, "note"}', dtype_out=str
    )
    def MoveOrder(self, text: str) -> str:
        """A work order goes on; one that was major leaves its device pending. "", or why AdminMode stayed."""
        fields = self.desk.move_order(json_object(text))
        pends = fields["major"] and fields["to"] == view.Order.DONE
        if pends:
            self._require_not_clinical(fields["device"])
        self._keep("order", fields)
        return self._set_admin_of(fields["device"], Admin.MAINTENANCE) if pends else ""

    @command(dtype_in=str, doc_in="device", dtype_out=str)
    def Begin(self, device: str) -> str:
        """Before a re-validation: JSON {run, class, serial, digest}. Refused while the machine treats."""
        name = self.desk.device({"device": device})
        self.book.require_sound()
        self._require_not_clinical(name)
        found = procedures.for_class(self.context.site.device(name).tango_class)
        component = self.book.view.device(name).component
        serial = component["serial"] if component else ""
        self._progress = Progress(uuid.uuid4().hex, name, found.name)
        answer = {"run": self._progress.run, "class": found.name, "serial": serial, "digest": found.digest}
        return json.dumps(answer)

    @command(
        dtype_in=str, doc_in='JSON {"run", "step": what is done now, "result": a step\'s result or null}'
    )
    def Advance(self, text: str) -> None:
        """Who carries out a procedure tells how far it is, for everybody to see."""
        values = json_object(text)
        if self._progress.run != values.get("run"):
            raise Refused(_("this procedure is not the one that was begun last"))
        self._progress.step = line(values, "step")
        if values.get("result") is not None:
            self._progress.results.append(json.dumps(values["result"])[:LONGEST_RESULT])

    @command(dtype_in=str, doc_in='JSON {"record", "signature": of the OIS}', dtype_out=str)
    def Submit(self, text: str) -> str:
        """Keep a signed record. JSON {hash, passed, admin: why AdminMode stayed}. Refused when incomplete."""
        if len(text) > records.LARGEST:
            raise Refused(_("the record is too large"))
        values = json_object(text)
        user = self._by().identity.user
        key = StateDir(self.context.state).public_key
        fields = self.desk.record(values, user, key, datetime.now(UTC))
        self._keep("record", fields)
        self._progress = Progress()
        device = fields.get("device", "")
        free = fields["passed"] and device and not self.desk.has_order(device)
        admin = self._set_admin_of(device, Admin.ONLINE) if free else ""
        return json.dumps({"hash": fields["hash"], "passed": fields["passed"], "admin": admin})

    def _keep(self, kind: str, fields: dict[str, Any]) -> str:
        return self.book.append(self._by().identity.user, kind, fields)

    def _by(self) -> Session:
        assert self.caller is not None  # every command here is guarded
        return self.caller

    def _require_not_clinical(self, device: str) -> None:
        """Raise Refused while the machine treats: what patients depend on is not taken out then."""
        if not self.plans[device].clinical:
            return
        for mode in self.context.site.of_class("MachineMode"):
            try:
                use = str(self._ask(mode.name).read_attribute("Mode").value)
            except tango.DevFailed as why:
                text = _("the machine's mode is unknown ({why}); start its server first")
                raise Refused(text.format(why=why.args[0].desc)) from why
            if use == "CLINICAL":
                raise Refused(_("the machine is in mode CLINICAL; take it to PHYSICS, SERVICE or OFF first"))

    def _set_admin_of(self, device: str, mode: Admin) -> str:
        """Set a device's AdminMode as the caller; why it could not be, or ""."""
        wish = {"token": self._by().token, "device": device, "attribute": "AdminMode", "value": int(mode)}
        crate = self._ask(crate_name(self.context.site.device(device).server))
        try:
            crate.command_inout("WriteAs", json.dumps({**wish, "by": self.site.name}))
        except tango.DevFailed as why:
            return _("AdminMode is not {mode}: {why}").format(mode=mode.name, why=why.args[0].desc)
        return ""

    def _ask(self, device: str) -> tango.DeviceProxy:
        proxy = tango.DeviceProxy(device)
        proxy.set_timeout_millis(TIMEOUT_MS)
        return proxy
