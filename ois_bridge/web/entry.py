"""Log in, log out, choose the language."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import Refused
from common.text import LANGUAGES, _
from ois_bridge.services import accounts
from ois_bridge.services.errors import PasswordMustChange
from ois_bridge.web import expired, menu, session

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
def log_in_page(request: Request, next: str = "/", changed: str = "") -> HTMLResponse:  # noqa: A002 - name in the address
    """The log-in page. `changed`: one comes from a change of the password."""
    done = _("The password is changed. Log in with the new one.") if changed else ""
    return expired.log_in_page(request, local(next), done=done)


@router.post("/login")
async def log_in(request: Request, context: session.Means, form: session.LogInForm) -> Response:
    """Open a session; what its user was about to do when the last one ended goes on."""
    target, user, kept = local(form.get("next", "/")), form.get("user", ""), form.get("kept", "")
    try:
        secret = await run_in_threadpool(
            accounts.open_web_session, context, user, form.get("password", ""), session.origin(request)
        )
    except Refused as why:
        return expired.log_in_page(request, target, 403, str(why), user, kept)
    answer: Response | None = None
    try:
        answer = await expired.go_on(request, context, secret, kept) if kept else None
    except PasswordMustChange:
        wish = _("Choose a password of your own first, on the account page in another tab; then log in here.")
        answer = expired.log_in_page(request, target, 403, wish, user, kept)
    answer = answer or RedirectResponse(target, 303)
    session.set_cookie(request, answer, session.COOKIE, secret)
    if session.BEFORE_LOG_IN not in answer.headers.get("set-cookie", ""):
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
