"""Merging two records of one person, for other systems."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ois_bridge.domain.permissions import Action
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.interfaces.rest.schemas import Body, Line
from ois_bridge.models.merging import PatientMerge
from ois_bridge.services import access, merging, patients

router = APIRouter(tags=["patients"])


class MergeBody(Body):
    """The record that goes into the one of the address. `sure`: persons whose data differ were compared."""

    patient_id: Line
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    sure: bool = False


class MergeOut(BaseModel):
    """A merge. `patient_id`: of the record that stays, `gone_id`: of the other one."""

    id: str
    patient_id: str
    gone_id: str
    reason: str
    time: datetime
    user: str
    undone: datetime | None


@router.get("/patients/{patient_id}/merges")
def merges(context: Means, caller: By, patient_id: str) -> list[MergeOut]:
    """Records that were merged into one."""
    with context.reading(caller, Action.MERGE_PATIENTS) as session:
        patient = patients.must(patients.by_id(session, patient_id))
        access.check(session, caller, patient.key, context)
        return [_out(row) for row in merging.of_patient(session, patient.key)]


@router.post("/patients/{patient_id}/merges", status_code=201)
def merge(context: Means, caller: By, patient_id: str, body: MergeBody) -> MergeOut:
    """Merge another record into this one (front desk, physician)."""
    with context.reading(caller, Action.MERGE_PATIENTS) as session:
        kept = patients.must(patients.by_id(session, patient_id)).key
        gone = patients.must(patients.with_number(session, body.patient_id)).key
    return _read(context, caller, merging.merge(context, caller, kept, gone, body.reason, body.sure).key)


@router.post("/merges/{merge_id}/undo")
def undo(context: Means, caller: By, merge_id: str) -> MergeOut:
    """Make two records of one again (front desk, physician)."""
    return _read(context, caller, merging.undo(context, caller, merge_id).key)


def _read(context: Means, caller: By, key: str) -> MergeOut:
    with context.reading(caller, Action.MERGE_PATIENTS) as session:
        return _out(session.get_one(PatientMerge, key))


def _out(row: PatientMerge) -> MergeOut:
    return MergeOut(
        id=row.key,
        patient_id=row.kept.patient_id,
        gone_id=row.gone.patient_id,
        reason=row.reason,
        time=row.time,
        user=row.user,
        undone=row.undone,
    )
