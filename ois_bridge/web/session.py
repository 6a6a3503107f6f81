"""Who sits before a page, and whether a form was sent from one of our pages."""

import hmac
import secrets
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from common.errors import Unauthorised
from common.text import _
from ois_bridge.services import accounts
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.errors import PasswordMustChange

COOKIE = "ptcs_session"
BEFORE_LOG_IN = "ptcs_form"
LANGUAGE = "ptcs_lang"


def context_of(request: Request) -> Context:
    """The means that the process put into the application."""
    return cast(Context, request.app.state.context)


Means = Annotated[Context, Depends(context_of)]


def user_of(request: Request, context: Means) -> WebUser:
    """The logged-in user of a request. Raises NotLoggedIn, PasswordMustChange except on the own account."""
    who = accounts.web_user(context, request.cookies.get(COOKIE, ""))
    request.state.web_user = who
    if who.must_change and request.url.path not in ("/account", "/account/password", "/logout"):
        raise PasswordMustChange(_("Please choose a password of your own first."))
    return who


User = Annotated[WebUser, Depends(user_of)]


async def many_form_of(request: Request, user: User) -> FormData:
    """A form whose fields may have several values. It carries the session's token, as a field or a header.

    Raises Unauthorised for another token.
    """
    async with request.form(max_files=0, max_fields=400) as form:
        sent = str(form.get("csrf", "")) or request.headers.get("x-csrf-token", "")
        if not _same(sent, user.csrf_token):
            raise Unauthorised(_("This form was not sent from a page of this session; open the page again."))
        return FormData([pair for pair in form.multi_items() if pair[0] != "csrf"])


ManyForm = Annotated[FormData, Depends(many_form_of)]


def form_of(form: ManyForm) -> dict[str, str]:
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
    async with request.form(max_files=0, max_fields=200) as form:
        return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def _same(sent: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(sent.encode(), expected.encode())
