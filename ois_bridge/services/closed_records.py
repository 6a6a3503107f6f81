"""Which restricted records are closed to somebody: all but those of whose care team the person is."""

from datetime import datetime

from sqlalchemy import BindParameter, bindparam, exists, or_, select

from ois_bridge.models.access import CareTeamMember, Restriction
from ois_bridge.models.base import UtcDateTime
from ois_bridge.models.clinical import Course
from ois_bridge.models.database import Database
from ois_bridge.models.workflow import Task
from ois_bridge.services.workflow.open_tasks import OPEN

SEES_MASKED = frozenset({"screen"})
"""Roles that are shown masked names only: a screen calls everybody."""

_USER: BindParameter[str] = bindparam("caller")
_CLOSED = select(Restriction.patient_key).where(
    ~exists().where(
        CareTeamMember.patient_key == Restriction.patient_key,
        CareTeamMember.user == _USER,
        or_(CareTeamMember.until.is_(None), CareTeamMember.until > bindparam("now", type_=UtcDateTime)),
    ),
    ~exists().where(Course.patient_key == Restriction.patient_key, Course.physician == _USER),
    ~exists().where(
        Course.patient_key == Restriction.patient_key,
        Task.course_key == Course.key,
        Task.assignee == _USER,
        Task.state.in_(OPEN),
    ),
)


def closed_to(database: Database, user: str, roles: frozenset[str], now: datetime) -> frozenset[str]:
    """Keys of the patients."""
    if roles and roles <= SEES_MASKED:
        return frozenset()
    return frozenset(str(row[0]) for row in database.glance(_CLOSED, {"caller": user, "now": now}))
