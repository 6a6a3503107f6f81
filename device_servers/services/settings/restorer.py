"""Restores with their records: begun, carried out, ended, rolled back. One at a time."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import Refused
from common.text import _
from device_servers.services.settings.desk import Desk, DryRun, User
from device_servers.services.settings.perform import Outcome, Performance, World
from device_servers.services.settings.plan import Plan, Step, Verdict, moved_since
from device_servers.services.settings.restore_states import Event, State, after

log = logging.getLogger(__name__)

WorldFor = Callable[[User], World]


@dataclass(frozen=True)
class Terms:
    """How a restore is wanted. partial: also when rows are refused. force: over what others changed."""

    comment: str = ""
    partial: bool = False
    rollback: bool = True
    force: bool = False


@dataclass
class Progress:
    """Where the restore under way is."""

    id: str = ""
    group: str = ""
    done: int = 0
    all: int = 0


class Restorer:
    """Carries out dry runs, keeps what happened, takes it back."""

    def __init__(self, desk: Desk, world_for: WorldFor, changed: Callable[[], None] = lambda: None) -> None:
        """`changed`: the progress has moved. Restores that a killed process left open are closed."""
        self._desk, self._world_for, self._changed = desk, world_for, changed
        self.progress = Progress()
        for name, entry in desk.store.index.restores.items():
            if entry.get("state") == State.RUNNING and not desk.store.broken:
                self._lose(name)

    def restore(self, name: str, user: User, terms: Terms, stop: threading.Event) -> dict[str, Any]:
        """Carry out the dry run of that id; the record. Raises Refused before anything is written."""
        dry_run = self._desk.planned(name, user)
        world = self._world_for(user)
        self._require(dry_run, world, terms)
        record = self._record(dry_run.plan, user, terms, snapshot=dry_run.snapshot)
        outcome = self._carry_out(record, dry_run.plan, world, stop)
        if outcome.failed and terms.rollback and outcome.attempted:
            self._take_back(record, dry_run.plan, user, force=False)
        return record

    def roll_back(self, name: str, user: User, terms: Terms, stop: threading.Event) -> dict[str, Any]:
        """Take back what a restore has written; the record of doing so. Raises Refused."""
        before = self._desk.store.restore(name)
        after(State(before["state"]), Event.TAKE_BACK)
        plan = plan_of(before)
        world = self._world_for(user)
        if why := world.forbidden():
            raise Refused(why)
        back = self._desk.reversal(plan, user, force=terms.force)
        if (refused := back.of(Verdict.REFUSED)) and not terms.partial:
            raise Refused(_refusal(refused))
        record = self._record(back, user, terms, snapshot=before["snapshot"], rollback_of=before["id"])
        outcome = self._carry_out(record, back, world, stop)
        if outcome.good and not refused:
            self._desk.store.end({**before, "state": after(State(before["state"]), Event.TAKE_BACK).value})
        return record

    # --- Inner

    def _require(self, dry_run: DryRun, world: World, terms: Terms) -> None:
        """Raise Refused unless the plan may be carried out as it was seen."""
        if (refused := dry_run.plan.of(Verdict.REFUSED)) and not terms.partial:
            raise Refused(_refusal(refused))
        if not dry_run.plan.of(Verdict.WRITE):
            raise Refused(_("there is nothing to write: the machine stands as in the snapshot"))
        if why := world.forbidden():
            raise Refused(why)
        now = world.read(step.row.name for step in dry_run.plan.of(Verdict.WRITE))
        moved = moved_since(dry_run.plan, now)
        if moved and not terms.force:
            text = _("changed since the dry run: {names}; make another dry run")
            shown = ", ".join(moved[:5]) + (", ..." if len(moved) > 5 else "")
            raise Refused(text.format(names=shown))

    def _record(self, plan: Plan, user: User, terms: Terms, **more: Any) -> dict[str, Any]:
        writes = plan.of(Verdict.WRITE)
        return {
            "id": self._desk.store.new_id(),
            "user": user.name,
            "comment": terms.comment,
            "state": State.RUNNING.value,
            "started": time.time(),
            "writes": len(writes),
            "groups": list(plan.groups),
            "steps": [step.as_json() for step in plan.steps],
            **more,
        }

    def _carry_out(self, record: dict[str, Any], plan: Plan, world: World, stop: threading.Event) -> Outcome:
        self._desk.store.begin(record)
        outcome = Performance(plan, world, stop, self._told(record["id"])).run()
        event = Event.STOP if outcome.stopped else Event.FAIL if outcome.failed else Event.FINISH
        record |= {
            "state": after(State.RUNNING, event).value,
            "ended": time.time(),
            "written": outcome.written,
            "attempted": outcome.attempted,
            "failed": outcome.failed,
            "stopped": outcome.stopped,
        }
        self._end(record)
        return outcome

    def _take_back(self, record: dict[str, Any], plan: Plan, user: User, *, force: bool) -> None:
        """Roll back a restore that has failed; a rollback is not stopped by a user."""
        attempted = set(record["attempted"])
        steps = tuple(step for step in plan.steps if step.row.name in attempted)
        back = self._desk.reversal(Plan(plan.groups, steps, 0, 0), user, force=force)
        world, never = self._world_for(user), threading.Event()
        outcome = Performance(back, world, never, self._told(record["id"])).run()
        refused = {step.row.name: step.why for step in back.of(Verdict.REFUSED)}
        record["rollback"] = {
            "written": outcome.written,
            "failed": {**refused, **outcome.failed},
            "stopped": outcome.stopped,
        }
        if outcome.good and not refused:
            record["state"] = after(State(record["state"]), Event.TAKE_BACK).value
        self._end(record)

    def _end(self, record: Mapping[str, Any]) -> None:
        """Keep the outcome; what was written is written, also when the disk is full."""
        try:
            self._desk.store.end(record)
        except Refused as why:
            log.error("restore %s: %s", record["id"], why)
        self.progress = Progress()
        self._changed()

    def _lose(self, name: str) -> None:
        try:
            record = self._desk.store.restore(name)
            state = after(State(record["state"]), Event.LOSE).value
            self._desk.store.end({**record, "state": state, "ended": time.time()})
        except Exception as why:  # noqa: BLE001 - border: a bad record must not keep the service away
            log.error("restore %s was interrupted, and its record says no more: %s", name, why)

    def _told(self, name: str) -> Callable[[str, int, int], None]:
        def told(group: str, done: int, all_: int) -> None:
            self.progress = Progress(name, group, done, all_)
            self._changed()

        return told


def plan_of(record: Mapping[str, Any]) -> Plan:
    """The plan in a restore's record."""
    steps = tuple(Step.from_json(step) for step in record["steps"])
    return Plan(tuple(record["groups"]), steps, 0, 0)


def _refusal(refused: list[Step]) -> str:
    shown = "; ".join(f"{step.row.name}: {step.why}" for step in refused[:3])
    text = _("{count} attributes cannot be written ({shown}); mend that, or restore without them (partial)")
    return text.format(count=len(refused), shown=shown + ("; ..." if len(refused) > 3 else ""))
