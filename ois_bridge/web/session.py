"""Who sits before a page, and whether a form was sent from one of our pages."""

import hmac
import secrets
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import FormData
from starlette.responses import Response

from common.errors import PtcsError, Unauthorised
from common.text import _
from ois_bridge.services import accounts, kept_forms
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.errors import NotLoggedIn, PasswordMustChange

COOKIE = "ptcs_session"
BEFORE_LOG_IN = "ptcs_form"
LANGUAGE = "ptcs_lang"
UNATTENDED = "x-ptcs-unattended"
"""Header of what a page asks by itself (static/told.js): it keeps no session awake."""


def means_of(request: Request) -> Context:
    """The means that the process put into the application."""
    return cast(Context, request.app.state.context)


async def context_of(request: Request) -> Context:
    """`means_of` as a dependency; no thread is needed for it."""
    return means_of(request)


Means = Annotated[Context, Depends(context_of)]


def user_of(request: Request, context: Means) -> WebUser:
    """The logged-in user of a request. Raises NotLoggedIn, PasswordMustChange except on the own account."""
    awake = UNATTENDED not in request.headers
    who = accounts.web_user(context, request.cookies.get(COOKIE, ""), awake)
    request.state.web_user = who
    if who.must_change and request.url.path not in ("/account", "/account/password", "/logout"):
        raise PasswordMustChange(_("Please choose a password of your own first."))
    return who


User = Annotated[WebUser, Depends(user_of)]


def known_user(request: Request) -> None:
    """Have an error page know who sees it, where nothing on its way asked; nobody is refused for it."""
    if getattr(request.state, "web_user", None) is None:
        try:
            secret = request.cookies.get(COOKIE, "")
            request.state.web_user = accounts.web_user(means_of(request), secret, awake=False)
        except (PtcsError, OSError, SQLAlchemyError):
            request.state.web_user = None


def origin(request: Request) -> str:
    """Where a request comes from, as far as the connection says: wrong passwords are counted by it."""
    return request.client.host if request.client is not None else "?"


async def many_form_of(request: Request, context: Means, user: User) -> FormData:
    """A form whose fields may have several values. It carries a token of its user, as a field or a header:
    this session's, or that of an earlier one, whose page was still open.

    Raises NotLoggedIn for a page of somebody else, Unauthorised for a token that is none of ours.
    """
    await request.body()  # kept, should it have to wait for a log-in
    async with request.form(max_files=0, max_fields=400) as form:
        sent = str(form.get("csrf", "")) or request.headers.get("x-csrf-token", "")
        owner = user.account_key if _same(sent, user.csrf_token) else kept_forms.owner_of(context, sent)
        if owner and owner != user.account_key:
            raise NotLoggedIn(_("This page is another person's; log in under the name that opened it."))
        if not owner:
            raise Unauthorised(_("This form was not sent from a page of this session; open the page again."))
        return FormData([pair for pair in form.multi_items() if pair[0] != "csrf"])


ManyForm = Annotated[FormData, Depends(many_form_of)]


async def form_of(form: ManyForm) -> dict[str, str]:
    """The fields of a form, one value each. Raises Unauthorised."""
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


Form = Annotated[dict[str, str], Depends(form_of)]


async def log_in_form_of(request: Request) -> dict[str, str]:
    """The fields of the log-in form; its token is that of the page's cookie. Raises Unauthorised."""
    fields = await _fields(request)
    if not _same(fields.pop("csrf", ""), request.cookies.get(BEFORE_LOG_IN, "")):
        raise Unauthorised(_("The log-in page was open for too long; please try again."))
    return fields


LogInForm = Annotated[dict[str, str], Depends(log_in_form_of)]


def new_token() -> str:
    """A token for a form."""
    return secrets.token_urlsafe(32)


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """A cookie that scripts cannot read and other sites cannot send; given over TLS it only goes over TLS."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, httponly=True, samesite="strict", path="/", secure=secure)


async def _fields(request: Request) -> dict[str, str]:
    # a log-in may carry a whole form that waits for it
    most = 2 * kept_forms.MOST_BYTES
    async with request.form(max_files=0, max_fields=200, max_part_size=most) as form:
        return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def _same(sent: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(sent.encode(), expected.encode())
