"""Days that a user wrote, as conditions on moments."""

from datetime import date, datetime, time, timedelta

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import InstrumentedAttribute

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.rules import Rule


def of_day(moment: InstrumentedAttribute[datetime], rule: Rule) -> ColumnElement[bool]:
    """A moment on a day, from it on, or until its end. Raises BadInput."""
    whole = day(rule)
    start = datetime.combine(whole, time()).astimezone()
    end = datetime.combine(whole + timedelta(days=1), time()).astimezone()
    since, until = moment >= start, moment < end
    return {"is": and_(since, until), "from": since, "until": until}[rule.operator]


def day(rule: Rule) -> date:
    """The rule's day. Raises BadInput for one that does not exist."""
    try:
        return date.fromisoformat(rule.value)
    except ValueError as why:
        raise BadInput(_("{value} is no date of the calendar.").format(value=rule.value)) from why
