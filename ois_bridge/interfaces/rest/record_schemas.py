"""Bodies of the record's part of the REST interface."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from ois_bridge.interfaces.rest.schemas import Body, Line

Text = Annotated[str, StringConstraints(max_length=4000)]
EVENTS = Literal["INTERRUPT", "RESUME", "CANCEL", "END", "TO_HISTORY", "REOPEN"]
OUTCOMES = Literal["NO_DISEASE", "STABLE", "PROGRESSION", "DEAD", "LOST"]


class Diagnosis(BaseModel):
    """A diagnosis that may be chosen, in ICD-11 and ICD-10; `staging`: names of staging tables."""

    code: str
    name: str
    name_en: str
    icd11: str
    icd10: str
    staging: list[str]
    source: str


class TableBody(Body):
    """Lines of a CSV table; the first one names the columns code, name, name_en, icd11, icd10."""

    table: Annotated[str, StringConstraints(max_length=20_000_000)]


class Taken(BaseModel):
    """How many rows were taken in."""

    rows: int


class StageBody(Body):
    """A staging table and the value of each of its axes."""

    table: Line
    choice: dict[str, Line]


class DiagnosisBody(Body):
    """A code of the table (or none, then in words), and a stage (or none)."""

    code: Line = ""
    text: Line = ""
    stage: StageBody | None = None


class CourseState(BaseModel):
    """A course: state, diagnosis and stage. Times in ISO 8601."""

    id: str
    name: str
    state: str
    reason: str
    changed: str
    diagnosis: str
    diagnosis_code: str
    icd11: str
    icd10: str
    stage: str
    charging: str


class ActionBody(Body):
    """A step with a course and why."""

    event: EVENTS
    reason: Line


class ActionDone(BaseModel):
    """The state after a step, and what was cancelled with it."""

    state: str
    appointments: int
    tasks: int


class Alerts(Body):
    """Codes of the alerts that follow a patient."""

    alerts: list[Line]


class TimeLineFraction(BaseModel):
    """A fraction planned and treated. Metersets in MU, times in ISO 8601 or empty."""

    number: int
    planned: str
    device: str
    started: str
    ended: str
    planned_mu: float | None
    delivered_mu: float | None
    interruptions: int
    state: str
    by: str
    note: str


class TimeLinePlan(BaseModel):
    """A plan. `source`: empty for this OIS, else the system that it was read from."""

    title: str
    source: str
    prescribed: str
    fractions: list[TimeLineFraction]


class TimeLine(BaseModel):
    """All plans of a patient. `silent`: other systems that did not answer."""

    plans: list[TimeLinePlan]
    silent: list[str]


class ToxicityBody(Body):
    """A side effect and its grade by CTCAE 5.0."""

    term: Line
    grade: Annotated[int, Field(ge=0, le=5)]


class ReviewBody(Body):
    """A weekly review, signed with the password. weight in kg."""

    weight: float | None = None
    toxicities: Annotated[list[ToxicityBody], Field(default_factory=list, max_length=20)]
    note: Text = ""
    password: Line


class ReviewDue(BaseModel):
    """A course under treatment and when its next review is due."""

    course_id: str
    patient_id: str
    last: str
    due: str
    overdue: bool


class FollowUpBody(Body):
    """The day that months are counted from, and the months."""

    start: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    months: Annotated[list[int], Field(min_length=1, max_length=60)]


class FollowUp(BaseModel):
    """One planned follow-up and, once done, what it found."""

    id: str
    course_id: str
    months: int
    due: str
    outcome: str
    note: str
    done: str


class ResultBody(Body):
    """What a follow-up found."""

    outcome: OUTCOMES
    note: Text = ""


class StudyBody(Body):
    """A study."""

    name: Line
    criteria: Annotated[str, StringConstraints(max_length=2000)] = ""


class Study(BaseModel):
    """A study and how many courses are in it."""

    id: str
    name: str
    criteria: str
    open: bool
    courses: int


class EnrolBody(Body):
    """The study that a course enters."""

    study_id: Line
