"""A demonstration department, filled step by step."""

from fastapi import APIRouter
from pydantic import Field

from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.interfaces.rest.schemas import Body
from ois_bridge.services.demo import department

router = APIRouter(tags=["department"])


class SeedBody(Body):
    """How many patients to make, and the number of the random series."""

    count: int = Field(ge=1, le=department.AT_ONCE)
    seed: int = 1


@router.post("/department/seed")
def seed(context: Means, caller: By, body: SeedBody) -> dict[str, int]:
    """Make patients who do not exist. Refused where the OIS has patients of its own."""
    return {"patients": department.seed(context, caller, body.count, body.seed)}
