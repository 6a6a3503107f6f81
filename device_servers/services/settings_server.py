"""SettingsServer: snapshots of the machine's settings: taken, compared, restored, rolled back."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tango import DevState
from tango.server import command

from common.errors import BadConfig, Refused, Unauthorised
from common.text import _, saying
from device_servers.base import JobDevice, rule
from device_servers.channel import derived
from device_servers.guard import Session
from device_servers.logbook_post import Poster
from device_servers.parse import json_object, text_field
from device_servers.services.epics.catalogue import catalogue
from device_servers.services.kinds import class_named
from device_servers.services.settings import snapshot as snapshots
from device_servers.services.settings import wishes
from device_servers.services.settings.configuration import of_site
from device_servers.services.settings.desk import Desk, User
from device_servers.services.settings.live import Live
from device_servers.services.settings.perform import World
from device_servers.services.settings.restorer import Restorer
from device_servers.services.settings.store import Store
from device_servers.services.settings.world import SiteWorld

RESULTS = 32
"""Finished jobs whose answers are kept."""
MAY_MARK = frozenset({"physicist", "service"})
"""Who says which snapshot is the golden one."""


@dataclass
class Answer:
    """What a job will have found."""

    text: str = ""


class SettingsDisplay(JobDevice):
    """What is kept, and the answers of jobs: open to everybody."""

    def init_device(self) -> None:
        """Read the site's settings file and what is kept. A bad file or an altered log is FAULT."""
        super().init_device()
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._restoring = ""
        self._broken = ""
        self._post = Poster(self.context.site, "snapshot")
        self._store = Store(self.context.state / "settings")
        shapes = catalogue(self.context.site, class_named)
        self._live = Live(shapes)
        try:
            self._desk = Desk(self.context.site, of_site(self.context.site, shapes), self._store, self._live)
            self._restorer = Restorer(self._desk, self._world, self.refresh)
        except BadConfig as why:
            self._broken = str(why)

    def delete_device(self) -> None:
        """End the jobs, close the log."""
        super().delete_device()
        self._post.close()
        self._store.close()

    def _world(self, user: User) -> World:
        forbidden = self._desk.settings.forbidden
        return SiteWorld(self.context.site, self._live, forbidden, user.token, self.site.name)

    def _state(self) -> tuple[DevState, str]:
        if trouble := self._broken or self._store.broken:
            return DevState.FAULT, trouble
        if self._restoring:
            text = _("restore by {user} under way")
            return DevState.RUNNING, text.format(user=self._restoring)
        return DevState.ON, _("{count} snapshots").format(count=len(self._store.index.lines))

    def _require_sound(self) -> None:
        """Raise Refused while the site's settings cannot be used."""
        if self._broken:
            raise Refused(self._broken)

    # --- Attributes

    @derived(dtype=str)
    def Configurations(self) -> str:
        """JSON: configuration -> {title, version, digest, count, writable: rows that a restore writes}."""
        if self._broken:
            return "{}"
        found = {
            name: {
                "title": dict(part.title),
                "version": part.version,
                "digest": part.digest,
                "count": len(part.rows),
                "writable": sum(1 for row in part.rows if row.groups),
            }
            for name, part in self._desk.settings.configurations.items()
        }
        return json.dumps(found)

    @derived(dtype=int, unit="1", format="%d")
    def Snapshots(self) -> int:
        """How many snapshots are kept."""
        return len(self._store.index.lines)

    @derived(dtype=str)
    def Progress(self) -> str:
        """JSON of the restore under way: {id, group, done, all}; "{}" for none."""
        progress = None if self._broken else self._restorer.progress
        return json.dumps(vars(progress)) if progress and progress.id else "{}"

    # --- Reading commands

    @rule(read=True)
    @command(dtype_in=str, doc_in="job id", dtype_out=str, doc_out="JSON answer of a job that is DONE")
    def JobResult(self, number: str) -> str:
        """What a job has found: of the last 32 jobs."""
        state = json.loads(self.jobs.status(number))
        if state["state"] != "DONE" or number not in self._answers:
            raise Refused(_("job {number} is {state}: {error}").format(number=number, **state))
        return self._answers[number].text

    @rule(read=True)
    @command(
        dtype_in=str, doc_in='JSON {"text", "tag", "configuration", "user", "golden", "from", "to", "limit"}'
    )
    def Find(self, wish: str) -> str:
        """JSON: lines of the snapshots that fit, newest first."""
        return json.dumps(self._store.find(json_object(wish or "{}")))

    @rule(read=True)
    @command(dtype_in=str, doc_in="id of a snapshot, its beginning, or golden:CONFIGURATION", dtype_out=str)
    def Show(self, name: str) -> str:
        """JSON: a snapshot as it is kept; refused when its file was changed."""
        return json.dumps(json.loads(snapshots.to_bytes(self._store.read(name))))

    @rule(read=True)
    @command(dtype_out=str)
    def Restores(self) -> str:
        """JSON: restores and rollbacks, newest first."""
        return json.dumps(list(reversed(self._store.index.restores.values())))

    @rule(read=True)
    @command(dtype_in=str, doc_in="id of a restore, or its beginning", dtype_out=str)
    def ShowRestore(self, name: str) -> str:
        """JSON: the whole record of a restore."""
        return json.dumps(self._store.restore(name))

    @rule(read=True)
    @command(dtype_in=str, doc_in='JSON {"left": snapshot, "right": snapshot; without: live}', dtype_out=str)
    def Compare(self, text: str) -> str:
        """Job: what differs by more than its tolerance, farthest first."""
        self._require_sound()
        wish = json_object(text)
        left, right = text_field(wish, "left"), str(wish.get("right") or "")
        return self._job(lambda _stop: self._desk.compare(left, right))

    def _job(self, work: Callable[[threading.Event], Any]) -> str:
        """Queue work whose answer `JobResult` gives."""
        answer = Answer()

        def act(stop: threading.Event) -> None:
            answer.text = json.dumps(work(stop))

        number = self.start_job(act)
        self._answers[number] = answer
        while len(self._answers) > RESULTS:
            self._answers.popitem(last=False)
        return number


