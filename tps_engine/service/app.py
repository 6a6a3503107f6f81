"""The service's HTTP interface: post a job, ask how it stands, fetch what it made."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

from common.authority import Identity
from common.errors import LinkLost, Refused, Unauthorised
from common.text import _
from tps_engine.service.doorkeeper import Doorkeeper, Stranger, bearer
from tps_engine.service.jobs import JobStore
from tps_engine.service.requests import JobRequest
from tps_engine.service.worker import Worker

router = APIRouter(prefix="/api/v1")
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def caller(request: Request, authorization: Annotated[str, Header()] = "") -> Identity:
    """Whom the token names. Raises Unauthorised."""
    keeper: Doorkeeper = request.app.state.doorkeeper
    return keeper.admit(bearer(authorization))


Caller = Annotated[Identity, Depends(caller)]


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.post("/jobs", status_code=202)
def post_job(
    request: Request,
    who: Caller,
    body: JobRequest,
    authorization: Annotated[str, Header()] = "",
    accept_language: Annotated[str, Header()] = "",
) -> dict[str, str]:
    """Queue a job (physicist)."""
    keeper: Doorkeeper = request.app.state.doorkeeper
    keeper.must_plan(who)
    worker: Worker = request.app.state.worker
    language = "zh" if accept_language.lower().startswith("zh") else "en"
    return {"id": worker.submit(body, who.user, bearer(authorization), language).id}


@router.get("/jobs/{job_id}")
def get_job(request: Request, _who: Caller, job_id: str) -> dict[str, Any]:
    """How a job stands."""
    store: JobStore = request.app.state.store
    try:
        return store.get(job_id).shown()
    except KeyError:
        raise HTTPException(404, _("no such job; it may belong to another facility")) from None


@router.get("/jobs/{job_id}/artefacts/{name}")
def get_artefact(request: Request, _who: Caller, job_id: str, name: str) -> FileResponse:
    """A picture that a job made."""
    store: JobStore = request.app.state.store
    try:
        return FileResponse(store.artefact(job_id, name), media_type="image/png")
    except KeyError:
        raise HTTPException(404, _("this job has no such artefact")) from None


def create(
    store: JobStore, worker: Worker, doorkeeper: Doorkeeper, lifespan: Lifespan | None = None
) -> FastAPI:
    """The application. lifespan: what to do when it is about to serve and when it has stopped."""
    app = FastAPI(title="PTCS planning service", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.store, app.state.worker, app.state.doorkeeper = store, worker, doorkeeper
    app.include_router(router)
    app.add_exception_handler(Stranger, _answer(401))
    app.add_exception_handler(Unauthorised, _answer(403))
    app.add_exception_handler(Refused, _answer(409))
    app.add_exception_handler(LinkLost, _answer(503))
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


def _answer(code: int) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, code)

    return answer


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    code = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": str(getattr(error, "detail", error))}, code)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """What is wrong where; never the value, which may name a patient."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    texts = [f"{'.'.join(str(part) for part in row['loc'][1:])}: {row['msg']}" for row in found]
    return JSONResponse({"error": "; ".join(texts) or _("the request cannot be read")}, 422)
