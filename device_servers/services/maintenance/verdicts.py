"""How a reading, a step and a whole record are judged: the same code for who measures and who keeps."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from device_servers.services.maintenance.procedures import Limits, Step


class Verdict(StrEnum):
    """What became of a step."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    """A step before it failed."""
    NOT_APPLICABLE = "NOT_APPLICABLE"
    """The site has no such device, or gives it no such limit."""


class Outcome(StrEnum):
    """What the device did when asked."""

    DONE = "DONE"
    REFUSED = "REFUSED"
    LOST = "LOST"
    NOT_NEEDED = "NOT_NEEDED"
    """The device was in the wanted state already."""


def good(step: Step, limits: Limits, outcome: str, values: Sequence[Any]) -> bool:
    """Whether one device did in one step what it must."""
    if step.kind == "refused":
        return outcome == Outcome.REFUSED
    if step.kind in ("command", "write"):
        return outcome in (Outcome.DONE, Outcome.NOT_NEEDED)
    if outcome != Outcome.DONE or len(values) != step.samples:
        return False
    if limits.allowed:
        return all(value in limits.allowed for value in values)
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return False
    if step.spec.get("of") == "spread":
        values = [max(values) - min(values)]
    return all(limits.low <= value <= limits.high for value in values)


def step_verdict(step: Step, content: Mapping[str, Any]) -> Verdict:
    """The verdict of a step that was done, from its judged readings, answer, faults and timing errors."""
    if step.kind == "confirm":
        return Verdict.PASSED if content["answer"] is True else Verdict.FAILED
    if content["faults"] and not step.spec.get("faults_allowed", False):
        return Verdict.FAILED
    if content["timing"]:
        return Verdict.FAILED
    readings = content["readings"]
    if not readings:
        return Verdict.NOT_APPLICABLE
    return Verdict.PASSED if all(reading["ok"] for reading in readings) else Verdict.FAILED


def whole(verdicts: Sequence[str]) -> Verdict:
    """The verdict of a record: passed when no step failed and at least one passed."""
    bad = {Verdict.FAILED, Verdict.SKIPPED} & {Verdict(verdict) for verdict in verdicts}
    return Verdict.FAILED if bad or Verdict.PASSED not in verdicts else Verdict.PASSED


def digest(record: Mapping[str, Any]) -> str:
    """SHA-256 in hex of a record as canonical JSON: what is signed."""
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(body.encode()).hexdigest()
