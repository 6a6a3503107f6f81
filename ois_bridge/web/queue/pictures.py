"""Pictures of the waiting hall's screen: the administrator's page, and the pictures themselves."""

from collections.abc import Mapping
from hmac import compare_digest
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.queue import pictures
from ois_bridge.web.queue.screen_access import ScreenOf
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)
WEBP = "image/webp"


@router.get("/screens/pictures")
def listed(request: Request, context: Means, user: User) -> HTMLResponse:
    """The pictures of the hall."""
    return _page(request, context, user, {})


async def upload_of(request: Request, user: User) -> tuple[dict[str, str], bytes]:
    """Fields and picture of an upload, which carries the session's token. Raises Unauthorised."""
    async with request.form(max_files=1, max_fields=8) as form:
        if not compare_digest(str(form.get("csrf", "")).encode(), user.csrf_token.encode()):
            raise Unauthorised(_("This form was not sent from a page of this session; open the page again."))
        sent = form.get("picture")
        content = await sent.read(pictures.MOST_BYTES + 1) if isinstance(sent, UploadFile) else b""
        return {name: str(form.get(name, "")) for name in ("name", "seconds")}, content


Upload = Annotated[tuple[dict[str, str], bytes], Depends(upload_of)]


@router.post("/screens/pictures")
def add(request: Request, context: Means, user: User, upload: Upload) -> Response:
    """Take one in."""
    fields, content = upload
    try:
        seconds = int(fields["seconds"]) if fields["seconds"].isdecimal() else 0
        pictures.add(context, user.caller, fields["name"], seconds, content)
    except (BadInput, Refused) as why:
        return _page(request, context, user, fields, 422, str(why))
    return RedirectResponse("/screens/pictures", 303)


@router.post("/screens/pictures/{key}/{step}")
def change(context: Means, user: User, key: str, step: str, _form: Form) -> Response:
    """Show, hide or remove one."""
    if step == "remove":
        pictures.remove(context, user.caller, key)
    else:
        pictures.switch(context, user.caller, key, step == "show")
    return RedirectResponse("/screens/pictures", 303)


@router.get("/screens/pictures/{key}.webp")
def look(context: Means, user: User, key: str) -> Response:
    """A picture, for who manages them."""
    return Response(pictures.content_of(context, user.caller, key), media_type=WEBP)


@router.get("/screen/pictures/{key}.webp")
def show(context: Means, shown: ScreenOf, key: str) -> Response:
    """A picture, for a screen."""
    return Response(pictures.content_of(context, shown.caller, key), media_type=WEBP)


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.MANAGE_SCREENS) as session:
        return page(
            request, "queue/pictures.html", status, rows=pictures.all_of_them(session), form=form, error=error
        )
