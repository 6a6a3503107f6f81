"""Bodies of the service's HTTP interface."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Line = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9.]{1,64}$")]


class _Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class FieldBody(_Body):
    """One field; angles in degrees, IEC 61217."""

    name: Line
    gantry: float = Field(ge=-360, le=360)
    couch: float = Field(default=0.0, ge=-360, le=360)


class PlanRequest(_Body):
    """Make a plan for a prescription.

    rbe_model: the prescription's, for those who want to be sure; empty: whatever that is. tissues: for a
    region a tissue of the set `proton-rbe`, or its alpha/beta in Gy; variable models alone look at them.
    """

    kind: Literal["plan"]
    patient_id: Line
    prescription_id: Line
    fields: list[FieldBody] = Field(min_length=1, max_length=16)
    machine: Line
    margin_mm: float = Field(default=3.0, ge=0, le=30)
    rbe_model: str = Field(default="", max_length=64)
    tissues: dict[Line, Annotated[float, Field(gt=0, le=100)] | Line] = Field(default={}, max_length=32)


class ReconstructRequest(_Body):
    """Recompute the dose of one fraction from its records."""

    kind: Literal["reconstruct"]
    plan_uid: Uid
    record_uids: list[Uid] = Field(min_length=1, max_length=64)


JobRequest = Annotated[PlanRequest | ReconstructRequest, Field(discriminator="kind")]
