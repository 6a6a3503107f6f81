"""Logbook: what people and services have to say about the machine, added to and never changed."""

import base64
import json
import os
from typing import Any

from tango import DevState
from tango.server import command

from common.errors import Refused, Unauthorised
from common.text import _
from device_servers.base import PtcsDevice, rule
from device_servers.callers import Client
from device_servers.channel import derived
from device_servers.parse import json_object, text_field
from device_servers.services.logbook.automatic import SOURCE, Automatic
from device_servers.services.logbook.book import Book
from device_servers.services.logbook.entry import HAND, Attachment

WRITERS = frozenset({"operator", "physicist", "physician", "therapist", "service", "administrator"})
ENTRY = '{"title", "text", "kind", "tags", "about": [devices], "attachments": [{"name", "content": base64}]}'


class Logbook(PtcsDevice):
    """Entries by hand and by services; each is in a hash chain before it is acknowledged."""

    def init_device(self) -> None:
        """Open the book and begin to subscribe. A log that was altered makes the device FAULT."""
        super().init_device()
        self._book = Book(self.context.state / "logbook")
        self._automatic = Automatic(self.context.site, self.context.state, self._book, self.refresh)
        self._automatic.start()

    def delete_device(self) -> None:
        """Unsubscribe, close the book."""
        super().delete_device()
        self._automatic.stop()
        self._book.close()

    def _state(self) -> tuple[DevState, str]:
        if self._book.broken:
            return DevState.FAULT, self._book.broken
        if self._book.behind:
            return DevState.ALARM, self._book.behind
        return DevState.ON, _("{count} entries").format(count=self._book.count)

    @derived(dtype=int, unit="1", format="%d")
    def Entries(self) -> int:
        """How many entries there are."""
        return self._book.count

    @derived(dtype=str)
    def Latest(self) -> str:
        """JSON of the latest entry; "" for none."""
        found = self._book.find({"limit": 1})
        return json.dumps(found[0]) if found else ""

    # --- Writing

    @rule(anyone=True, private=True)
    @command(dtype_in=str, doc_in=f"JSON {ENTRY}", dtype_out=int, doc_out="number of the entry")
    def Add(self, text: str) -> int:
        """Make an entry in one's own name."""
        return self._book.add(json_object(text), self._writer(), HAND).number

    @rule(anyone=True, private=True)
    @command(dtype_in=str, doc_in='JSON {"number", "reason"; what changes of an entry}', dtype_out=int)
    def Amend(self, text: str) -> int:
        """Make a new version of an entry, the old one is kept; the number of the version."""
        wish = json_object(text)
        return self._book.amend(_number(wish), wish, self._writer()).version

    @rule(read=True)  # services have no session; who may do this is decided here, and recorded
    @command(
        dtype_in=str,
        doc_in='JSON {"kind", "title", "text", "about", "source": noun, "key": for once only; "token"}',
        dtype_out=int,
        doc_out="number of the entry",
    )
    def Log(self, text: str) -> int:
        """An entry by a service of this facility; with a token, in the name of its user."""
        wish, client = json_object(text), self.client
        source, key = text_field(wish, "source"), str(wish.get("key") or "")
        said, guard, session = f"{source} {key}".strip(), self.context.guard, None
        try:
            user = ""
            if token := str(wish.pop("token", "")):
                user = guard.identity(token).user
                session = guard.vouched(client, token, source)
            if source in (HAND, SOURCE) or "attachments" in wish or not _of_facility(client):
                raise Unauthorised(
                    _("automatic entries are for services of this facility; log in and use Add")
                )
            made = self._book.add(wish, user, source)
        except Refused as why:
            guard.record(client, self.site.name, "Log", said, str(why), session=session)
            raise
        guard.record(client, self.site.name, "Log", said, session=session)
        self.refresh()
        return made.number

    # --- Reading

    @rule(read=True)
    @command(
        dtype_in=str,
        doc_in='JSON {"text", "tag", "about", "kind", "source", "user", "from", "to": ISO 8601, "limit"}',
        dtype_out=str,
    )
    def Find(self, text: str) -> str:
        """JSON: entries that fit, latest first, each in its newest version."""
        return json.dumps(self._book.find(json_object(text or "{}")))

    @rule(read=True)
    @command(dtype_in=int, doc_in="number", dtype_out=str)
    def Show(self, number: int) -> str:
        """JSON: all versions of an entry, newest first."""
        return json.dumps(self._book.versions(number))

    @rule(read=True)
    @command(dtype_in=str, doc_in='JSON {"number", "name"}', dtype_out=str, doc_out="base64")
    def File(self, text: str) -> str:
        """The content of an attachment."""
        wish = json_object(text)
        name, newest = text_field(wish, "name"), self._book.versions(_number(wish))[0]
        for file in newest["attachments"]:
            if file["name"] == name:
                return base64.b64encode(self._book.files.read(Attachment(**file))).decode()
        raise Refused(_("entry {number} has no attachment {name}").format(number=wish["number"], name=name))

    def _writer(self) -> str:
        """The user of the call. Raises Unauthorised for a role that writes no entries."""
        assert self.caller is not None  # guarded
        identity = self.caller.identity
        if not identity.roles & WRITERS:
            raise Unauthorised(_("entries are for: {roles}").format(roles=", ".join(sorted(WRITERS))))
        return identity.user


def _number(wish: dict[str, Any]) -> int:
    number = wish.get("number")
    if isinstance(number, bool) or not isinstance(number, int):
        raise Refused(_("{key!r} is missing: it must be a whole number").format(key="number"))
    return number


def _of_facility(client: Client) -> bool:
    """Whether a program of the user of this one calls, or root: it could write the files as well."""
    return client.host == "local" or client.uid in (os.getuid(), 0)
