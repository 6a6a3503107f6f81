"""What the entries of the register add up to: who is fitted, what is pending, what was done. Pure.

An entry is a JSON object with `kind`, `time` (ISO 8601 with zone), `user`, and the fields of its kind:

fit, exchange   device, serial, type, maker, reason, reading (meters then)
service         device, task, note, reading
order           number, to (a state of an order), device, what, major, note
record          record (whole), hash, signature, passed, device or checklist
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from common.errors import Refused
from common.text import _
from device_servers.services.maintenance.plan import Baseline, ClassPlan

Entry = Mapping[str, Any]


class Order(StrEnum):
    """Where a work order stands."""

    OPEN = "OPEN"
    IN_PROGRESS = "IN_PROGRESS"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


ORDERS: Mapping[Order, frozenset[Order]] = {
    Order.OPEN: frozenset({Order.IN_PROGRESS, Order.CANCELLED}),
    Order.IN_PROGRESS: frozenset({Order.DONE, Order.CANCELLED}),
    Order.DONE: frozenset(),
    Order.CANCELLED: frozenset(),
}
"""State of a work order -> states that it may change to."""


@dataclass
class WorkOrder:
    """A work order; `major`: what it did must be re-validated."""

    number: int
    device: str
    what: str
    major: bool
    state: Order
    steps: list[dict[str, str]] = field(default_factory=list)
    record: str = ""
    """Hash of the re-validation that closed it."""

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        words = {"number": self.number, "device": self.device, "what": self.what, "state": self.state.value}
        return {**words, "major": self.major, "steps": self.steps, "record": self.record}


@dataclass
class DeviceView:
    """One device in the register."""

    component: Entry | None = None
    history: list[Entry] = field(default_factory=list)
    pending_since: str = ""
    """When it was exchanged or repaired without a passed re-validation since; "" for not pending."""
    served: dict[str, Entry] = field(default_factory=dict)
    """Task -> the last time it was done."""


class View:
    """Everything that the chain says, in its order."""

    def __init__(self) -> None:
        self.devices: dict[str, DeviceView] = {}
        self.orders: dict[int, WorkOrder] = {}
        self.records: dict[str, Entry] = {}
        self.length = 0
        self.last = ""

    def device(self, name: str) -> DeviceView:
        """What is known of a device."""
        return self.devices.get(name, DeviceView())

    @property
    def pending(self) -> dict[str, str]:
        """Devices that wait for their re-validation -> since when."""
        return {name: view.pending_since for name, view in self.devices.items() if view.pending_since}

    def apply(self, entry: Entry, digest: str) -> None:
        """Take the next entry. Raises KeyError or ValueError for one of no known kind."""
        APPLY[entry["kind"]](self, entry)
        self.length, self.last = self.length + 1, digest

    def next_order(self) -> int:
        """Number of the next work order."""
        return max(self.orders, default=0) + 1

    def check_order(self, number: int, to: Order) -> WorkOrder:
        """The order that may change so. Raises Refused."""
        order = self.orders.get(number)
        if order is None:
            raise Refused(_("no work order {number}").format(number=number))
        if to not in ORDERS[order.state]:
            allowed = ", ".join(sorted(ORDERS[order.state])) or _("nothing")
            text = _("work order {number} is {state}: it may become {allowed}")
            raise Refused(text.format(number=number, state=order.state, allowed=allowed))
        return order

    def _mine(self, name: str) -> DeviceView:
        return self.devices.setdefault(name, DeviceView())

    def _fit(self, entry: Entry) -> None:
        view = self._mine(entry["device"])
        view.component = entry
        view.history.append(entry)
        view.served.clear()
        if entry["kind"] == "exchange":
            view.pending_since = entry["time"]

    def _service(self, entry: Entry) -> None:
        view = self._mine(entry["device"])
        view.served[entry["task"]] = entry
        view.history.append(entry)

    def _order(self, entry: Entry) -> None:
        number, to = int(entry["number"]), Order(entry["to"])
        if number not in self.orders:
            self.orders[number] = WorkOrder(number, entry["device"], entry["what"], bool(entry["major"]), to)
        order = self.orders[number]
        order.state = to
        order.steps.append({key: entry[key] for key in ("time", "user", "to", "note")})
        if to is Order.DONE and order.major:
            self._mine(order.device).pending_since = entry["time"]

    def _record(self, entry: Entry) -> None:
        self.records[entry["hash"]] = entry
        if "device" not in entry:
            return
        view = self._mine(entry["device"])
        view.history.append(entry)
        if entry["passed"] and _after(entry["record"]["started"], view.pending_since):
            view.pending_since = ""
            for order in self.orders.values():
                if order.device == entry["device"] and order.state is Order.DONE and order.major:
                    order.record = order.record or entry["hash"]


APPLY = {
    "fit": View._fit,
    "exchange": View._fit,
    "service": View._service,
    "order": View._order,
    "record": View._record,
}
"""Kind of an entry -> what it changes."""


def _after(time: str, since: str) -> bool:
    """Whether a time is not before another ("": the beginning)."""
    return not since or datetime.fromisoformat(time) >= datetime.fromisoformat(since)


def baselines(view: DeviceView, plan: ClassPlan, watched_since: datetime) -> dict[str, Baseline]:
    """From where each task of a device counts: last done, else fitted, else watched."""
    found = {}
    for task in plan.tasks:
        entry = view.served.get(task.name) or view.component
        if entry is None:
            found[task.name] = Baseline(watched_since)
        else:
            found[task.name] = Baseline(
                datetime.fromisoformat(entry["time"]).astimezone(UTC), entry["reading"]
            )
    return found
