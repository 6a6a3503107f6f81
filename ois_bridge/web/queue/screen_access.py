"""Which screen a request comes from, and whether a form was sent from its own page."""

import hmac
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response

from common.errors import Unauthorised
from common.text import _
from ois_bridge.services.queue import screens
from ois_bridge.services.queue.screens import Shown
from ois_bridge.web.session import Means

COOKIE = "ptcs_screen"
KEPT_S = 400 * 24 * 3600
"""As long as browsers keep a cookie at most; every look at the page renews it."""


def screen_of(request: Request, context: Means) -> Shown:
    """The paired screen. Raises NotLoggedIn."""
    return screens.of_secret(context, request.cookies.get(COOKIE, ""))


ScreenOf = Annotated[Shown, Depends(screen_of)]


async def screen_form_of(request: Request, shown: ScreenOf) -> dict[str, str]:
    """The fields of a form of this screen. Raises Unauthorised for one that was not sent from its page."""
    async with request.form(max_files=0, max_fields=20) as form:
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    sent = fields.pop("csrf", "") or request.headers.get("x-csrf-token", "")
    if not hmac.compare_digest(sent.encode(), shown.csrf_token.encode()):
        raise Unauthorised(_("This form was not sent from a page of this screen; open the page again."))
    return fields


ScreenForm = Annotated[dict[str, str], Depends(screen_form_of)]


def remember(response: Response, secret: str) -> None:
    """Keep the pairing in the browser."""
    response.set_cookie(COOKIE, secret, max_age=KEPT_S, httponly=True, samesite="strict", path="/")
