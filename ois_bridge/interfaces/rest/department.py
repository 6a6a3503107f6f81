"""A demonstration department, filled step by step."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from starlette.datastructures import UploadFile

from common.errors import BadInput
from common.text import _
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.interfaces.rest.schemas import Body
from ois_bridge.services.demo import department, objects

router = APIRouter(tags=["department"])
MOST_OBJECTS = 400
_OBJECTS = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["organs"],
                    "properties": {"organs": {"type": "string"}},
                    "additionalProperties": {"type": "string", "format": "binary"},
                }
            }
        },
    }
}


class SeedBody(Body):
    """How many patients to make, and the number of the random series."""

    count: int = Field(ge=1, le=department.AT_ONCE)
    seed: int = 1


@router.post("/department/seed")
def seed(context: Means, caller: By, body: SeedBody) -> dict[str, int]:
    """Make patients who do not exist. Refused where the OIS has patients of its own."""
    return {"patients": department.seed(context, caller, body.count, body.seed)}


class WantedCourse(Body):
    """A course that could have images and a plan: whose, what is asked, when each step was done."""

    id: str
    patient: dict[str, str]
    diagnosis: str
    target: str
    dose_per_fraction: float
    fractions: int
    done: dict[str, str]
    treated: list[str]


class Wanted(Body):
    """Courses that could have them, the machine that plans are for, and who treats."""

    machine: str
    therapists: list[str]
    courses: list[WantedCourse]


@router.get("/department/seed/objects", response_model=Wanted)
def wanted(context: Means, caller: By) -> Any:
    """Made-up courses whose planning is done and that have no prescription yet."""
    return objects.wanted(context, caller)


@router.post("/department/seed/objects/{key}", openapi_extra=_OBJECTS)
async def take_in(context: Means, caller: By, request: Request, key: str) -> dict[str, int]:
    """Keep images, plan, dose and records of a made-up course, each at its time; prescribe and approve."""
    async with request.form(max_files=MOST_OBJECTS, max_fields=2) as form:
        contents = [await part.read() for _name, part in form.multi_items() if isinstance(part, UploadFile)]
        organs = _organs(form.get("organs"))
    await run_in_threadpool(objects.take_in, context, caller, key, contents, organs)
    return {"objects": len(contents)}


def _organs(text: object) -> dict[str, float]:
    """Region -> highest dose. Raises BadInput."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(dose, int | float) for dose in found.values()):
        raise BadInput(_("The field `organs` with JSON text, region to dose in Gy, is needed."))
    return {str(name): float(dose) for name, dose in found.items()}
