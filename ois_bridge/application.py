"""The web application: pages and REST interface on one port, errors in one form."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from common.errors import BadInput, LinkLost, PtcsError, Refused, Tampered, Unauthorised
from common.text import _
from ois_bridge.borders import Borders
from ois_bridge.interfaces.rest import schemas
from ois_bridge.interfaces.rest.routers import API as REST
from ois_bridge.services.context import Context
from ois_bridge.services.errors import NotFound, NotLoggedIn, PasswordMustChange
from ois_bridge.web import error_words as words
from ois_bridge.web import expired, session, unsent
from ois_bridge.web.render import HERE, page
from ois_bridge.web.routers import PAGES

log = logging.getLogger(__name__)
API = "/api/v1"

STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotLoggedIn, 401),
    (Unauthorised, 403),
    (NotFound, 404),
    (Refused, 409),
    (Tampered, 409),
    (BadInput, 422),
    (LinkLost, 503),
    (OSError, 503),
    (SQLAlchemyError, 503),
)
"""Error -> HTTP status; the first that fits."""


def create(context: Context, hosts: frozenset[str] = frozenset()) -> FastAPI:
    """The application on the given means. No page that describes it is served without a log-in.

    `hosts`: names besides this computer's own that browsers may know it by.
    """
    app = FastAPI(
        title="PTCS oncology information system", version="1", docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.context = context
    refusals: dict[int | str, dict[str, object]] = {
        code: {"model": schemas.Refusal} for code in (401, 403, 404, 409, 422, 503)
    }
    for part in REST:
        app.include_router(part, prefix=API, responses=refusals)
    for room in PAGES:
        app.include_router(room)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for kind in (PtcsError, OSError, SQLAlchemyError):
        app.add_exception_handler(kind, _told)
    app.add_exception_handler(Exception, _broken)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(Borders, hosts=hosts)
    return app


def status_of(error: Exception) -> int:
    """HTTP status of an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


async def _told(request: Request, error: Exception) -> Response:
    status = status_of(error)
    if isinstance(error, PtcsError):
        text = str(error)
    else:
        log.error("request failed: %s", type(error).__name__, exc_info=error)
        text = _("The OIS cannot do this now (disk or database); nothing was kept. Try again later.")
    if isinstance(error, NotLoggedIn) and not _is_api(request):
        return await expired.not_logged_in(request, error)
    if isinstance(error, PasswordMustChange) and not _is_api(request):
        # a part of a page would follow to the account page and put all of it into its own place
        part = expired.by_script(request)
        return JSONResponse({"error": text}, 403) if part else RedirectResponse("/account", 303)
    kept = await unsent.page_of(request, text, status) if status == 503 and not _is_api(request) else None
    return kept or _answer(request, status, text)


async def _broken(request: Request, _error: Exception) -> Response:
    """A defect: the server logs it."""
    return _answer(request, 500, _("An internal error; nothing was kept. The log of the OIS says more."))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if not _is_api(request):
        await run_in_threadpool(session.known_user, request)
        name = str(first["loc"][-1])
        return _answer(
            request,
            422,
            _("The address of this page is not right at “{name}”: open it from the menu.").format(name=name),
        )
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    return _answer(request, 422, f"{place}: {first['msg']}" if place else first["msg"])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400 and _is_api(request):
        # bytes that are no text at all: for who sends them the same as a body that does not fit
        return _answer(request, 422, _("The body cannot be read: JSON in UTF-8 is needed."))
    if error.status_code == 400 and "exceeded maximum size" in str(error.detail):
        return _answer(
            request,
            413,
            _(
                "A field of this form is too long: at most 1 MB is taken. Nothing was "
                "done; go back in the browser: what you typed is there, shorten it."
            ),
        )
    if _is_api(request):
        return _answer(request, error.status_code, str(error.detail))
    # nobody was asked for on the way to a page that is not there: its menu shall stand all the same
    await run_in_threadpool(session.known_user, request)
    return _answer(request, error.status_code, _(words.HTTP.get(error.status_code, words.HTTP_OTHER)))


def _answer(request: Request, status: int, text: str) -> Response:
    if _is_api(request):
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        return JSONResponse({"error": text}, status, headers)
    title = _(words.TITLE.get(status, words.TITLE_OTHER))
    return page(request, "error.html", status, title=title, text=text)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(API)
