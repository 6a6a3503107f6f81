"""What the hospital's system says of a course's charging: asked, kept with its time, shown as it is."""

import logging

from common.errors import BadInput, LinkLost, Refused
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Course
from ois_bridge.models.record import ChargingAnswer
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import rights

log = logging.getLogger(__name__)
UNKNOWN = "unknown"


def ask(context: Context, caller: Caller, course_key: str) -> ChargingAnswer:
    """Ask for the state of a course and keep the answer. A silent system makes the state unknown.

    Raises Refused where the department has no link to the hospital's charging.
    """
    source = context.record.charging
    if source is None:
        raise Refused(_("No charging system is linked; the administrator names it in links.yaml."))
    with context.reading(caller, Action.READ_PATIENTS) as session:
        patient_id = rights.check(session, context, caller, course_key).patient.patient_id
    try:
        said = source.state(patient_id, course_key)
        state, detail = said.state, said.detail
    except (LinkLost, BadInput, Refused) as why:
        log.warning("charging: no answer (%s)", type(why).__name__)
        state, detail = UNKNOWN, _("The charging system does not answer.")
    with context.permitted(caller, Action.READ_PATIENTS, course_key, "charging") as session:
        course = must(session.get(Course, course_key))
        row = session.get(ChargingAnswer, course_key) or ChargingAnswer(course_key=course_key)
        row.state, row.detail, row.asked = state[:32], detail[:200], context.now()
        session.add(row)
        course.charging = row.state
    return row
