"""A form that could not be taken now: the answer carries what was typed, to be sent again with one click."""

from fastapi import Request
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from common.text import _
from ois_bridge.services import kept_forms
from ois_bridge.web import expired
from ois_bridge.web.render import page

PASSWORD = "password"  # noqa: S105 - the name of a field
"""Confirms a deed; it is asked for once more, no page carries it."""
SECRETS = frozenset({"old", "new", "again"})
"""Fields of a new password: such a form is typed anew."""


async def page_of(request: Request, text: str, status: int) -> HTMLResponse | None:
    """The page that says `text` and holds the form of a request; nothing for what is no plain form, or holds
    a new password or a file. Who sent it gets back their own words only, so no log-in need be looked up.
    """
    if request.method != "POST" or expired.by_script(request):
        return None
    sent = (await _fields(request)).multi_items()
    pairs = [(name, value) for name, value in sent if isinstance(value, str)]
    names = {name for name, _value in pairs}
    if not pairs or len(pairs) < len(sent) or names & SECRETS:
        return None
    content = {
        "title": _("Not available"),
        "text": text,
        "query": f"?{request.url.query}" if request.url.query else "",
        "fields": [pair for pair in pairs if pair[0] != PASSWORD],
        "signs": any(name == PASSWORD and value for name, value in pairs),
    }
    return page(request, "unsent.html", status, **content)


async def _fields(request: Request) -> FormData:
    """What was sent, as far as it can be read again."""
    most = kept_forms.MOST_BYTES
    try:
        await request.body()
        async with request.form(max_files=0, max_fields=400, max_part_size=most) as form:
            return form
    except (HTTPException, RuntimeError):  # no form, or another reader had its stream
        return FormData()
