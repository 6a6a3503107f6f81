"""Conditions on visits: to which device, on which days; a cancelled one is none."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.rules import FIELDS, Group, Rule
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.scheduling import DepartmentDevice
from ois_bridge.services.search import moments

MOST = 3000
"""So many patients of a day or device are looked at one by one: a day long ago is far along the list."""
KEPT: ColumnElement[bool] = Appointment.state != AppointmentState.CANCELLED


def rules_of(group: Group) -> list[Rule]:
    """Its own rules on visits."""
    return [item for item in group.items if isinstance(item, Rule) and FIELDS[item.field].of == "visit"]


def rule(item: Rule) -> ColumnElement[bool]:
    """One rule on a visit. Raises BadInput for a date that does not exist."""
    if item.field == "device":
        return Appointment.device == item.value
    return moments.of_day(Appointment.start, item)


def few(session: Session, group: Group, most: int) -> list[str] | None:
    """Keys of the patients with such a visit where they are at most `most`; None without rules on visits.

    The indexes begin with the device: without one asked for, all of the department's are.
    """
    wanted = rules_of(group)
    if not wanted:
        return None
    conditions = [rule(item) for item in wanted]
    if all(item.field != "device" for item in wanted):
        conditions.append(Appointment.device.in_(session.scalars(select(DepartmentDevice.name)).all()))
    query = select(Appointment.patient_key).where(Appointment.patient_key.is_not(None), KEPT, *conditions)
    keys = session.scalars(query.distinct().limit(most + 1)).all()
    return sorted(key for key in keys if key) if len(keys) <= most else None
