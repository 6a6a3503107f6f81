"""Pages of patients: the list and registration."""

from datetime import date

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from ois_bridge.domain import permissions
from ois_bridge.domain.permissions import Action
from ois_bridge.services import patients
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/patients")
def list_patients(request: Request, context: Means, user: User, search: str = "") -> HTMLResponse:
    """Newest patients, or the ones searched for."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        found = patients.search(session, search)
        return page(request, "patients.html", found=found, search=search)


@router.get("/patients/new")
def new_patient(request: Request, user: User) -> HTMLResponse:
    """The registration form."""
    permissions.check(user.caller.user, user.caller.roles, Action.REGISTER_PATIENT)
    return page(request, "register.html", form={}, today=date.today().isoformat())


@router.post("/patients/new")
def register(request: Request, context: Means, user: User, form: Form) -> Response:
    """Register a patient; what was typed stays where it is refused."""
    fields = [form.get(name, "") for name in ("patient_id", "name", "birth_date", "sex")]
    try:
        patient = patients.register(context, user.caller, *fields)
    except (BadInput, Refused) as why:
        today = date.today().isoformat()
        return page(request, "register.html", 422, form=form, today=today, error=str(why))
    return RedirectResponse(f"/patients/{patient.key}?done=registered", 303)