class SettingsServer(SettingsDisplay):
    """What is kept, and what people have done with it."""

    @command(dtype_in=str, doc_in='JSON {"configuration", "comment", "tags": [...]}', dtype_out=str)
    def Take(self, text: str) -> str:
        """Job: read a configuration and keep it; its result is the snapshot's line."""
        self._require_sound()
        wish = json_object(text)
        name, tags, comment = (
            text_field(wish, "configuration"),
            wishes.texts(wish, "tags"),
            wishes.comment(wish),
        )
        self._desk.settings.configuration(name)
        session = self._session()
        user = session.identity.user

        def act(_stop: threading.Event) -> Any:
            line = self._desk.take(name, user, comment, tags)
            title = saying("snapshot {id} of {name}", id=line["id"], name=name)
            self._post.post("snapshot", title, comment, key=f"take:{line['id']}", token=session.token)
            return line

        return self._job(act)

    @command(dtype_in=str, doc_in='JSON {"snapshot", "only": [patterns]}', dtype_out=str)
    def DryRun(self, text: str) -> str:
        """Job: what a restore would write now and what it could not; its result has the id of the plan."""
        self._require_sound()
        wish = json_object(text)
        name, only, user = text_field(wish, "snapshot"), wishes.texts(wish, "only"), self._user()
        return self._job(lambda _stop: self._desk.dry_run(name, user, only).as_json())

    @command(
        dtype_in=str,
        doc_in='JSON {"plan", "comment", "partial", "rollback": on failure (true), "force"}',
        dtype_out=str,
    )
    def Restore(self, text: str) -> str:
        """Job: write what a dry run of yours has shown; its result is the record."""
        wish = json_object(text)
        plan, user, terms = text_field(wish, "plan"), self._user(), wishes.terms(wish)
        return self._restore(lambda stop: self._restorer.restore(plan, user, terms, stop), user)

    @command(dtype_in=str, doc_in='JSON {"restore", "comment", "partial", "force"}', dtype_out=str)
    def Rollback(self, text: str) -> str:
        """Job: take back what a restore has written; its result is the record of that."""
        wish = json_object(text)
        name, user, terms = text_field(wish, "restore"), self._user(), wishes.terms(wish)
        return self._restore(lambda stop: self._restorer.roll_back(name, user, terms, stop), user)

    @rule(safe=True)
    @command
    def Stop(self) -> None:
        """Stop the restore under way after the write in progress; what was written stays."""
        self.jobs.cancel()

    @command(dtype_in=str, doc_in='JSON {"id", "tags": [...]}')
    def Tag(self, text: str) -> None:
        """Replace the tags of a snapshot; the log keeps the former ones."""
        wish = json_object(text)
        self._store.tag(self._session().identity.user, text_field(wish, "id"), wishes.texts(wish, "tags"))

    @command(dtype_in=str, doc_in='JSON {"id", "golden": true or false}')
    def Golden(self, text: str) -> None:
        """Make a snapshot the golden one of its configuration, or no longer. Physicist or service."""
        wish, session = json_object(text), self._session()
        if not session.identity.roles & MAY_MARK:
            raise Unauthorised(
                _("golden snapshots are for: {roles}").format(roles=", ".join(sorted(MAY_MARK)))
            )
        golden = wishes.flag(wish, "golden", default=True)
        name = text_field(wish, "id")
        self._store.golden(session.identity.user, name, golden=golden)

    # --- Inner

    def _restore(self, work: Callable[[threading.Event], dict[str, Any]], user: User) -> str:
        self._require_sound()
        if self._restoring:
            raise Refused(
                _("a restore by {user} is under way; wait for it, or Stop it").format(user=self._restoring)
            )
        self._restoring = user.name

        def act(stop: threading.Event) -> Any:
            try:
                record = work(stop)
            finally:
                self._restoring = ""
            self._tell(record, user)
            if record["state"] != "DONE":
                raise Refused(wishes.ended(record))
            return record

        return self._job(act)

    def _tell(self, record: dict[str, Any], user: User) -> None:
        about = sorted({name.rpartition("/")[0] for name in record["written"]})[:50]
        why = "" if record["state"] == "DONE" else wishes.ended(record)
        body = "\n\n".join(part for part in (record["comment"], why) if part)
        self._post.post(
            "restore",
            wishes.title(record),
            body,
            about=about,
            key=f"restore:{record['id']}",
            token=user.token,
        )

    def _session(self) -> Session:
        assert self.caller is not None  # every command here is guarded
        return self.caller

    def _user(self) -> User:
        session, guard, site = self._session(), self.context.guard, self.context.site

        def may_write(device: str) -> None:
            guard.check_session(session, site.device(device).area, safe=False, device=device)

        return User(session.identity.user, session.identity.roles, session.token, may_write)
