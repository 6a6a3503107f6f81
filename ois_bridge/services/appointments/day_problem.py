"""A day of the sheet as numbers for the optimiser, and its answer as a proposal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cache

from common.text import _
from ois_bridge.domain.scheduling import calendar, constraints, simulate
from ois_bridge.domain.scheduling.plan import Book, Device, Kind, Visit, Wish, beam_span, moment
from ois_bridge.domain.scheduling.problem import Board, Job, Place, Problem
from ois_bridge.domain.scheduling.proposal import Content, Left, Move

JUDGE_RUNS = 30


@dataclass(frozen=True)
class Item:
    """A visit to place. `devices`: names to choose from. `old`: where it stands, for one that is booked."""

    visit: Visit
    devices: tuple[str, ...]
    old: Visit | None = None
    waiting: str = ""


@dataclass
class DayProblem:
    """A problem with what it was made of. `lost`: items without any place, with the reason."""

    held: Book
    day: date
    now: datetime
    problem: Problem
    items: Mapping[str, Item]
    lost: list[Left] = field(default_factory=list)

    def visit(self, place: Place) -> Visit:
        """The visit of a place."""
        visit = self.items[place.key].visit
        start = instant(self.held, self.day, place.start)
        return replace(visit, device=place.device, start=start)


def make(held: Book, day: date, items: Sequence[Item], now: datetime) -> DayProblem:
    """The problem of a day: items to place among the visits that stay."""
    free = {item.visit.key for item in items}
    stay = [visit for visit in held.visits if visit.key not in free]
    alone, lost, jobs = _alone(held, day, now), [], []
    for item in items:
        options = {name: _starts(held, day, item, name, stay, alone, now) for name in item.devices}
        if any(options.values()):
            jobs.append(_job(held, day, item, {name: row for name, row in options.items() if row}))
        else:
            lost.append(_left(item, _why(held, day, item, now)))
    # what finds no place at all stays where it stands, and in the way
    keys = {job.key for job in jobs}
    others = [visit for visit in held.visits if visit.key not in keys]
    fixed = tuple(place_of(held, day, visit) for visit in others if _beside(held, day, visit))
    problem = Problem(held.devices, held.rules.beams, tuple(jobs), fixed)
    return DayProblem(held, day, now, problem, {item.visit.key: item for item in items}, lost)


def content(made: DayProblem, board: Board, why: Callable[[Item, Visit], str] | None = None) -> Content:
    """The answer as a proposal: what is made or moved, what is left over and why, and what to expect."""
    placed = {one.key: one for one in board.places() if one.key in made.items}
    visits = {key: made.visit(one) for key, one in placed.items()}
    stay = [visit for visit in made.held.visits if visit.key not in visits]
    after = replace(made.held, visits=[*stay, *visits.values()])
    moves, left = [], list(made.lost)
    jobs = {job.key for job in made.problem.jobs}
    for key, item in made.items.items():
        if key in visits:
            found = constraints.check(after, visits[key], made.now)
            if any(one.hard for one in found):
                left.append(_left(item, " ".join(one.text for one in found if one.hard)))
            elif not _same(item, visits[key]):
                notes = tuple(one.text for one in found)
                moves.append(move_of(item, visits[key], notes, why(item, visits[key]) if why else ""))
        elif key in jobs:
            left.append(_left(item, _("Room or beam is taken at every time that the rules allow.")))
    moves.sort(key=lambda move: (move.start, move.device))
    return Content(tuple(moves), tuple(left), _facts(made, board, placed))


def move_of(item: Item, visit: Visit, notes: tuple[str, ...] = (), why: str = "") -> Move:
    """An item at its new place."""
    return Move(
        key=item.old.key if item.old else "",
        device=visit.device,
        start=visit.start.isoformat(),
        minutes=visit.minutes,
        kind=visit.kind,
        particle=visit.particle,
        fraction=visit.fraction,
        patient=visit.patient,
        course=visit.course,
        waiting=item.waiting,
        old_device=item.old.device if item.old else "",
        old_start=item.old.start.isoformat() if item.old else "",
        why=why,
        notes=notes,
    )


def _facts(made: DayProblem, board: Board, placed: Mapping[str, Place]) -> dict[str, float]:
    problem = made.problem
    beams = [name for name in problem.beams if any(room.beam == name for room in problem.devices.values())]
    if not beams:
        return {"placed": len(placed)}
    treated = [one for one in board.places() if one.beam is not None]
    judged = simulate.judge(treated, problem.devices, problem.beams, seed=1, runs=JUDGE_RUNS)
    return {
        "placed": len(placed),
        "waiting": round(judged.waiting / max(len(treated), 1), 1),
        "changes": judged.changes,
        "end": round(judged.end),
    }


def _same(item: Item, visit: Visit) -> bool:
    return item.old is not None and (item.old.device, item.old.start) == (visit.device, visit.start)


def _left(item: Item, why: str) -> Left:
    return Left(item.visit.patient, item.visit.course, why, item.old.key if item.old else "")


def instant(held: Book, day: date, minute: int) -> datetime:
    """The instant so many minutes after the day began (a day with a clock change is shorter or longer)."""
    return moment(day, 0, held.rules.zone) + timedelta(minutes=minute)


def minute(held: Book, day: date, at: datetime) -> int:
    """The inverse of `instant`."""
    return round((at - moment(day, 0, held.rules.zone)).total_seconds() / 60)


def place_of(held: Book, day: date, visit: Visit) -> Place:
    """A visit that stands, in minutes of the day."""
    device = held.devices.get(visit.device)
    span = beam_span(device, visit) if device else None
    beam = (minute(held, day, span.start), minute(held, day, span.end)) if span else None
    return Place(visit.key, visit.device, minute(held, day, visit.start), visit.minutes, visit.particle, beam)


def _beside(held: Book, day: date, visit: Visit) -> bool:
    """Whether a visit may stand in the way on this day."""
    return visit.device in held.devices and -720 < minute(held, day, visit.start) < 2880


def _job(held: Book, day: date, item: Item, options: Mapping[str, tuple[int, ...]]) -> Job:
    wish = held.wishes.get(item.visit.course, Wish())

    def elapsed(at: int) -> int:
        return minute(held, day, moment(day, at, held.rules.zone)) if at else 0

    return Job(
        key=item.visit.key,
        minutes=item.visit.minutes,
        particle=item.visit.particle if item.visit.kind == Kind.TREATMENT else "",
        options=options,
        earliest=elapsed(wish.earliest),
        latest=elapsed(wish.latest),
        preferred=elapsed(wish.preferred),
    )


Alone = Callable[[str, str, str, int], tuple[int, ...]]


def _alone(held: Book, day: date, now: datetime) -> Alone:
    """Starts on a device that the rules allow whatever else is on the sheet."""
    bare = replace(held, visits=())

    @cache
    def starts(device: str, kind: str, particle: str, minutes: int) -> tuple[int, ...]:
        where = held.devices.get(device)
        found = []
        for at in _raster(bare, where, day) if where else ():
            visit = Visit("", device, kind, instant(held, day, at), minutes, particle=particle)
            if not constraints.possible(bare, visit, now):
                found.append(at)
        return tuple(found)

    return starts


def _raster(held: Book, device: Device, day: date) -> Iterable[int]:
    minutes = {
        at
        for span in calendar.open_spans(held, device, day)
        for at in range(minute(held, day, span.start), minute(held, day, span.end), held.rules.slot)
    }
    return sorted(minutes)


def _starts(
    held: Book, day: date, item: Item, device: str, stay: Sequence[Visit], alone: Alone, now: datetime
) -> tuple[int, ...]:
    """Starts that neither the device nor the patient's own other visits forbid."""
    visit = item.visit
    starts = alone(device, visit.kind, visit.particle, visit.minutes)
    own = [other for other in stay if other.patient == visit.patient and visit.patient]
    if not own:
        return starts
    bare = replace(held, visits=own)
    return tuple(
        at
        for at in starts
        if not any(
            one.hard and one.code in ("patient", "spacing")
            for one in constraints.check(
                bare, replace(visit, device=device, start=instant(held, day, at)), now
            )
        )
    )


def _why(held: Book, day: date, item: Item, now: datetime) -> str:
    """Why there is no place at all, as the rules say it at noon."""
    visit = replace(
        item.visit, device=(item.devices or (item.visit.device,))[0], start=instant(held, day, 720)
    )
    found = [one.text for one in constraints.check(held, visit, now) if one.hard]
    return " ".join(found) or _("No device of the department can take this visit on this day.")
