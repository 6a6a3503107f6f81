"""Bodies of the REST interface, as the OpenAPI description shows them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Line = Annotated[str, StringConstraints(max_length=500)]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Refusal(BaseModel):
    """Every answer with a status of 400 and more."""

    error: str


class LogInBody(Body):
    """Who logs in."""

    model_config = ConfigDict(extra="forbid")
    user: Line
    password: Line


class Token(BaseModel):
    """A signed token and when it expires (ISO 8601)."""

    token: str
    expires: str


class SignBody(Body):
    """What is signed: SHA-256 of a record in hex, what the signature means, and the signer's password."""

    model_config = ConfigDict(extra="forbid")
    hash: Line
    meaning: Line
    password: Line


class Signature(BaseModel):
    """A compact JWS of {purpose, hash, meaning, user, time}, signed by the OIS."""

    signed: str


class PatientBody(Body):
    """Identity of a patient. birth_date as YYYYMMDD or YYYY-MM-DD, sex as M, F or O; an id card says both."""

    patient_id: Line | None = None
    name: Line
    birth_date: Line = ""
    sex: Line = ""
    id_card: Line = ""
    hospital_number: Line = ""
    barcode: Line = ""
    phone: Line = ""
    address: Line = ""


class Patient(BaseModel):
    """A registered patient; birth_date as YYYYMMDD."""

    patient_id: str
    name: str
    birth_date: str
    sex: str


class Course(BaseModel):
    """A course and the keys of its prescriptions."""

    id: str
    name: str
    diagnosis: str
    prescriptions: list[str]


class PatientWithCourses(Patient):
    """A patient with courses."""

    courses: list[Course]


class CourseBody(Body):
    """A new course."""

    name: Line
    diagnosis: Line = ""


class Created(BaseModel):
    """Key of a new entry."""

    id: str


class OrganBody(Body):
    """Highest dose allowed in an organ, Gy (RBE)."""

    name: Line
    max_gy: float


class PrescriptionBody(Body):
    """A new prescription; dose_per_fraction in Gy (RBE) to the target."""

    target: Line
    dose_per_fraction: float
    fractions: int
    rbe_model: Line
    structure_set_uid: Line
    organs: list[OrganBody] = Field(default_factory=list, max_length=200)


class Prescription(BaseModel):
    """A prescription."""

    id: str
    patient_id: str
    course_id: str
    target: str
    dose_per_fraction: float
    fractions: int
    rbe_model: str
    structure_set_uid: str
    organs: list[OrganBody]
    prescribed_by: str
    time: str


class Instance(BaseModel):
    """An object of the archive."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    modality: str


class Fraction(BaseModel):
    """A fraction; metersets in MU; parts are SOP Instance UIDs of records."""

    number: int
    state: str
    delivered_mu: float
    planned_mu: float
    parts: list[str]


class Plan(BaseModel):
    """A plan; hash of its file as it is now; approval: JWS or null. course_state: null before submission."""

    sop_instance_uid: str
    patient_id: str
    label: str
    machine: str
    state: str
    hash: str
    approval: str | None
    prescription_id: str | None
    course_state: str | None
    fractions: list[Fraction]


class SubmitBody(Body):
    """What the plan is for."""

    prescription_id: Line


class ApproveBody(Body):
    """The approver's password, again."""

    model_config = ConfigDict(extra="forbid")
    password: Line


class RevokeBody(Body):
    """Why the plan is taken out of use."""

    reason: Line
