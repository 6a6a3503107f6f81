"""A course lived through its process at the times it would have taken, by the use cases themselves."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select

from common.errors import Refused
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseEvent
from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.workflow import Task
from ois_bridge.services import courses, follow_up, reviews
from ois_bridge.services.appointments import proposals, series
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.demo.people import Disease
from ois_bridge.services.forms import records
from ois_bridge.services.workflow import tasks
from ois_bridge.services.workflow.tasks import Verdict

OPEN = (TaskState.TO_DO, TaskState.TAKEN)
LAST_BEFORE_BEAM = "scheduling"
TOXICITIES = ("Radiation dermatitis", "Fatigue", "Mucositis oral", "Nausea", "Urinary frequency")
"""Terms of config/department/record.yaml: each is shown in the reader's language."""

ROOMS = {"proton": ("ROOM1", "ROOM2", "ROOM3"), "carbon": ("ROOM2", "ROOM3")}


class Clock:
    """The time that the use cases of a seeded past see."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """Now, as the use cases see it."""
        return self.at

    def on(self, hours: float) -> None:
        """Go on by some hours of work; nights are skipped."""
        self.at += timedelta(hours=hours)
        local = self.at.astimezone()
        if not 8 <= local.hour < 17:
            morning = local.date() + timedelta(days=local.hour >= 17)
            self.at = datetime.combine(morning, time(8, 10)).astimezone() + timedelta(minutes=local.minute)


class OneSecret:
    """Takes the one secret of this seeding for everybody's: persons who do not exist have no passwords."""

    decoy = ""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def hash(self, password: str) -> str:
        """Not used: a seeding makes no passwords."""
        del password
        raise Refused("a seeding makes no passwords")

    def verify(self, encoded: str, password: str) -> bool:
        """Whether it is the secret of this seeding."""
        del encoded
        return password == self._secret


@dataclass(frozen=True)
class Cast:
    """Who works on a course: callers by role; the second physicist checks the first one's plan."""

    by_role: Mapping[str, Caller]
    physicists: Sequence[Caller]


