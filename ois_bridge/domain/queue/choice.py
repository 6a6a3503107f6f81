"""Which visit a sign-in means: the next one not yet done, within its time; asked where unclear."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from ois_bridge.domain.appointment_states import AppointmentState

OPEN = frozenset({AppointmentState.SIGNED_IN, AppointmentState.CALLED, AppointmentState.IN_ROOM})
TO_COME = frozenset({AppointmentState.BOOKED, AppointmentState.MISSED})


@dataclass(frozen=True)
class Visit:
    """One appointment of the patient today."""

    key: str
    device: str
    start: datetime
    state: AppointmentState


@dataclass(frozen=True)
class SignInRules:
    """Minutes. `early`, `late`: how long before and after its time a visit may be signed in; `near`: visits
    to two devices whose times lie closer together are asked about.
    """

    early: int = 120
    late: int = 60
    near: int = 60


class Answer(Enum):
    """What comes of a sign-in."""

    TAKE = auto()
    ALREADY = auto()
    ASK = auto()
    EARLY = auto()
    LATE = auto()
    DONE = auto()
    NONE = auto()


@dataclass(frozen=True)
class Choice:
    """The answer, the visit it is about, and others that may be meant."""

    answer: Answer
    visit: Visit | None = None
    others: tuple[Visit, ...] = ()


def choose(
    visits: Sequence[Visit],
    now: datetime,
    rules: SignInRules,
    device: str = "",
    wanted: str = "",
    staff: bool = False,
) -> Choice:
    """The visit that is meant among a patient's of one day.

    `device`: where the patient stands; its visits go first. `wanted`: key of the visit that was chosen.
    `staff`: a therapist answers for the time, too early and too late do not count.
    """
    here = [visit for visit in visits if visit.device == device]
    pool = sorted(here or visits, key=lambda visit: (visit.start, visit.key))
    if wanted:
        pool = [visit for visit in visits if visit.key == wanted]
    opened = [visit for visit in pool if visit.state in OPEN]
    to_come = [visit for visit in pool if visit.state in TO_COME]
    timely = [visit for visit in to_come if staff or _timely(visit, now, rules)]
    # one visit to a device at a time: the afternoon's is not meant while the morning's is open
    busy = {visit.device for visit in visits if visit.state in OPEN}
    ready = _first_of_each_device([visit for visit in timely if visit.device not in busy])
    if opened:
        return Choice(Answer.ALREADY, opened[0], tuple(ready))
    if not ready:
        return _refusal(pool, to_come, now, rules, visits)
    if len(ready) > 1 and not device and ready[1].start - ready[0].start < timedelta(minutes=rules.near):
        return Choice(Answer.ASK, None, tuple(ready))
    return Choice(Answer.TAKE, ready[0], tuple(ready[1:]))


def _timely(visit: Visit, now: datetime, rules: SignInRules) -> bool:
    first = visit.start - timedelta(minutes=rules.early)
    return first <= now <= visit.start + timedelta(minutes=rules.late)


def _first_of_each_device(visits: Sequence[Visit]) -> list[Visit]:
    first: dict[str, Visit] = {}
    for visit in visits:
        first.setdefault(visit.device, visit)
    return list(first.values())


def _refusal(
    pool: Sequence[Visit],
    to_come: Sequence[Visit],
    now: datetime,
    rules: SignInRules,
    visits: Sequence[Visit],
) -> Choice:
    """Why none of the visits can be signed in now."""
    opened = [visit for visit in visits if visit.state in OPEN]
    if opened:
        return Choice(Answer.ALREADY, opened[0])
    early = [visit for visit in to_come if now < visit.start - timedelta(minutes=rules.early)]
    if early:
        return Choice(Answer.EARLY, early[0])
    if to_come:
        return Choice(Answer.LATE, to_come[-1])
    done = [visit for visit in pool if visit.state is AppointmentState.DONE]
    return Choice(Answer.DONE, done[-1]) if done else Choice(Answer.NONE)
