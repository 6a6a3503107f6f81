"""Forms on paper: A4, with the patient, the signature and its digest."""

from contextvars import copy_context
from functools import partial
from typing import Any

from common.text import set_language
from ois_bridge.domain.permissions import Action
from ois_bridge.models.forms import FormRecord
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import designs, records
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import rights


def pdf(context: Context, caller: Caller, key: str, language: str) -> bytes:
    """A form as PDF in a language. Raises NotFound, Unauthorised, ValueError for an unknown language."""

    def printed() -> bytes:
        set_language(language)
        with context.reading(caller, Action.READ_FORM) as session:
            row = must(session.get(FormRecord, key))
            rights.check(session, context, caller, row.course_key)
            facts: dict[str, Any] = {
                "design": designs.design_of(session, row.kind, row.version),
                "content": row.content,
                "patient": row.course.patient,
                "course": row.course,
                "row": row,
                "digest": records.digest(row),
                "now": context.now(),
                "by": context.person(caller.user),
                "signed": partial(_signed, context),
            }
            return context.record.printer.pdf("form.html", facts, language)

    # texts of a design follow the language in force; this print's own ends with it
    return copy_context().run(printed)


def _signed(context: Context, user: str) -> str:
    """A person with the account that signed; "" for nobody yet."""
    name = context.person(user)
    return f"{name} ({user})" if name != user else user
