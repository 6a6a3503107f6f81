"""Plans, their fractions, and the irradiation reports."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from common.errors import BadInput
from common.text import _, language
from ois_bridge.domain.permissions import Action
from ois_bridge.interfaces.rest import schemas
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.models.plans import Plan
from ois_bridge.services import patients, plans, reports, views

router = APIRouter(tags=["plans"])

_MULTIPART = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["summary"],
                    "properties": {"summary": {"type": "string", "description": "JSON text"}},
                    "additionalProperties": {"type": "string", "format": "binary"},
                }
            }
        },
    }
}


@router.get("/plans/{sop_uid}", response_model=schemas.Plan)
def one_plan(context: Means, caller: By, sop_uid: str) -> Any:
    """A plan, with the hash of its file as it is now; refused when the file was altered."""
    digest = plans.confirm_at_rest(context, caller, sop_uid)
    with context.reading(caller, Action.READ_PLAN) as session:
        return views.plan(session, patients.must(session.get(Plan, sop_uid)), digest)


@router.get("/plans/{sop_uid}/fractions", response_model=list[schemas.Fraction])
def fractions(context: Means, caller: By, sop_uid: str) -> Any:
    """Fractions of a plan, in order."""
    with context.reading(caller, Action.READ_PLAN) as session:
        patients.must(session.get(Plan, sop_uid))
        return views.fractions(session, sop_uid)


@router.post("/plans/{sop_uid}/submit", response_model=schemas.Plan)
def submit(context: Means, caller: By, sop_uid: str, body: schemas.SubmitBody) -> Any:
    """Submit for approval (physicist)."""
    plans.submit(context, caller, sop_uid, body.prescription_id)
    return one_plan(context, caller, sop_uid)


@router.post("/plans/{sop_uid}/approve", response_model=schemas.Plan)
def approve(context: Means, caller: By, sop_uid: str, body: schemas.ApproveBody) -> Any:
    """Approve and sign (physician, other than the submitter)."""
    plans.approve(context, caller, sop_uid, body.password)
    return one_plan(context, caller, sop_uid)


@router.post("/plans/{sop_uid}/revoke", response_model=schemas.Plan)
def revoke(context: Means, caller: By, sop_uid: str, body: schemas.RevokeBody) -> Any:
    """Take out of use (physician)."""
    plans.revoke(context, caller, sop_uid, body.reason)
    return one_plan(context, caller, sop_uid)


@router.post("/plans/{sop_uid}/fractions/{number}/report", status_code=201, openapi_extra=_MULTIPART)
async def write_report(
    context: Means,
    caller: By,
    request: Request,
    sop_uid: str,
    number: int,
    lang: Annotated[str | None, Query(description="en or zh")] = None,
) -> schemas.Created:
    """Compose and keep the report of a fraction (physicist)."""
    async with request.form(max_files=reports.MAX_PICTURES + 1, max_fields=10) as form:
        summary = form.get("summary")
        if isinstance(summary, UploadFile):
            summary = (await summary.read()).decode("utf-8", errors="replace")
        if not isinstance(summary, str):
            raise BadInput(_("The field `summary` with JSON text is needed."))
        pictures = {
            part.filename or "": await part.read()
            for name, part in form.multi_items()
            if isinstance(part, UploadFile) and name != "summary"
        }
    key = await run_in_threadpool(
        reports.write, context, caller, sop_uid, number, summary, pictures, lang or language()
    )
    return schemas.Created(id=key)


@router.get("/reports/{report_id}.pdf", response_class=Response)
def report(
    context: Means,
    caller: By,
    report_id: str,
    lang: Annotated[str | None, Query(description="en or zh")] = None,
) -> Response:
    """A report as PDF, in English or Chinese."""
    content = reports.pdf(context, caller, report_id, lang or language())
    return Response(content, media_type="application/pdf")
