"""The list of patients."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from ois_bridge.domain.permissions import Action
from ois_bridge.services import patients
from ois_bridge.web.render import page
from ois_bridge.web.session import Means, User

router = APIRouter(include_in_schema=False)


@router.get("/patients")
def list_patients(request: Request, context: Means, user: User, search: str = "") -> HTMLResponse:
    """Newest patients, or the ones searched for."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        found = patients.search(session, search)
        return page(request, "patients.html", found=found, search=search)
