"""The record as tables: rows of plain values, by sheet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from common.text import translate
from ois_bridge.domain.alerts import shown
from ois_bridge.domain.follow_up import Outcome
from ois_bridge.domain.form_design import Design, Words
from ois_bridge.domain.identity import readable_date, readable_name
from ois_bridge.domain.plan_line import Beat
from ois_bridge.domain.words import N_, SEX, STATE
from ois_bridge.models.workflow import Task
from ois_bridge.services.course_views import CourseView
from ois_bridge.services.export.workbook import Cell, Sheet
from ois_bridge.services.overview import PatientView
from ois_bridge.services.plan_line import TimeLine

Word = Callable[[str], str]


@dataclass(frozen=True)
class Said:
    """What codes are called in the language of an export: people, devices and side effects."""

    person: Word
    device: Word
    term: Word


FormNames = Mapping[tuple[str, int], Design]
"""Design of each kind and version of form: it names form and fields."""


def sheets(view: PatientView, designs: FormNames, said: Said, language: str) -> list[Sheet]:
    """The tables of a record; codes in the language's words, times in this computer's zone."""

    def word(text: str) -> str:
        return translate(text, language)

    courses = view.courses
    found = [
        _patient(view, word, language),
        _courses(courses, word),
        _appointments(courses, said, word),
        _forms(courses, designs, language),
        _tasks(courses, said, word, language),
        _follow_ups(courses, word),
    ]
    return [*found, *_clinical(view, said, word)]


def _clinical(view: PatientView, said: Said, word: Word) -> Iterable[Sheet]:
    """What only those who treat the patient see: the view holds nothing of it for others."""
    if view.line is not None:
        yield _fractions(view.line, said, word)
        yield _prescriptions(view, said)
        yield _plans(view, word)
    if any(item.reviews for item in view.courses):
        yield _reviews(view.courses, said)
    if view.series:
        yield _objects(view)


def _courses(courses: Sequence[CourseView], word: Word) -> Sheet:
    heading = (N_("Course"), N_("State"), N_("Diagnosis"), "ICD-11", "ICD-10", N_("Stage"), N_("Reason"))
    rows = [
        (c.name, word(c.state.value), c.diagnosis_text, c.icd11, c.icd10, c.stage, c.state_reason)
        for c in (item.course for item in courses)
    ]
    return Sheet(N_("Courses"), heading, rows)


def _appointments(courses: Sequence[CourseView], said: Said, word: Word) -> Sheet:
    rows = [
        (item.course.name, _moment(one.start), said.device(one.device), one.fraction, word(one.state.value))
        for item in courses
        for one in sorted([*item.past, *item.coming], key=lambda visit: visit.start)
    ]
    heading = (N_("Course"), N_("Time"), N_("Device"), N_("Fraction"), N_("State"))
    return Sheet(N_("Appointments"), heading, rows)


def _tasks(courses: Sequence[CourseView], said: Said, word: Word, language: str) -> Sheet:
    rows = [
        (
            item.course.name,
            _title(one, language),
            word(one.state.value),
            said.person(one.done_by or one.assignee or ""),
            _moment(one.done),
        )
        for item in courses
        for one in item.tasks
    ]
    heading = (N_("Course"), N_("Task"), N_("State"), N_("Person"), N_("Done"))
    return Sheet(N_("Tasks"), heading, rows)


def _fractions(line: TimeLine, said: Said, word: Word) -> Sheet:
    heading = (
        N_("Plan"), N_("System"), N_("No."), N_("Planned"), N_("Device"), N_("Treated"), N_("Ended"),
        N_("planned MU"), N_("delivered MU"), N_("State"), N_("By"), N_("Note"),
    )  # fmt: skip
    rows = [(lane.title, lane.source, *_beat(beat, said, word)) for lane in line.lanes for beat in lane.beats]
    return Sheet(N_("Fractions"), heading, rows)


def _prescriptions(view: PatientView, said: Said) -> Sheet:
    heading = (
        N_("Target"), N_("Dose per fraction, Gy (RBE)"), N_("Fractions"), N_("RBE model"), N_("Prescribed by")
    )  # fmt: skip
    rows = [
        (wish.target, wish.dose_per_fraction, wish.fractions, wish.rbe_model, said.person(wish.created_by))
        for wish in view.prescriptions
    ]
    return Sheet(N_("Prescriptions"), heading, rows)


def _plans(view: PatientView, word: Word) -> Sheet:
    rows = [
        (p.label, word(STATE[p.state.value]), p.machine, p.fractions_planned, _moment(p.arrived))
        for p in (item.plan for item in view.plans)
    ]
    heading = (N_("Plan"), N_("State"), N_("Machine"), N_("Fractions"), N_("Arrived"))
    return Sheet(N_("Plans"), heading, rows)


def _reviews(courses: Sequence[CourseView], said: Said) -> Sheet:
    rows = [
        (
            item.course.name,
            _moment(one.time),
            said.person(one.physician),
            one.weight,
            _toxicities(one.toxicities, said),
            one.note,
        )
        for item in courses
        for one in item.reviews
    ]
    heading = (
        N_("Course"), N_("Time"), N_("Physician"), N_("Weight, kg"), N_("Side effects"), N_("Note")
    )  # fmt: skip
    return Sheet(N_("Reviews"), heading, rows)


def _objects(view: PatientView) -> Sheet:
    rows = [
        (line.series.modality, line.series.description, line.count, _moment(line.series.created))
        for line in view.series
    ]
    return Sheet(N_("Objects"), (N_("Kind"), N_("Description"), N_("Objects"), N_("Received")), rows)


def _patient(view: PatientView, word: Word, language: str) -> Sheet:
    who = view.patient
    rows: list[tuple[str, str]] = [
        (N_("Patient ID"), who.patient_id),
        (N_("Name"), readable_name(who.name, chinese=language == "zh")),
        (N_("Birth date"), readable_date(who.birth_date)),
        (N_("Sex"), word(SEX[who.sex])),
        (N_("Hospital number"), who.hospital_number),
        (N_("ID card"), who.id_card),
        (N_("Phone"), who.phone),
        (N_("Address"), who.address),
        (N_("Alerts"), ", ".join(word(alert.text) for alert in shown(who.alerts))),
    ]
    return Sheet(N_("Patient"), (N_("Item"), N_("Value")), [(word(name), value) for name, value in rows])


def _forms(courses: Sequence[CourseView], designs: FormNames, language: str) -> Sheet:
    rows: list[tuple[Cell, ...]] = []
    for item in courses:
        for form in item.forms:
            design = designs[(form.kind, form.version)]
            start = (
                item.course.name,
                _in(design.title, language),
                translate(form.state.value, language),
                _moment(form.changed),
            )
            rows += [
                (*start, _in(field.label, language), field.shown(form.content[field.name]))
                for field in design.fields
                if form.content.get(field.name)
            ]
    heading = (N_("Course"), N_("Form"), N_("State"), N_("Changed"), N_("Item"), N_("Value"))
    return Sheet(N_("Forms"), heading, rows)


def _in(words: Words, language: str) -> str:
    return (words.zh if language == "zh" else words.en) or words.en


def _title(task: Task, language: str) -> str:
    return task.title_zh if language == "zh" and task.title_zh else task.title


def _follow_ups(courses: Sequence[CourseView], word: Word) -> Sheet:
    rows = [
        (
            item.course.name,
            one.months,
            _moment(one.due),
            word(Outcome[one.outcome].value) if one.outcome else "",
            one.note,
            _moment(one.done),
        )
        for item in courses
        for one in item.follow_ups
    ]
    heading = (N_("Course"), N_("Month"), N_("Due"), N_("Outcome"), N_("Note"), N_("Done"))
    return Sheet(N_("Follow-up"), heading, rows)


def _beat(beat: Beat, said: Said, word: Word) -> tuple[Cell, ...]:
    return (
        beat.number, _moment(beat.planned), said.device(beat.device),
        _moment(beat.started), _moment(beat.ended),
        beat.planned_mu, beat.delivered_mu, word(beat.mark.value), said.person(beat.by), beat.note,
    )  # fmt: skip


def _toxicities(found: Sequence[dict[str, str | int]], said: Said) -> str:
    return ", ".join(f"{said.term(str(one['term']))} G{one['grade']}" for one in found)


def _moment(value: datetime | date | None) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M}"
    return value.isoformat() if value else ""
