"""Logging in again in the middle of something: what was typed is not lost, and nobody else gets it.

A plain form that comes without a session is answered by a log-in page that carries it, sealed to the person
whose page it was; after the log-in the deed goes on. What scripts send is answered 401: the page stays, logs
in by a dialog and sends again (static/again.js).
"""

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from common.errors import PtcsError, Refused
from common.text import _
from ois_bridge.services import accounts, kept_forms
from ois_bridge.services.context import Context
from ois_bridge.services.kept_forms import Kept
from ois_bridge.web import session
from ois_bridge.web.render import page

router = APIRouter(include_in_schema=False)

SAME = ("type", "asgi", "http_version", "server", "client", "scheme")
"""What of a log-in's own request the deed that follows it shares."""

LOG_IN = "x-ptcs-log-in"
"""Header of an answer that asks the page to log in and to send again."""


def by_script(request: Request) -> bool:
    """Whether a script sent this and waits for the answer; browsers say so themselves."""
    return "hx-request" in request.headers or request.headers.get("sec-fetch-dest") == "empty"


async def not_logged_in(request: Request, error: PtcsError) -> Response:
    """The answer to a page or form that needs a log-in."""
    if by_script(request):
        return JSONResponse({"error": str(error)}, 401, {LOG_IN: "1"})
    if request.method != "POST" or request.url.path == "/logout":
        return RedirectResponse(_log_in_path(request), 303)
    context = session.means_of(request)
    kept, owner = await _kept(request, context)
    if kept is None:
        return RedirectResponse("/login", 303)
    sealed = await run_in_threadpool(kept_forms.seal, context, owner, kept)
    name = await run_in_threadpool(accounts.user_name, context, owner)
    return log_in_page(request, "/", 401, name=name, kept=sealed)


def log_in_page(
    request: Request,
    target: str,
    status: int = 200,
    error: str = "",
    name: str = "",
    kept: str = "",
    done: str = "",
) -> HTMLResponse:
    """The log-in page. `kept`: a sealed form that waits for its owner."""
    token = session.new_token()
    shown = {"error": error, "name": name, "kept": kept, "done": done}
    answer = page(request, "login.html", status, csrf=token, next=target, **shown)
    session.set_cookie(request, answer, session.BEFORE_LOG_IN, token)
    return answer


@router.get("/login/again")
def dialog(request: Request, context: session.Means) -> HTMLResponse:
    """The log-in of a page that is open already, as a part for its dialog."""
    token = session.new_token()
    owner = kept_forms.owner_of(context, request.headers.get("x-csrf-token", ""))
    name = accounts.user_name(context, owner) if owner else ""
    answer = page(request, "login_again.html", csrf=token, name=name)
    session.set_cookie(request, answer, session.BEFORE_LOG_IN, token)
    return answer


@router.post("/login/again")
def log_in_again(request: Request, context: session.Means, form: session.LogInForm) -> Response:
    """A new session for a page that stays open: {token} for its forms. Only its own user gets one here."""
    owner = kept_forms.owner_of(context, form.get("page", ""))
    user = form.get("user", "")
    if not owner or accounts.user_name(context, owner) != user:
        return JSONResponse(
            {"error": _("This page is another person's. Leave it to log in under your own name.")}, 409
        )
    try:
        secret = accounts.open_web_session(context, user, form.get("password", ""), session.origin(request))
        token = accounts.web_user(context, secret).csrf_token
    except Refused as why:
        return JSONResponse({"error": str(why)}, 403)
    answer = JSONResponse({"token": token})
    session.set_cookie(request, answer, session.COOKIE, secret)
    answer.delete_cookie(session.BEFORE_LOG_IN)
    return answer


async def go_on(request: Request, context: Context, secret: str, sealed: str) -> Response | None:
    """Do what was sealed as if it were sent now, in the new session; nothing where it is another's.

    Raises PasswordMustChange while nothing else may be done.
    """
    user = await run_in_threadpool(accounts.web_user, context, secret)
    kept = await run_in_threadpool(kept_forms.unsealed, context, user.account_key, sealed)
    if kept is None:
        return None
    # the token stands in the body, whatever its coding: old and new have the same letters and no others
    sent = replace(kept, body=kept.body.replace(kept.token.encode(), user.csrf_token.encode()))
    return await _sent_again(request, secret, sent)


async def _kept(request: Request, context: Context) -> tuple[Kept | None, str]:
    """The form that was sent and whose page it came from; nothing for one that is not of our pages."""
    body = await request.body()
    async with request.form(max_files=20, max_fields=1000) as form:
        token = str(form.get("csrf", ""))
    owner = kept_forms.owner_of(context, token)
    if not owner or len(body) > kept_forms.MOST_BYTES:
        return None, ""
    query = f"?{request.url.query}" if request.url.query else ""
    return Kept(request.url.path + query, request.headers.get("content-type", ""), token, body), owner


def _log_in_path(request: Request) -> str:
    if request.method != "GET":
        return "/login"
    query = f"?{request.url.query}" if request.url.query else ""
    return f"/login?next={quote(request.url.path + query)}"


async def _sent_again(request: Request, secret: str, kept: Kept) -> Response:
    """The answer of the application to a kept form."""
    path, _mark, query = kept.path.partition("?")
    others = [
        (name, value)
        for name, value in request.scope["headers"]
        if name not in (b"cookie", b"content-type", b"content-length", b"transfer-encoding")
    ]
    cookies = {**request.cookies, session.COOKIE: secret}
    scope: MutableMapping[str, Any] = {
        **{name: request.scope[name] for name in SAME},
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            *others,
            (b"cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()).encode("latin-1")),
            (b"content-type", kept.content_type.encode("latin-1")),
            (b"content-length", str(len(kept.body)).encode()),
        ],
    }
    answer = Response()
    parts: list[bytes] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": kept.body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status_code = message["status"]
            answer.raw_headers = [pair for pair in message["headers"] if pair[0] != b"content-length"]
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await request.app(scope, receive, send)
    answer.body = b"".join(parts)
    answer.headers["content-length"] = str(len(answer.body))
    return answer
