"""The audit of permissions for other systems: who holds which role since when, what keys allow."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.services import permission_audit

router = APIRouter(tags=["permissions"])


class HeldView(BaseModel):
    """One role. `since`: ISO 8601."""

    role: str
    since: str
    given_by: str


class PersonView(BaseModel):
    """One account; `rights`: names of Actions."""

    user: str
    full_name: str
    state: str
    last_log_in: str
    roles: list[HeldView]
    rights: list[str]


class SystemView(BaseModel):
    """One key of another system."""

    name: str
    state: str
    created: str
    created_by: str
    expires: str
    last_used: str
    scopes: list[str]


class PermissionsView(BaseModel):
    """What is permitted at a time."""

    time: str
    people: list[PersonView]
    systems: list[SystemView]


@router.get("/permissions")
def permissions(context: Means, caller: By) -> PermissionsView:
    """Everything that is permitted now; for administrators."""
    audit = permission_audit.taken(context, caller)
    return PermissionsView(
        time=_time(audit.time),
        people=[
            PersonView(
                user=one.user,
                full_name=one.full_name,
                state=one.state,
                last_log_in=_time(one.last_log_in),
                roles=[
                    HeldView(role=held.role, since=_time(held.since), given_by=held.given_by)
                    for held in one.roles
                ],
                rights=[action.name for action in one.rights],
            )
            for one in audit.people
        ],
        systems=[
            SystemView(
                name=one.name,
                state=one.state,
                created=_time(one.created),
                created_by=one.created_by,
                expires=_time(one.expires),
                last_used=_time(one.last_used),
                scopes=[scope.name for scope in one.scopes],
            )
            for one in audit.systems
        ],
    )


def _time(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
