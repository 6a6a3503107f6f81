"""The machine's archive: values over time, for people and systems that may see them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from common.errors import BadInput
from common.moments import moment
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.interfaces.rest import schemas
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.interfaces.rest.schemas import Line
from ois_bridge.services.errors import NotFound

USUAL_POINTS, MOST_POINTS = 2000, 20_000
AWAY: dict[int | str, dict[str, Any]] = {503: {"model": schemas.Refusal}}
"""What answers while the archiver is away."""

router = APIRouter(tags=["archive"], responses=AWAY)


class Names(BaseModel):
    """Archived attributes, "device/attribute", in order."""

    attributes: list[str]


class History(BaseModel):
    """An attribute over time. Times are seconds since 1970-01-01T00:00:00Z; null is an unknown value.

    width 0: each row is a sample. width > 0: each row sums up the samples from time to time + width (s).
    before: the last sample ahead of the first row. Infinities are the texts "Infinity" and "-Infinity".
    """

    attribute: str
    start: float
    end: float
    width: float
    before: tuple[float, float | str | None] | None
    time: list[float]
    count: list[int]
    unknown: list[int]
    minimum: list[float | str | None]
    maximum: list[float | str | None]
    mean: list[float | str | None]
    last: list[float | str | None]


@router.get("/archive")
def archived(context: Means, caller: By, match: Line = "*") -> Names:
    """Archived attributes by name; `match` with * and ?."""
    caller.check(Action.READ_ARCHIVE)
    return Names(attributes=list(context.machines.archived(match)))


@router.get("/archive/{domain}/{family}/{member}/{attribute}", response_model=History)
def history(
    context: Means,
    caller: By,
    domain: str,
    family: str,
    member: str,
    attribute: str,
    start: Line = "-1h",
    end: Line = "now",
    points: Annotated[int, Query(ge=2, le=MOST_POINTS)] = USUAL_POINTS,
) -> Any:
    """One attribute from `start` to `end`: ISO 8601, seconds since 1970, `now`, or so long ago as in -2h."""
    caller.check(Action.READ_ARCHIVE)
    now = context.now().timestamp()
    first, last = moment(start, now), moment(end, now)
    if first > last:
        raise BadInput(_("The range ends before it starts."))
    if first > now:
        raise BadInput(_("The range lies in the future; the archive knows what was."))
    name = f"{domain}/{family}/{member}/{attribute}"
    found = context.machines.history(name, first, last, points)
    if not found["time"] and found["before"] is None and name not in context.machines.archived(name):
        raise NotFound(_("{attribute} is not archived.").format(attribute=name))
    return found
