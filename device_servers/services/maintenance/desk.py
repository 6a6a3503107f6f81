"""What people hand in at the register: checked, then kept. Every argument is JSON from a client."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common.errors import BadConfig, Refused
from common.site import Site
from common.text import _
from device_servers.parse import text_field
from device_servers.services.maintenance import procedures, records, verdicts
from device_servers.services.maintenance.book import Book
from device_servers.services.maintenance.meters import Meters
from device_servers.services.maintenance.plan import ClassPlan
from device_servers.services.maintenance.verdicts import Verdict
from device_servers.services.maintenance.view import ORDERS, Order

LONGEST = 500
SERIAL = 60


@dataclass(frozen=True)
class Desk:
    """The register, and what it is about."""

    site: Site
    plans: Mapping[str, ClassPlan]
    book: Book
    meters: Meters
    online: Callable[[], Container[str]]
    """Devices whose AdminMode is ONLINE, as of the last look at their servers."""

    def device(self, values: Mapping[str, Any]) -> str:
        """The device that is named. Raises Refused for one that the site does not have."""
        name = text_field(dict(values), "device").lower()
        try:
            self.site.device(name)
        except BadConfig as why:
            raise Refused(_("{why}; `ptcs components` lists the devices").format(why=why)) from why
        return name

    def component(self, values: Mapping[str, Any], *, exchange: bool) -> dict[str, Any]:
        """The fields of a component that is fitted to a device, or exchanged. Raises Refused."""
        name, serial = self.device(values), line(values, "serial", SERIAL)
        if not serial.isascii():
            raise Refused(_("a serial number has letters, digits and signs of ASCII only"))
        fitted = self.book.view.device(name).component
        if fitted is not None and not exchange:
            text = _("{device} has component {serial}; what takes its place is an exchange")
            raise Refused(text.format(device=name, serial=fitted["serial"]))
        if fitted is not None and serial == fitted["serial"]:
            text = _("{serial} is fitted to {device} already; a repair is a major work order")
            raise Refused(text.format(serial=serial, device=name))
        for other, view in self.book.view.devices.items():
            if view.component is not None and view.component["serial"] == serial:
                text = _("serial number {serial} is fitted to {other}; exchange that one first")
                raise Refused(text.format(serial=serial, other=other))
        before = fitted or {"type": "", "maker": ""}
        return {
            "device": name,
            "serial": serial,
            "type": line(values, "type", LONGEST, before["type"]),
            "maker": line(values, "maker", LONGEST, before["maker"]),
            "reason": line(values, "reason", LONGEST, None if exchange else ""),
            "replaces": fitted["serial"] if fitted else "",
            "reading": self.meters.devices[name].reading(),
        }

    def service(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a maintenance task that was done. Raises Refused."""
        name, task = self.device(values), line(values, "task")
        tasks = [known.name for known in self.plans[name].tasks]
        if task not in tasks:
            text = _("{device} has no task {task!r}: allowed are {tasks}")
            raise Refused(text.format(device=name, task=task, tasks=", ".join(tasks) or _("none")))
        reading = self.meters.devices[name].reading()
        return {"device": name, "task": task, "note": line(values, "note", LONGEST, ""), "reading": reading}

    def new_order(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a new work order. Raises Refused."""
        major = values.get("major", False)
        if not isinstance(major, bool):
            raise Refused(_("'major' must be true or false: whether the repair must be re-validated"))
        return {
            "device": self.device(values),
            "what": line(values, "what"),
            "major": major,
            "number": self.book.view.next_order(),
            "to": Order.OPEN.value,
            "note": line(values, "note", LONGEST, ""),
        }

    def move_order(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a work order that goes on. Raises Refused."""
        number, word = values.get("number"), line(values, "to")
        if not isinstance(number, int) or isinstance(number, bool):
            raise Refused(_("'number' must be the number of a work order"))
        try:
            to = Order(word)
        except ValueError as why:
            text = _("no state {word!r} of a work order: allowed are {allowed}")
            raise Refused(text.format(word=word, allowed=", ".join(Order))) from why
        order = self.book.view.check_order(number, to)
        fields = {"number": number, "to": to.value, "note": line(values, "note", LONGEST, "")}
        return {**fields, "device": order.device, "what": order.what, "major": order.major}

    def has_order(self, device: str) -> bool:
        """Whether a work order of a device is not closed."""
        return any(order.device == device and ORDERS[order.state] for order in self.book.view.orders.values())

    def found(self, start: str) -> Mapping[str, Any]:
        """The record whose hash begins so. Raises Refused for none, or several."""
        matching = [
            entry for digest, entry in self.book.view.records.items() if start and digest.startswith(start)
        ]
        if len(matching) != 1:
            text = _("{count} records begin with {start!r}; give more of the hash")
            raise Refused(text.format(count=len(matching), start=start[:LONGEST]))
        return matching[0]

    def record(self, values: Mapping[str, Any], user: str, key: Path, now: datetime) -> dict[str, Any]:
        """The fields of a record that `user` hands in: complete, judged again, signed. Raises Refused."""
        content, signed = values.get("record"), values.get("signature")
        if not isinstance(content, dict) or not isinstance(signed, str):
            raise Refused(_('a record needs {"record": object, "signature": text}'))
        try:
            digest = verdicts.digest(content)
        except (ValueError, TypeError) as why:
            raise Refused(_("the record is malformed ({why})").format(why=why)) from why
        if digest in self.book.view.records:
            raise Refused(_("this record is kept already"))
        kind = content.get("kind")
        if kind == "revalidation":
            fields = self._revalidation(content, now)
        elif kind == "checklist":
            name = line(content, "name")
            passed = records.judge(procedures.checklist(self.site, name), self.site, None, content)
            if present := [device for device in content["left_out"] if device in self.online()]:
                text = _("the record left out {devices}, which are ONLINE; do the checklist again")
                raise Refused(text.format(devices=", ".join(present[:5])))
            records.require_times(content, "", now)
            fields = {"checklist": name, "passed": passed is Verdict.PASSED}
        else:
            raise Refused(_("a record's kind must be revalidation or checklist"))
        if content.get("user") != user or content.get("site") != self.site.name:
            raise Refused(_("the record is another person's or another site's"))
        line(content, "version")
        records.require_signature(key, signed, digest, user, content)
        return {**fields, "hash": digest, "signature": signed, "record": content}

    def _revalidation(self, content: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        name = self.device(content)
        device, known = self.site.device(name), self.book.view.device(name)
        fitted = known.component["serial"] if known.component else ""
        if content.get("serial") != fitted:
            text = _("the record is about component {other!r}: {serial!r} is fitted")
            raise Refused(text.format(other=content.get("serial"), serial=fitted))
        records.require_times(content, known.pending_since, now)
        passed = records.judge(procedures.for_class(device.tango_class), self.site, device, content)
        return {"device": name, "passed": passed is Verdict.PASSED}


def line(values: Mapping[str, Any], key: str, longest: int = LONGEST, default: str | None = None) -> str:
    """A text of one line; `default` (None: it must be there) where it is missing. Raises Refused."""
    value = values.get(key, default)
    good = isinstance(value, str) and len(value) <= longest and value.isprintable()
    if not good or (default is None and not value.strip()):
        text = _("{key!r} must be a text of one line with at most {longest} characters")
        raise Refused(text.format(key=key, longest=longest))
    return str(value).strip()
