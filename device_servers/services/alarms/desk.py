"""What people do with alarms: acknowledge, shelve, take out of service. On disk first, then in force."""

import math
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock

import numpy as np

from common.errors import Refused
from common.text import _
from device_servers.services.alarms.engine import Engine, Moves
from device_servers.services.alarms.inputs import Indices
from device_servers.services.alarms.keeper import NOBODY, NOTED, STATES, Keeper, Note
from device_servers.services.alarms.states import NEXT, Event, State
from device_servers.services.alarms.store import STANDING_COLUMNS, Changes, Store

LONGEST_SHELF_S = 7 * 86400.0
"""Nobody forgets an alarm for longer than this."""
LONGEST_NOTE = 500
MOST_NAMES = 50_000

WHY_NOT = {
    Event.ACK: "nothing to acknowledge",
    Event.SHELVE: "out of service",
    Event.UNSHELVE: "not shelved",
    Event.DISABLE: "out of service already",
    Event.ENABLE: "not out of service",
}


@dataclass(frozen=True)
class Act:
    """What a user does with alarms. until: s since the epoch at which shelving ends."""

    event: Event
    note: Note
    until: float = math.inf


class Desk:
    """Acts on one engine. Any thread may call; `lock` guards engine and keeper."""

    def __init__(
        self,
        engine: Engine,
        keeper: Keeper,
        store: Store,
        lock: RLock,
        writing: RLock,
        moved: Callable[[], None],
    ) -> None:
        """`writing` is held by whoever writes to the store, so that transactions stand in order."""
        self._engine, self._keeper, self._store = engine, keeper, store
        self._lock, self._writing, self._moved = lock, writing, moved

    def act(self, names: Sequence[str], act: Act) -> tuple[list[str], dict[str, str]]:
        """Names that the act moved, and why it did not move the others.

        It is on disk when this returns. Raises Refused for unknown names, when no name can be moved, and
        when the disk does not take it: then nothing has changed.
        """
        rules = self._places(names)
        with self._writing:
            with self._lock:
                legal = self._engine.legal(rules, act.event)
                wanted = rules[legal]
                why = {self._name(rule): _(WHY_NOT[act.event]) for rule in rules[~legal].tolist()}
                if not len(wanted):
                    raise Refused(_("none of these alarms: {why}").format(why=_first(why)))
                serials = self._engine.serials[wanted].copy()
                before = self._keeper.taken()
                planned = self._planned(wanted, act)
            self._write(before, planned)
            with self._lock:
                done = self._apply(wanted[self._engine.serials[wanted] == serials], act)
                late = np.setdiff1d(wanted, done)
                self._keeper.touch(late)
        why |= {self._name(rule): _("it alarmed again meanwhile: look again") for rule in late.tolist()}
        self._moved()
        return [self._name(rule) for rule in done.tolist()], why

    def group(self, group: str) -> list[str]:
        """Names of the alarms of a group, or below a node of the tree. Raises Refused for an unknown one."""
        found = [
            rule.name
            for rule in self._engine.rules
            if group in ("", rule.group, rule.area) or rule.area.startswith(f"{group}/")
        ]
        if not found:
            raise Refused(_("no group or area {name} has alarms").format(name=group))
        return found

    # --- Inner

    def _places(self, names: Sequence[str]) -> Indices:
        if not names or len(names) > MOST_NAMES:
            raise Refused(_("name at least one alarm, at most {most}").format(most=MOST_NAMES))
        unknown = [name for name in names if name not in self._engine.index]
        if unknown:
            text = _("no alarm {name}; `ptcs alarm rules` lists them")
            raise Refused(text.format(name=", ".join(unknown[:3])))
        return np.unique(np.array([self._engine.index[name] for name in names], dtype=np.intp))

    def _name(self, rule: int) -> str:
        return self._engine.rules[rule].name

    def _planned(self, rules: Indices, act: Act) -> Changes:
        """What the act makes of alarms, as rows of the store."""
        engine, note = self._engine, act.note
        states = NEXT[engine.states[rules], act.event].astype(np.int32)
        moves = Moves(
            rules,
            np.full(len(rules), act.event, dtype=np.int32),
            states,
            engine.conditions.severity[rules],
            engine.conditions.status[rules],
            engine.conditions.values(rules),
            engine.conditions.crossed[rules],
        )
        until = act.until if math.isfinite(act.until) else None
        keep, drop = [], []
        for rule, state in zip(rules.tolist(), states.tolist(), strict=True):
            kept = dict(zip(STANDING_COLUMNS, self._keeper.row(rule), strict=True))
            kept |= {"state": STATES[state], "until": until}
            if act.event in (Event.ACK, Event.DISABLE):
                kept["latched"] = 0
            noted = note if state in NOTED else NOBODY
            kept |= {"user": noted.user, "note": noted.text, "noted": noted.when}
            if state == State.NORMAL and not (kept["condition"] or kept["latched"]):
                drop.append(self._name(rule))
            else:
                keep.append(tuple(kept[column] for column in STANDING_COLUMNS))
        return Changes(self._keeper.events(moves, note.when, note), keep, drop)

    def _write(self, before: Changes, planned: Changes) -> None:
        """What waited and the act, in one transaction. Raises Refused; then what waited waits on."""
        acted = {*(row[0] for row in planned.keep), *planned.drop}
        joined = Changes(
            [*before.events, *planned.events],
            [*(row for row in before.keep if row[0] not in acted), *planned.keep],
            [*(name for name in before.drop if name not in acted), *planned.drop],
        )
        try:
            self._store.write(joined)
        except (sqlite3.Error, OSError) as why:
            with self._lock:
                self._keeper.put_back(before)
            text = _("alarms cannot be written to disk ({why}): nothing was changed; free disk space")
            raise Refused(text.format(why=why)) from why

    def _apply(self, rules: Indices, act: Act) -> Indices:
        """Do what is on disk now; what follows from it by itself is written with the next moves."""
        done = self._engine.apply(rules, act.event)
        if act.event == Event.SHELVE:
            self._engine.until[done] = act.until
        moves = self._engine.taken()
        self._keeper.add(moves.where(moves.events != act.event), act.note.when)
        for rule in done[np.isin(self._engine.states[done], NOTED)].tolist():
            self._keeper.notes[rule] = act.note
        for rule in done[~np.isin(self._engine.states[done], NOTED)].tolist():
            self._keeper.notes.pop(rule, None)
        return done


def _first(why: dict[str, str]) -> str:
    return next((f"{name}: {reason}" for name, reason in why.items()), "")
