"""Log in, log out, choose the language."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import Refused
from common.text import LANGUAGES
from ois_bridge.services import accounts
from ois_bridge.web import menu, session
from ois_bridge.web.render import page

router = APIRouter(include_in_schema=False)
YEAR_S = 365 * 24 * 3600


def local(path: str) -> str:
    """A path of this site; the start page for anything else."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


@router.get("/")
def start(user: session.User) -> Response:
    """The start page of the user's role."""
    return RedirectResponse(menu.start(user), 303)


@router.get("/login")
def log_in_page(request: Request, next: str = "/") -> HTMLResponse:  # noqa: A002 - name in the address
    """The log-in page."""
    return _log_in_page(request, local(next))


@router.post("/login")
def log_in(request: Request, context: session.Means, form: session.LogInForm) -> Response:
    """Open a session."""
    target = local(form.get("next", "/"))
    try:
        secret = accounts.open_web_session(context, form.get("user", ""), form.get("password", ""))
    except Refused as why:
        return _log_in_page(request, target, 403, str(why), form.get("user", ""))
    answer = RedirectResponse(target, 303)
    session.set_cookie(request, answer, session.COOKIE, secret)
    answer.delete_cookie(session.BEFORE_LOG_IN)
    return answer


@router.post("/logout")
def log_out(request: Request, context: session.Means, _form: session.Form) -> Response:
    """Close the session."""
    accounts.close_web_session(context, request.cookies.get(session.COOKIE, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(session.COOKIE)
    return answer


@router.get("/language/{code}")
def choose_language(code: str, next: str = "/") -> Response:  # noqa: A002 - name in the address
    """Remember a language in this browser."""
    answer = RedirectResponse(local(next), 303)
    if code in LANGUAGES:
        answer.set_cookie(session.LANGUAGE, code, max_age=YEAR_S, httponly=True, samesite="strict", path="/")
    return answer


def _log_in_page(
    request: Request, target: str, status: int = 200, error: str = "", name: str = ""
) -> HTMLResponse:
    token = session.new_token()
    answer = page(request, "login.html", status, csrf=token, next=target, error=error, name=name)
    session.set_cookie(request, answer, session.BEFORE_LOG_IN, token)
    return answer
