"""ControlAuthority: who has control of which area, log-ins while the OIS is silent, seals of the logs."""

import time
from collections.abc import Mapping
from typing import Any

from tango.server import command

from common import authority
from common.authority import Identity
from common.errors import PtcsError, Refused, Unauthorised
from common.text import _
from device_servers.base import rule
from device_servers.parse import json_object, text_field
from device_servers.services.control.desk import Asked, Person
from device_servers.services.control.table import Event
from device_servers.services.control_view import ControlView

ADMINISTRATOR = frozenset({"administrator"})


class ControlAuthority(ControlView):
    """Control of the site's areas. Every server decides by the file that this device signs."""

    # --- Control. Roles are a matter of the areas.

    @rule(anyone=True)
    @command(
        dtype_in=str, doc_in='JSON {"area", "bind": whether it ends with the calling process}', dtype_out=str
    )
    def Request(self, text: str) -> str:
        """Have control of an area, or ask whoever has it; the area's state."""
        return self._act(Event.REQUEST, text)

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"area", "to": user; left out: whoever has asked}', dtype_out=str)
    def Offer(self, text: str) -> str:
        """Hand control over: at once to whoever has asked, else when it is accepted."""
        return self._act(Event.OFFER, text)

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"area", "bind"}', dtype_out=str)
    def Accept(self, text: str) -> str:
        """Take what was offered."""
        return self._act(Event.ACCEPT, text)

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"area"}', dtype_out=str)
    def Decline(self, text: str) -> str:
        """Refuse a request or an offer, or take it back."""
        return self._act(Event.DECLINE, text)

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"area"}', dtype_out=str)
    def Release(self, text: str) -> str:
        """Give control up."""
        return self._act(Event.RELEASE, text)

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"area", "reason", "bind"}', dtype_out=str)
    def Take(self, text: str) -> str:
        """Take control from somebody of a lower rank, not while a room of the area is under treatment."""
        return self._act(Event.TAKE, text)

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"area", "required": true or false, "reason"}')
    def Require(self, text: str) -> None:
        """Say whether nobody writes in an area without control. For its highest rank, not in a treatment."""
        values = json_object(text)
        if not isinstance(must := values.get("required"), bool):
            raise Refused(_("'required' is missing: it must be true or false"))
        self._keeper_now().require(text_field(values, "area"), must, self._asked(Event.TAKE, values))
        self.refresh()

    def _act(self, event: Event, text: str) -> str:
        values = json_object(text)
        asked = self._asked(event, values)
        return self._keeper_now().do(text_field(values, "area"), asked).state.value

    def _asked(self, event: Event, values: Mapping[str, Any]) -> Asked:
        return Asked(
            event=event,
            by=self._person(bind=values.get("bind") is True),
            now=time.time(),
            to=str(values.get("to", "")),
            reason=str(values.get("reason", "")),
            treated=self._working().treated_now(),
        )

    # --- Log-ins

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"user", "reason"}')
    def EndSessions(self, text: str) -> None:
        """Have no server accept the log-ins that a user has now. For administrators."""
        values, who = json_object(text), self._identity(ADMINISTRATOR)
        self._keeper_now().end_sessions(text_field(values, "user"), who.user, text_field(values, "reason"))

    @rule(anyone=True, private=True)
    @command(dtype_in=str, doc_in='JSON {"user", "roles", "password_hash": Argon2; empty: remove}')
    def SetLocalAccount(self, text: str) -> None:
        """Make, change or remove a break-glass account. For administrators, while the OIS answers."""
        values, who = json_object(text), self._identity(ADMINISTRATOR)
        if not self._working().ois.ask():
            raise Refused(_("local accounts are made while the OIS answers; it does not"))
        roles = values.get("roles")
        if not isinstance(roles, list):
            raise Refused(_("'roles' is missing: it must be a list"))
        glass = self._keeper_now().glass
        glass.set_account(
            text_field(values, "user"),
            frozenset(map(str, roles)),
            str(values.get("password_hash", "")),
            who.user,
        )

    @rule(read=True)  # the password in it decides
    @command(dtype_in=str, doc_in='JSON {"user", "password", "reason"}', dtype_out=str, doc_out="token")
    def BreakGlass(self, text: str) -> str:
        """A local log-in while the OIS is silent, for at most half an hour: a token to open sessions with."""
        values = json_object(text)
        user, guard, client = text_field(values, "user"), self.context.guard, self.client
        try:
            self._working().require_silence()
            token = self._keeper_now().break_glass(
                user, text_field(values, "password"), text_field(values, "reason")
            )
        except (PtcsError, OSError) as why:
            guard.record(client, self.site.name, "BreakGlass", user[:40], str(why))
            raise (why if isinstance(why, PtcsError) else Refused(str(why))) from why
        guard.record(client, self.site.name, "BreakGlass", authority.LOCAL_PREFIX + user)
        self.refresh()
        return token

    # --- Means

    def _identity(self, roles: frozenset[str] = frozenset()) -> Identity:
        if self.caller is None:
            raise Unauthorised(_("no session of this client; log in and open a session first"))
        if roles and not self.caller.identity.roles & roles:
            raise Unauthorised(_("this is for: {roles}").format(roles=", ".join(sorted(roles))))
        return self.caller.identity

    def _person(self, *, bind: bool) -> Person:
        identity = self._identity()
        assert self.caller is not None
        client, gateway = self.caller.client, bool(self.caller.by)
        bound = (client.host, client.pid, client.born) if bind and not gateway else ()
        return Person(identity.user, identity.roles, identity.expires.timestamp(), bound)
