"""Does a procedure step by step, on devices that it reaches through a small Protocol; records what it saw."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.errors import LinkLost, PtcsError, Refused
from common.site import Device, Site
from device_servers.faults import fault_text
from device_servers.services.maintenance.procedures import (
    Limits,
    NotApplicable,
    Procedure,
    Step,
    limits_of,
    targets,
    value_of,
    written,
)
from device_servers.services.maintenance.verdicts import Outcome, Verdict, good, step_verdict, whole

POLL_S = 0.1
WITHIN_S = 10.0


class Bench(Protocol):
    """The devices, the person, and the time. Calls raise Refused or LinkLost."""

    def read(self, device: str, attribute: str) -> Any:
        """A number, word or truth value; NaN for a number that is unknown."""

    def write(self, device: str, attribute: str, value: Any) -> None:
        """Write an attribute as the person."""

    def command(self, device: str, name: str, argument: Any) -> None:
        """Send a command as the person; a job has ended when this returns."""

    def fault(self, device: str) -> int:
        """Fault code; 0 for none, and for a device that has no codes."""

    def online(self, device: str) -> bool:
        """Whether its AdminMode is ONLINE."""

    def findings(self) -> Sequence[str]:
        """The timing errors that the timing system knows now."""

    def confirm(self, step: Step) -> tuple[bool, str]:
        """Ask the person; yes or no, and a note."""

    def pause(self, seconds: float) -> None:
        """Wait."""

    def clock(self) -> float:
        """Monotonic time in s."""

    def now(self) -> str:
        """ISO 8601 with zone."""


@dataclass
class Run:
    """One run of a procedure: of one device, or (checklist) of the whole site."""

    procedure: Procedure
    site: Site
    bench: Bench
    device: Device | None = None
    told: Callable[[int, Step, Mapping[str, Any] | None], None] = lambda _number, _step, _content: None
    """Called before each step (content None) and after it."""
    before: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def perform(self) -> dict[str, Any]:
        """Do every step; after a failed one only those that leave the device safe.

        Returns {started, finished, before, left_out, steps, verdict}. A person's interrupt fails the step
        under way.
        """
        started, failed, contents = self.bench.now(), False, []
        if self.device is not None:
            self.before = {name: self._value(self.device.name, name) for name in written(self.procedure)}
        for number, step in enumerate(self.procedure.all_steps, start=1):
            if failed and step not in self.procedure.leave:
                contents.append({**self._empty(step), "verdict": Verdict.SKIPPED.value})
                continue
            self.told(number, step, None)
            content = self._step(step)
            failed = failed or content["verdict"] == Verdict.FAILED
            contents.append(content)
            self.told(number, step, content)
        return {
            "started": started,
            "finished": self.bench.now(),
            "before": self.before,
            "left_out": sorted(set(self.left_out)),
            "steps": contents,
            "verdict": whole([content["verdict"] for content in contents]).value,
        }

    def _empty(self, step: Step) -> dict[str, Any]:
        now = self.bench.now()
        lists: dict[str, Any] = {"readings": [], "faults": [], "timing": []}
        return {"name": step.name, "from": now, "to": now, **lists, "answer": None, "note": ""}

    def _step(self, step: Step) -> dict[str, Any]:
        content = self._empty(step)
        try:
            if step.kind == "confirm":
                content["answer"], content["note"] = self.bench.confirm(step)
            else:
                self._act(step, content)
            verdict = step_verdict(step, content)
        except KeyboardInterrupt:
            content["note"], verdict = "interrupted", Verdict.FAILED
        except PtcsError as why:
            content["note"], verdict = str(why), Verdict.FAILED
        return {**content, "to": self.bench.now(), "verdict": verdict.value}

    def _act(self, step: Step, content: dict[str, Any]) -> None:
        known = set(self.bench.findings())
        devices = []
        for device in targets(step, self.site, self.device):
            if self.device is None and not self.bench.online(device.name):
                self.left_out.append(device.name)
                continue
            devices.append(device)
        if step.kind == "wait":
            content["readings"] = self._wait(step, devices)
        else:
            content["readings"] = [row for device in devices if (row := self._one(step, device)) is not None]
        for reading in content["readings"]:
            if step.asks_how_it_stands and not (reading["ok"] or reading["note"]):
                reading["note"] = status(self.bench, reading["device"])
        for device in devices:
            if code := self.bench.fault(device.name):
                name = fault_text(code, device.tango_class)
                content["faults"].append({"device": device.name, "code": code, "name": name})
        content["timing"] = [finding for finding in self.bench.findings() if finding not in known]

    def _one(self, step: Step, device: Device) -> dict[str, Any] | None:
        """What one device did; None where the step does not concern it."""
        try:
            limits = limits_of(step, device, self.before)
            value = value_of(step.spec.get("value"), device, self.before)
        except NotApplicable:
            return None
        values: list[Any] = []
        outcome, note = Outcome.DONE, ""
        try:
            if step.kind == "measure":
                self._measure(step, device.name, values)
            elif step.kind == "command":
                outcome = self._send(step, device.name, value)
            else:
                values.append(value)
                self.bench.write(device.name, step.attribute, value)
        except LinkLost as why:
            outcome, note = Outcome.LOST, str(why)
        except Refused as why:
            outcome, note = Outcome.REFUSED, str(why)
        return row(step, device.name, limits, outcome, values, note)

    def _send(self, step: Step, device: str, argument: Any) -> Outcome:
        only, unless = step.spec.get("only"), step.spec.get("unless", ())
        if only or unless:
            state = self.bench.read(device, "State")
            if state in unless or (only and state not in only):
                return Outcome.NOT_NEEDED
        self.bench.command(device, step.attribute, argument)
        return Outcome.DONE

    def _measure(self, step: Step, device: str, values: list[Any]) -> None:
        for number in range(step.samples):
            if number:
                self.bench.pause(float(step.spec.get("every_s", POLL_S)))
            values.append(_plain(self.bench.read(device, step.attribute)))

    def _wait(self, step: Step, devices: Sequence[Device]) -> list[dict[str, Any]]:
        """Ask until every device is there, or the time is over."""
        end = self.bench.clock() + float(step.spec.get("within_s", WITHIN_S))
        rows: dict[str, dict[str, Any]] = {}
        while True:
            for device in devices:
                if not rows.get(device.name, {"ok": False})["ok"]:
                    self._look(step, device, rows)
            if all(found["ok"] for found in rows.values()) or self.bench.clock() >= end:
                return list(rows.values())
            self.bench.pause(POLL_S)

    def _look(self, step: Step, device: Device, rows: dict[str, dict[str, Any]]) -> None:
        outcome, note, values = Outcome.DONE, "", []
        try:
            limits = limits_of(step, device, self.before)
            values = [_plain(self.bench.read(device.name, step.attribute))]
        except NotApplicable:
            return
        except LinkLost as why:
            outcome, note = Outcome.LOST, str(why)
        except Refused as why:
            outcome, note = Outcome.REFUSED, str(why)
        rows[device.name] = row(step, device.name, limits, outcome, values, note)

    def _value(self, device: str, attribute: str) -> Any:
        return _plain(self.bench.read(device, attribute))


def status(bench: Bench, device: str) -> str:
    """What a device says of itself, for whoever reads why a step failed; "" when it does not answer."""
    try:
        return str(bench.read(device, "Status"))
    except PtcsError:
        return ""


def row(
    step: Step, device: str, limits: Limits, outcome: Outcome, values: Sequence[Any], note: str
) -> dict[str, Any]:
    """A reading as it stands in a record; ends that are open are null."""
    return {
        "device": device,
        "what": step.attribute,
        "outcome": outcome.value,
        "values": list(values),
        "low": _end(limits.low),
        "high": _end(limits.high),
        "allowed": list(limits.allowed),
        "note": note,
        "ok": good(step, limits, outcome, values),
    }


def _end(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """A value that JSON can hold: an unknown number is null."""
    return None if isinstance(value, float) and math.isnan(value) else value
