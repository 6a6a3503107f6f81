"""Pages of accounts: one's own, everybody's, the rights of the roles, and the keys of other systems."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.authority import ROLES
from common.errors import BadInput, Refused, Unauthorised
from common.text import _, language
from ois_bridge.domain.permissions import MAY, Action
from ois_bridge.services import account_admin, keys, permission_audit
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.search.export import as_csv
from ois_bridge.web.render import ENVIRONMENT, named, page
from ois_bridge.web.session import COOKIE, Form, ManyForm, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/account")
def own(request: Request, user: User) -> HTMLResponse:
    """One's own account."""
    wish = _("Please choose a password of your own first.") if user.must_change else ""
    return page(request, "accounts/own.html", wish=wish)


@router.post("/account/password")
def change_password(request: Request, context: Means, user: User, form: Form) -> Response:
    """A new password; every session ends, and one logs in with it."""
    old, new = form.get("old", ""), form.get("new", "")
    try:
        if new != form.get("again", ""):
            raise BadInput(_("The two new passwords differ."))
        account_admin.change_password(context, user.caller, old, new)
    except (BadInput, Unauthorised) as why:
        return page(request, "accounts/own.html", 422, error=str(why), wish="")
    answer = RedirectResponse("/login?changed=1", 303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/accounts")
def everybody(request: Request, context: Means, user: User, done: str = "") -> HTMLResponse:
    """All accounts."""
    known = done in context.names.staff.known(context.database, context.now())
    message = _("The account {user} is changed.").format(user=done) if known else ""
    return _accounts_page(request, context, user, done=message)


@router.post("/accounts")
def create(request: Request, context: Means, user: User, form: ManyForm) -> HTMLResponse:
    """A new account; its first password is shown once."""
    name, full_name = str(form.get("user", "")).strip().lower(), str(form.get("full_name", ""))
    wanted = _texts(form, "roles")
    typed = {"user": name, "full_name": full_name, "roles": wanted}
    try:
        first = account_admin.create(context, user.caller, name, full_name, wanted)
    except (BadInput, Refused) as why:
        return _accounts_page(request, context, user, 422, error=str(why), typed=typed)
    return _accounts_page(request, context, user, secret=(name, first))


@router.post("/accounts/{name}/{step}")
def take_step(request: Request, context: Means, user: User, name: str, step: str, form: ManyForm) -> Response:
    """Roles, name, unlock, end the sessions, or a new password."""
    try:
        match step:
            case "roles":
                active = form.get("active") == "yes"
                account_admin.set_roles(context, user.caller, name, _texts(form, "roles"), active)
            case "name":
                account_admin.rename(context, user.caller, name, str(form.get("full_name", "")))
            case "unlock":
                account_admin.unlock(context, user.caller, name)
            case "sessions":
                account_admin.end_sessions(context, user.caller, name)
            case "password":
                fresh = account_admin.reset_password(context, user.caller, name)
                return _accounts_page(request, context, user, secret=(name, fresh))
            case _:
                raise BadInput(_("There is no such step."))
    except (BadInput, Refused) as why:
        return _accounts_page(request, context, user, 422, error=str(why))
    return RedirectResponse(f"/accounts?done={quote(name)}", 303)


@router.get("/accounts/rights")
def rights(request: Request, user: User) -> HTMLResponse:
    """Which role may do what: the table that the OIS itself goes by."""
    user.caller.check(Action.MANAGE_ACCOUNTS)
    return page(request, "accounts/rights.html", actions=list(Action), may=MAY, roles=ROLES)


@router.get("/accounts/audit")
def audit(request: Request, context: Means, user: User) -> HTMLResponse:
    """Who holds which role since when, and the keys of other systems."""
    return page(request, "accounts/audit.html", audit=permission_audit.taken(context, user.caller))


@router.get("/accounts/audit.csv")
def audit_table(context: Means, user: User) -> Response:
    """The audit as a table."""
    content = as_csv(permission_audit.lines(permission_audit.taken(context, user.caller)))
    return _file(content, "text/csv", f"permissions-{context.now():%Y%m%d}.csv")


@router.get("/accounts/audit.pdf")
def audit_paper(context: Means, user: User) -> Response:
    """The audit on paper."""
    from common.links.pdf import render  # noqa: PLC0415 - slow to import

    named(context)
    html = ENVIRONMENT.get_template("accounts/audit_paper.html").render(
        audit=permission_audit.taken(context, user.caller), lang=language(), may=MAY, roles=ROLES
    )
    return _file(render(html), "application/pdf", f"permissions-{context.now():%Y%m%d}.pdf")


@router.get("/keys")
def all_keys(request: Request, context: Means, user: User) -> HTMLResponse:
    """The keys of other systems."""
    return _keys_page(request, context, user)


@router.post("/keys")
def create_key(request: Request, context: Means, user: User, form: ManyForm) -> HTMLResponse:
    """A new key; its secret is shown once."""
    name, days, scopes = str(form.get("name", "")), str(form.get("days", "")), _texts(form, "scopes")
    typed = {"name": name, "days": days, "scopes": scopes}
    try:
        if not days.isdecimal() or len(days) > 6:
            raise BadInput(_("The number of days must be a number."))
        secret = keys.create(context, user.caller, name, scopes, int(days))
    except (BadInput, Refused) as why:
        return _keys_page(request, context, user, 422, error=str(why), typed=typed)
    return _keys_page(request, context, user, secret=(name, secret))


@router.post("/keys/{key}/end")
def end_key(context: Means, user: User, key: str, _form: Form) -> Response:
    """Withdraw a key."""
    keys.end(context, user.caller, key)
    return RedirectResponse("/keys", 303)


def _accounts_page(
    request: Request, context: Context, user: WebUser, status: int = 200, **content: Any
) -> HTMLResponse:
    lines = account_admin.all_accounts(context, user.caller)
    shown = {"secret": None, "typed": {"user": "", "full_name": "", "roles": []}, **content}
    return page(request, "accounts/all.html", status, lines=lines, roles=ROLES, **shown)


def _keys_page(
    request: Request, context: Context, user: WebUser, status: int = 200, **content: Any
) -> HTMLResponse:
    found = keys.all_keys(context, user.caller)
    shown = {"secret": None, "typed": {"name": "", "days": "90", "scopes": []}, **content}
    return page(
        request, "accounts/keys.html", status, keys=found, offered=keys.offered(), now=context.now(), **shown
    )


def _file(content: bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=headers)


def _texts(form: FormData, name: str) -> list[str]:
    return [value for value in form.getlist(name) if isinstance(value, str)]
