"""The course summary (疗程小结): made from the record, completed and signed by the physician."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused, Unauthorised
from common.text import _, language
from ois_bridge.domain import form_content
from ois_bridge.domain.form_states import FORM_TABLE, FormEvent, FormState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.plan_line import Lane
from ois_bridge.domain.state_table import step
from ois_bridge.models.accounts import Account
from ois_bridge.models.clinical import Course
from ois_bridge.models.forms import FormRecord
from ois_bridge.models.plans import Plan
from ois_bridge.services import courses, plan_line, reviews
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import designs, signing
from ois_bridge.services.forms import records as forms
from ois_bridge.services.patients import must
from ois_bridge.services.search import text
from ois_bridge.services.workflow import rights, tasks

KIND = "course-summary"
FIELDS = ("indication", "treatment", "toxicities", "condition", "advice")
"""What the physician writes. The key `facts` holds what the record says, frozen when it was signed."""


def of_course(session: Session, course_key: str) -> FormRecord | None:
    """The course's summary that counts: the newest that was not withdrawn."""
    return session.scalar(
        select(FormRecord)
        .where(
            FormRecord.course_key == course_key,
            FormRecord.kind == KIND,
            FormRecord.state != FormState.WITHDRAWN,
        )
        .order_by(FormRecord.created.desc())
        .limit(1)
    )


def open_draft(context: Context, caller: Caller, course_key: str) -> FormRecord:
    """The course's summary; a new draft, filled from the record, where it has none. Raises NotFound."""
    with context.reading(caller, Action.WRITE_SUMMARY) as session:
        must(session.get(Course, course_key))
        found = of_course(session, course_key)
    if found is not None:
        return found
    with context.permitted(caller, Action.WRITE_SUMMARY, course_key, "draft") as session:
        course = rights.check(session, context, caller, course_key)
        found = of_course(session, course_key)
        if found is not None:
            return found
        facts = gather(session, course)
        row = FormRecord(
            course_key=course.key,
            kind=KIND,
            version=designs.active(session, KIND).version,
            state=FormState.DRAFT,
            content={**_proposal(facts, course.diagnosis_text, _terms(context)), "facts": facts},
            created=context.now(),
            created_by=caller.user,
            changed=context.now(),
            changed_by=caller.user,
        )
        session.add(row)
        session.flush()
    return row


def save(context: Context, caller: Caller, key: str, revision: int, texts: Mapping[str, str]) -> FormRecord:
    """Keep what the physician wrote; the facts are gathered again.

    Raises BadInput for a text that is too long, Refused when somebody else changed it meanwhile or it is
    signed.
    """
    with context.permitted(caller, Action.WRITE_SUMMARY, key, "edit") as session:
        row = _to_edit(context, session, key, revision)
        rights.check(session, context, caller, row.course_key)
        row.state = step(FORM_TABLE, row.state, FormEvent.EDIT)
        row.content = {**_checked(texts), "facts": gather(session, row.course)}
        row.revision += 1
        row.changed, row.changed_by = context.now(), caller.user
        _enter_text(session, row)
    return row


def sign(
    context: Context, caller: Caller, key: str, revision: int, texts: Mapping[str, str], password: str
) -> FormRecord:
    """Keep, freeze and sign a summary; the password is asked again, and the task that waits for it is done.

    Raises what `save` raises, and Unauthorised.
    """
    with context.reading(caller, Action.WRITE_SUMMARY) as session:
        row = _to_edit(context, session, key, revision)
        rights.check(session, context, caller, row.course_key)
        content: dict[str, object] = {**_checked(texts), "facts": gather(session, row.course)}
        said = form_content.digest(row.kind, row.version, row.course_key, content)
    try:
        signature = signing.provider(context).sign(caller.user, said, KIND, password)
    except Unauthorised as why:
        context.refused(caller.user, Action.WRITE_SUMMARY.value, key, why)
        raise
    with context.permitted(caller, Action.WRITE_SUMMARY, key, "sign") as session:
        row = _to_edit(context, session, key, revision)
        row.content = content
        row.revision += 1
        forms.take_step(session, context, caller.user, row, FormEvent.SUBMIT)
        forms.take_step(session, context, caller.user, row, FormEvent.AGREE, signature=signature)
        _enter_text(session, row)
        tasks.form_signed(session, context, caller.user, row.course_key, KIND)
    return row


def withdraw(context: Context, caller: Caller, key: str, why: str) -> None:
    """Take a summary back; it stays in the record as withdrawn, and a new one can be made.

    Raises Refused without a reason.
    """
    with context.reading(caller, Action.WRITE_SUMMARY) as session:
        _must_be_summary(session, key)
    tasks.withdraw(context, caller, key, why)


def _enter_text(session: Session, row: FormRecord) -> None:
    """What a physician wrote can be found by its words."""
    said = "\n".join(str(row.content.get(name, "")) for name in FIELDS)
    text.put(session, row.key, row.course_key, row.course.patient_key, KIND, said)


def pdf(context: Context, caller: Caller, key: str, language: str) -> bytes:
    """The summary on paper, of its frozen content. Raises NotFound."""
    with context.reading(caller, Action.READ_PRESCRIPTION) as session:
        row = _must_be_summary(session, key)
        rights.check(session, context, caller, row.course_key)
        signer = session.scalar(select(Account).where(Account.user == row.decided_by))
        content: dict[str, Any] = {
            "content": row.content,
            "facts": facts_of(session, row),
            "fields": FIELDS,
            "state": row.state.value,
            "decided": row.decided,
            "signer": f"{signer.full_name} ({signer.user})" if signer else row.decided_by,
            "signature": row.signature.rsplit(".", 1)[-1],
            "hash": forms.digest(row),
            "now": context.now(),
            "by": context.person(caller.user),
            "person": context.person,
        }
    return context.record.printer.pdf("summary.html", content, language)


