"""AlarmServer: rules over the attributes of the site, alarms that stand, what people do, history."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence

from tango import DevState
from tango.server import command

from common.errors import Refused, Unauthorised
from common.text import _, translate
from device_servers.base import derived, rule
from device_servers.modes import Health
from device_servers.parse import json_object
from device_servers.services.alarm_listener import AlarmListener
from device_servers.services.alarms import asked
from device_servers.services.alarms.desk import Act
from device_servers.services.alarms.keeper import Note
from device_servers.services.alarms.rights import not_allowed
from device_servers.services.alarms.severity import Severity
from device_servers.services.alarms.states import Event

MOST_ACTIVE = 500
"""Alarms in the attribute Active, worst first; `ActiveSince` brings all."""
LONGEST_SILENCE_S = 3600.0


class AlarmDisplay(AlarmListener):
    """What stands, and what was."""

    def _state(self) -> tuple[DevState, str]:
        """FAULT when rules are bad or the disk takes nothing, ALARM while alarms stand."""
        service = self.service
        if self.found.trouble:
            return DevState.FAULT, self.found.trouble
        if service.writer.trouble:
            text = _("alarms work, but the disk does not take them ({why}); free disk space")
            return DevState.FAULT, text.format(why=service.writer.trouble)
        if not service.begun:
            return DevState.INIT, _("waiting for the servers of the site")
        with service.lock:
            counts = service.board.counts()
        standing = counts["unacked"] + counts["acked"] + counts["latched"]
        notes = [_("{count} rules").format(count=len(self.found.rules))]
        if service.speaker.mute:
            notes.append(service.speaker.mute)
        if service.store.damaged:
            notes.append(_("a damaged history was kept as {name}").format(name=service.store.damaged))
        if not standing:
            return DevState.ON, "; ".join([_("no alarm"), *notes])
        text = _("{count} alarms, {unacked} not acknowledged")
        said = text.format(count=standing, unacked=counts["unacked"] + counts["latched"])
        return DevState.ALARM, "; ".join([said, *notes])

    def health_of(self, state: DevState) -> Health:
        """Its own: it is in order when it can tell what is wrong."""
        return Health.OK if state in (DevState.ON, DevState.ALARM) else super().health_of(state)

    # --- Attributes

    @derived(dtype=int, format="%d")
    def Changes(self) -> int:
        """Counts moves of alarms; its events come ten times a second at most. Ask ActiveSince then."""
        return self.service.engine.changes

    @derived(dtype=str)
    def Active(self) -> str:
        """JSON list of alarms that stand, worst first, 500 at most."""
        with self.service.lock:
            return self.service.board.active(MOST_ACTIVE)

    @derived(dtype=str)
    def Counts(self) -> str:
        """JSON: alarms that stand by severity, and all by state (unacked, shelved ...)."""
        with self.service.lock:
            return json.dumps(self.service.board.counts())

    @derived(dtype=int, format="%d")
    def Unacknowledged(self) -> int:
        """Alarms that nobody has acknowledged, gone ones included."""
        with self.service.lock:
            counts = self.service.board.counts()
        return counts["unacked"] + counts["latched"]

    @derived(dtype=int, format="%d")
    def Lost(self) -> int:
        """Events that Tango reported as missed, and rows of history that found no room."""
        return self.intake.lost + self.service.keeper.lost

    # --- Questions

    @rule(read=True)
    @command(dtype_in=int, doc_in="`changes` of an earlier answer, 0 for everything", dtype_out=str)
    def ActiveSince(self, count: int) -> str:
        """JSON {"changes", "all", "rows", "gone"}: alarms that stand or are aside, changed since then."""
        with self.service.lock:
            return self.service.board.since(count)

    @rule(read=True)
    @command(dtype_out=str)
    def Summary(self) -> str:
        """JSON: node of the tree -> counts (rules, minor, major, invalid, unacked, aside); "": all."""
        with self.service.lock:
            return json.dumps(self.service.board.summary())

    @rule(read=True)
    @command(
        dtype_in=str,
        doc_in='JSON {"text", "names", "from", "to": s since the epoch, "severity", "user", "most"}, or {}',
        dtype_out=str,
    )
    def History(self, wish: str) -> str:
        """JSON list, newest first: time, name, event, state, severity, status, value, crossed, user, note."""
        question = asked.question(json_object(wish or "{}"), self.found.rules)
        try:
            rows = self.service.store.find(question)
        except (sqlite3.Error, OSError) as why:
            raise Refused(_("the history cannot be read ({why})").format(why=why)) from why
        return json.dumps(asked.told(rows))

    @rule(read=True)
    @command(dtype_in=str, doc_in="part of names; nothing: all", dtype_out=str)
    def Rules(self, part: str) -> str:
        """JSON list: rules whose name contains the text, with where each stands."""
        service = self.service
        places = [i for i, known in enumerate(self.found.rules) if part.lower() in known.name.lower()]
        with service.lock:
            return json.dumps([service.board.rule(place) for place in places])

    @rule(read=True)
    @command(dtype_in=str, doc_in="name of an alarm", dtype_out=str)
    def Guidance(self, name: str) -> str:
        """JSON {"en", "zh"}: what to do about an alarm."""
        place = self.service.engine.index.get(name)
        if place is None:
            raise Refused(_("no alarm {name}; `ptcs alarm rules` lists them").format(name=name))
        return json.dumps(self.found.rules[place].guidance.row())


class AlarmServer(AlarmDisplay):
    """What people do with alarms. Names are a JSON list, or one name."""

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"names": [...], "comment"}', dtype_out=str, doc_out='JSON {"done"}')
    def Acknowledge(self, wish: str) -> str:
        """Acknowledge alarms that stand or have gone; their area says who may. On disk when it answers."""
        values = json_object(wish)
        comment = asked.note(values, "comment", needed=False)
        mine, why = self._allowed(asked.names(values))
        return self._act(mine, Event.ACK, comment, why=why)

    @rule(anyone=True)
    @command(dtype_in=str, doc_in='JSON {"group": group or area, "" for all, "comment"}', dtype_out=str)
    def AcknowledgeAll(self, wish: str) -> str:
        """Acknowledge every alarm of a group or below a node of the tree, as far as the user may."""
        values = json_object(wish)
        comment = asked.note(values, "comment", needed=False)
        mine, _why = self._allowed(self.service.desk.group(str(values.get("group", ""))))
        return self._act(mine, Event.ACK, comment, told=False)

    @command(
        dtype_in=str,
        doc_in='JSON {"names": [...], "until": s since the epoch, or "seconds", "reason"}',
        dtype_out=str,
    )
    def Shelve(self, wish: str) -> str:
        """Put alarms aside until a time, at most seven days ahead, for a reason."""
        values = json_object(wish)
        until = asked.until(values, time.time())
        return self._act(
            asked.names(values), Event.SHELVE, asked.note(values, "reason", needed=True), until=until
        )

    @command(dtype_in=str, doc_in='JSON {"names": [...]}', dtype_out=str)
    def Unshelve(self, wish: str) -> str:
        """Bring shelved alarms back before their time."""
        values = json_object(wish)
        return self._act(asked.names(values), Event.UNSHELVE, asked.note(values, "comment", needed=False))

    @command(dtype_in=str, doc_in='JSON {"names": [...], "reason"}', dtype_out=str)
    def Disable(self, wish: str) -> str:
        """Take alarms out of service until somebody enables them."""
        values = json_object(wish)
        return self._act(asked.names(values), Event.DISABLE, asked.note(values, "reason", needed=True))

    @command(dtype_in=str, doc_in='JSON {"names": [...], "reason"}', dtype_out=str)
    def Enable(self, wish: str) -> str:
        """Bring alarms into service again."""
        values = json_object(wish)
        return self._act(asked.names(values), Event.ENABLE, asked.note(values, "reason", needed=False))

    @command(dtype_in=float, doc_in="s; 0 ends the silence")
    def Silence(self, seconds: float) -> None:
        """No voice for some time; what stands goes on standing. At most an hour."""
        if not 0 <= seconds <= LONGEST_SILENCE_S:
            raise Refused(_("silence of {seconds:g} s: allowed are 0 .. 3600 s").format(seconds=seconds))
        self.service.speaker.silence(seconds)

    @command
    def Test(self) -> None:
        """Speak a test sentence, so that people know that they would hear an alarm."""
        sentence = "test of the alarm voice"
        languages = self.found.file.manner.languages
        self.service.speaker.say(Severity.MINOR, {code: translate(sentence, code) for code in languages})

    def _allowed(self, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Names that the caller may acknowledge, and why not the others. Raises Unauthorised if none is."""
        assert self.caller is not None
        rules, index = self.found.rules, self.service.engine.index
        areas = {name: rules[index[name]].area for name in names if name in index}
        why = not_allowed(self.caller.identity, names, areas, self.context.site.rooms)
        mine = [name for name in names if name not in why]
        if why and not mine:
            raise Unauthorised(next(iter(why.values())))
        return mine, why

    def _act(
        self,
        names: Sequence[str],
        event: Event,
        text: str,
        *,
        until: float = float("inf"),
        told: bool = True,
        why: Mapping[str, str] | None = None,
    ) -> str:
        """Do it, and say in JSON what was done. why: of names that were left out before."""
        assert self.caller is not None
        act = Act(event, Note(self.caller.identity.user, text, time.time()), until)
        done, others = self.service.desk.act(names, act)
        return json.dumps({"done": done, "not": {**(why or {}), **others} if told else {}})