class CourseLife:
    """One course from its consultation on."""

    def __init__(
        self, context: Context, secret: str, cast: Cast, forms: Mapping[str, Any], what: Disease, key: str
    ) -> None:
        self._context, self._secret, self._cast = context, secret, cast
        self._forms, self._what, self._key = forms, what, key

    def step(self, chance: random.Random) -> str:
        """Do the first open step; returns its name, "" when nothing is left before the beam."""
        task = self._open()
        if task is None or task.name in ("treatment", "weekly-review", "course-summary"):
            return ""
        who = self._who(task)
        if task.name == LAST_BEFORE_BEAM:
            self._book(chance)
            if self._open(LAST_BEFORE_BEAM) is None:
                return LAST_BEFORE_BEAM
        if task.deed in ("fill", "sign"):
            self._fill(who, task.form_kind, chance)
        outcome = "done" if task.deed in ("do", "fill") else "agree"
        tasks.finish(self._context, who, task.key, Verdict(outcome, "", self._secret))
        return task.name

    def treated(self, until: datetime) -> int:
        """Visits that ended before a time took place; returns how many."""
        with self._context.database.writing() as session:
            query = select(Appointment).where(
                Appointment.course_key == self._key, Appointment.state == AppointmentState.BOOKED
            )
            past = [
                row for row in session.scalars(query) if row.start + timedelta(minutes=row.minutes) <= until
            ]
            for row in past:
                row.state = AppointmentState.DONE
                row.signed_in, row.signed_in_by = row.start - timedelta(minutes=12), "barcode"
                row.called, row.entered = row.start - timedelta(minutes=1), row.start
                row.finished = row.start + timedelta(minutes=row.minutes - 2)
        return len(past)

    def reviewed(self, clock: Clock, until: datetime, chance: random.Random) -> None:
        """The doctor saw the patient every week; one in five times the last review is still to come."""
        last = until - timedelta(days=7 if chance.random() < 0.2 else 0)
        weight = chance.uniform(48, 82)
        while clock.at + timedelta(days=6) < last:
            clock.at += timedelta(days=6)
            clock.on(chance.uniform(0, 6))
            clock.at = min(clock.at, until - timedelta(minutes=5))
            weight *= chance.uniform(0.985, 1.002)
            self._review(chance, weight)

    def _review(self, chance: random.Random, weight: float) -> None:
        doctor = self._cast.by_role["physician"]
        grade = chance.choice((0, 0, 1, 1, 2))
        found = [(chance.choice(TOXICITIES), str(grade))] if grade else []
        written = reviews.Written(
            f"{weight:.1f}", found, "一般情况可，继续治疗" if grade < 2 else "对症处理，继续治疗"
        )
        reviews.write(self._context, doctor, self._key, written, self._secret)

    def end(self, chance: random.Random) -> None:
        """Finish what follows the last fraction."""
        for _attempt in range(6):
            task = self._open()
            if task is None:
                return
            who = self._who(task)
            if task.deed in ("fill", "sign"):
                self._fill(who, task.form_kind, chance)
            outcome = {"weekly-review": "finish"}.get(task.name, "agree" if task.deed == "sign" else "done")
            tasks.finish(self._context, who, task.key, Verdict(outcome, "", self._secret))

    def close(self) -> None:
        """End the course and plan its follow-up."""
        doctor = self._cast.by_role["physician"]
        courses.act(self._context, doctor, self._key, CourseEvent.END, "按计划完成")
        follow_up.plan(
            self._context, doctor, self._key, self._context.now().astimezone().date(), (1, 3, 6, 12)
        )

    def _open(self, name: str = "") -> Task | None:
        """The first open task, or the one of a name."""
        with self._context.database.reading() as session:
            query = select(Task).where(Task.course_key == self._key, Task.state.in_(OPEN))
            found = session.scalars(query.order_by(Task.created)).all()
        return next((task for task in found if name in ("", task.name)), None)

    def _who(self, task: Task) -> Caller:
        named = [
            who for who in (*self._cast.by_role.values(), *self._cast.physicists) if who.user == task.assignee
        ]
        if named:
            return named[0]
        if task.assignee:
            return Caller(task.assignee, frozenset({task.role}))
        return self._cast.by_role[task.role]

    def _fill(self, who: Caller, kind: str, chance: random.Random) -> None:
        row = records.open_form(self._context, who, self._key, kind)
        records.save(
            self._context, who, row.key, {**row.content, **self._content(kind, chance)}, row.revision
        )

    def _content(self, kind: str, chance: random.Random) -> dict[str, Any]:
        what, today = self._what, self._context.now().astimezone().date().isoformat()
        doses = [{"target": what.target, "dose_per_fraction": what.dose, "fractions": what.fractions}]
        own: dict[str, dict[str, Any]] = {
            "consent": {"treatment": what.particle, "signed_by": "本人", "signed_on": today},
            "simulation-sheet": {"region": what.region},
            "plan-request": {"particle": what.particle, "doses": doses},
            "treatment-sheet": {"doses": doses, "room": chance.choice(ROOMS[what.particle])},
        }
        return {**self._forms.get(kind, {}), **own.get(kind, {})}

    def _book(self, chance: random.Random) -> None:
        desk = self._cast.by_role["receptionist"]
        first = self._context.now().astimezone().date() + timedelta(days=1)
        asked = series.Asked(
            course_key=self._key,
            device=chance.choice(ROOMS[self._what.particle]),
            particle=self._what.particle,
            minutes=25 if self._what.particle == "carbon" else 20,
            first=first,
            count=self._what.fractions,
            fraction=1,
            pattern="five",
            preferred=chance.randrange(8 * 60 + 15, 18 * 60, 15),
        )
        proposal = series.propose(self._context, desk, asked)
        proposals.keep(self._context, desk, proposal.key)


def start_of(today: date, days: int) -> datetime:
    """Morning of a day in the past."""
    return datetime.combine(today - timedelta(days=days), time(8, 30)).astimezone()


def shifted(context: Context, clock: Clock, secret: str) -> Context:
    """The means of an OIS at another time, for persons without passwords."""
    return replace(context, now=clock, hasher=OneSecret(secret))