def facts_of(session: Session, row: FormRecord) -> dict[str, Any]:
    """What the record says beside a summary: frozen in it; as it is now for one that was filled as a form."""
    frozen = row.content.get("facts")
    return frozen if isinstance(frozen, dict) else gather(session, row.course)


def gather(session: Session, course: Course) -> dict[str, Any]:
    """What the record says of a course, as JSON: doses planned and delivered, interruptions, side effects."""
    patient = course.patient
    lanes = plan_line.own_lanes(session, patient)
    own = {wish.key for wish in course.prescriptions}
    return {
        "patient": {
            "patient_id": patient.patient_id,
            "name": patient.name,
            "birth_date": patient.birth_date,
            "sex": patient.sex,
        },
        "course": {
            "name": course.name,
            "diagnosis": course.diagnosis,
            "diagnosis_en": course.diagnosis_en,
            "icd11": course.icd11,
            "icd10": course.icd10,
            "stage": course.stage,
            "state": course.state.value,
            "physician": course.physician,
        },
        "plans": _plans(session, own, lanes),
        "steps": [
            {
                "event": one.event.value,
                "reason": one.reason,
                "time": one.time.isoformat(timespec="minutes"),
                "user": one.user,
            }
            for one in courses.steps(session, course.key)
        ],
        "toxicities": _worst(session, course.key),
    }


def _plans(session: Session, prescriptions: set[str], lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    plans = session.scalars(select(Plan).where(Plan.prescription_key.in_(prescriptions)))
    wishes = {plan.sop_uid: must(plan.prescription) for plan in plans}
    found = []
    for lane in lanes:
        wish = wishes.get(lane.key)
        if wish is None:
            continue
        share = [
            (beat.delivered_mu or 0.0) / beat.planned_mu if beat.planned_mu else 0.0 for beat in lane.beats
        ]
        found.append(
            {
                "label": lane.title,
                "state": lane.state,
                "target": wish.target,
                "dose_per_fraction": wish.dose_per_fraction,
                "fractions": wish.fractions,
                "planned_gy": wish.dose_per_fraction * wish.fractions,
                "treated": lane.treated,
                "delivered_gy": round(sum(share) * wish.dose_per_fraction, 3),
                "beats": [
                    {
                        "number": beat.number,
                        "started": beat.started.isoformat(timespec="seconds") if beat.started else "",
                        "planned_mu": beat.planned_mu,
                        "delivered_mu": beat.delivered_mu,
                        "dose_gy": round(part * wish.dose_per_fraction, 3),
                        "interruptions": beat.interruptions,
                        "note": beat.note,
                    }
                    for beat, part in zip(lane.beats, share, strict=True)
                    if beat.started
                ],
            }
        )
    return found


def _worst(session: Session, course_key: str) -> list[dict[str, Any]]:
    """The highest grade of each side effect in the weekly reviews."""
    worst: dict[str, int] = {}
    for review in reviews.of_course(session, course_key):
        for one in review.toxicities:
            term, grade = str(one["term"]), int(one["grade"])
            worst[term] = max(grade, worst.get(term, 0))
    return [{"term": term, "grade": grade} for term, grade in sorted(worst.items())]


def _terms(context: Context) -> Mapping[str, str]:
    """Side effects as the record keeps them -> as the reader calls them."""
    return {row["en"]: row[language()] for row in context.record.settings.toxicities}


def _proposal(facts: Mapping[str, Any], diagnosis: str, terms: Mapping[str, str]) -> dict[str, str]:
    """What stands in the fields of a new draft, in the language of who begins it."""
    found = ", ".join(f"{terms.get(one['term'], one['term'])} G{one['grade']}" for one in facts["toxicities"])
    given = [
        _(
            "{target}: {planned:g} Gy (RBE) in {fractions} fractions planned; {given:g} Gy (RBE) in {n} given"
        ).format(
            target=plan["target"],
            planned=plan["planned_gy"],
            fractions=plan["fractions"],
            given=plan["delivered_gy"],
            n=plan["treated"],
        )
        for plan in facts["plans"]
    ]
    return {
        "indication": " ".join(part for part in (diagnosis, facts["course"]["stage"]) if part),
        "treatment": "\n".join(given),
        "toxicities": found,
        "condition": "",
        "advice": "",
    }


def _checked(texts: Mapping[str, str]) -> dict[str, str]:
    kept = {name: form_content.readable(texts.get(name, "").strip(), name) for name in FIELDS}
    if any(len(text) > 4000 for text in kept.values()):
        raise BadInput(_("Course summary: at most 4000 characters in a field are allowed."))
    return kept


def _to_edit(context: Context, session: Session, key: str, revision: int) -> FormRecord:
    row = _must_be_summary(session, key)
    if row.state is not FormState.DRAFT:
        raise Refused(_("The summary is signed; withdraw it to write another one."))
    if row.revision != revision:
        raise Refused(
            _("{user} changed this summary meanwhile; copy your text, open it again and add yours.").format(
                user=context.person(row.changed_by)
            )
        )
    return row


def _must_be_summary(session: Session, key: str) -> FormRecord:
    row = must(session.get(FormRecord, key))
    return must(row if row.kind == KIND else None)
