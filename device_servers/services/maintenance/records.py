"""A finished record as it is handed in: complete, judged again from its own values, and signed.

Who measures may be mistaken or altered; what a record says of itself is therefore not believed: names
of steps, limits, verdicts and completeness are computed here again, and must agree.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common import authority
from common.errors import Refused, Tampered
from common.site import Device, Site
from common.text import _
from device_servers.services.maintenance.procedures import (
    Limits,
    NotApplicable,
    Procedure,
    Step,
    limits_of,
    targets,
    value_of,
)
from device_servers.services.maintenance.stepper import row
from device_servers.services.maintenance.verdicts import Outcome, Verdict, step_verdict, whole

MEANINGS = {"revalidation": "revalidation", "checklist": "checklist"}
"""Kind of a record -> what its signature must mean."""
PURPOSE = "record"
FUTURE = timedelta(minutes=1)
SIGNED_WITHIN = timedelta(hours=24)
SHAPE: Mapping[str, Any] = {
    **dict.fromkeys(("name", "from", "to", "note", "verdict"), str),
    **dict.fromkeys(("readings", "faults", "timing"), list),
    "answer": bool | None,
}
"""Fields of a step's result -> their types."""
LARGEST = 8_000_000
"""Longest record, in characters."""


def judge(procedure: Procedure, site: Site, device: Device | None, record: Mapping[str, Any]) -> Verdict:
    """The verdict of a record. Raises Refused when it is incomplete or claims more than its values show."""
    try:
        return _judge(procedure, site, device, record)
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        raise Refused(_("the record is malformed ({why})").format(why=repr(why))) from why


def _judge(procedure: Procedure, site: Site, device: Device | None, record: Mapping[str, Any]) -> Verdict:
    if record["digest"] != procedure.digest:
        raise Refused(_("the record follows another version of the procedure; do it again with this one"))
    if not isinstance(record["left_out"], list) or not all(
        isinstance(name, str) for name in record["left_out"]
    ):
        raise TypeError("left_out")
    contents = record["steps"]
    for content in contents:
        _require_shape(content)
    if [content["name"] for content in contents] != [step.name for step in procedure.all_steps]:
        raise Refused(_("the record does not have the steps of the procedure, each once and in order"))
    failed = False
    for step, content in zip(procedure.all_steps, contents, strict=True):
        verdict = Verdict(content["verdict"])
        if verdict is Verdict.SKIPPED and (not failed or step in procedure.leave):
            raise _wrong(step, _("it was left out though nothing before it failed"))
        if verdict in (Verdict.PASSED, Verdict.NOT_APPLICABLE):
            _require(step, content, site, device, record)
        failed = failed or verdict is Verdict.FAILED
    verdict = whole([content["verdict"] for content in contents])
    if record["verdict"] != verdict:
        raise Refused(_("the record's verdict does not follow from its steps"))
    return verdict


def _require_shape(content: Mapping[str, Any]) -> None:
    """Raise ValueError unless a step's result has its fields, each of its type."""
    if set(content) != set(SHAPE) or not all(isinstance(content[key], kind) for key, kind in SHAPE.items()):
        raise ValueError("fields of a step")
    if not all(isinstance(item, dict) for item in (*content["readings"], *content["faults"])):
        raise ValueError("readings or faults of a step")


def _require(
    step: Step, content: Mapping[str, Any], site: Site, device: Device | None, record: Mapping[str, Any]
) -> None:
    """Raise Refused unless a step's readings are those it asks for and give the verdict that it claims."""
    expected: dict[str, Limits] = {}
    for target in targets(step, site, device):
        if device is None and target.name in record["left_out"]:
            continue
        try:
            expected[target.name] = limits_of(step, target, record["before"])
            value_of(step.spec.get("value"), target, record["before"])
        except NotApplicable:
            expected.pop(target.name, None)
    readings = content["readings"]
    if [reading["device"] for reading in readings] != list(expected):
        raise _wrong(step, _("its readings are not those of the devices that it concerns"))
    for reading in readings:
        _require_reading(step, reading, expected[reading["device"]], site, record)
    if step_verdict(step, content) != content["verdict"]:
        raise _wrong(step, _("its verdict does not follow from its values"))


def _require_reading(
    step: Step, reading: Mapping[str, Any], limits: Limits, site: Site, record: Mapping[str, Any]
) -> None:
    name, outcome = reading["device"], Outcome(reading["outcome"])
    if outcome is Outcome.NOT_NEEDED and not ({"only", "unless"} & set(step.spec)):
        raise _wrong(step, _("it may not be left out"))
    if step.kind in ("write", "refused"):
        wanted = value_of(step.spec["value"], site.device(name), record["before"])
        if reading["values"] != [wanted]:
            raise _wrong(step, _("another value was written than it says"))
    if row(step, name, limits, outcome, reading["values"], reading["note"]) != reading:
        raise _wrong(step, _("what it says of {device} does not follow from its values").format(device=name))


def _wrong(step: Step, why: str) -> Refused:
    return Refused(_("step {name}: {why}").format(name=step.name, why=why))


def require_times(record: Mapping[str, Any], since: str, now: datetime) -> None:
    """Raise Refused unless a record began after `since` (ISO 8601, "": any time) and has ended by now."""
    try:
        started = datetime.fromisoformat(record["started"])
        finished = datetime.fromisoformat(record["finished"])
        in_order = started <= finished <= now + FUTURE
        after = not since or started >= datetime.fromisoformat(since)
    except (KeyError, TypeError, ValueError) as why:
        raise Refused(_("the record's times are no times with a zone")) from why
    if not in_order:
        raise Refused(_("the record's times are not in order, or in the future"))
    if not after:
        raise Refused(_("the record began before the component was exchanged; do the procedure again"))


def require_signature(key: Path, signed: str, digest: str, user: str, record: Mapping[str, Any]) -> None:
    """Raise Refused unless the OIS says that this user signed this record, after it was finished."""
    try:
        said = authority.read_statement(authority.load_public(key), signed)
        time = datetime.fromisoformat(said["time"])
        finished = datetime.fromisoformat(record["finished"])
        wanted = {"purpose": PURPOSE, "hash": digest, "user": user, "meaning": MEANINGS[record["kind"]]}
        fits = all(said.get(name) == value for name, value in wanted.items())
    except Tampered as why:
        raise Refused(_("the signature is not the OIS's: {why}").format(why=why)) from why
    except (OSError, ValueError, KeyError, TypeError) as why:
        raise Refused(_("the signature cannot be checked ({why})").format(why=why)) from why
    if not fits:
        raise Refused(_("the signature is for another record, person or meaning"))
    if not finished - FUTURE <= time <= finished + SIGNED_WITHIN:
        raise Refused(_("the record was not signed within a day of its end; do the procedure again"))
