"""Who gets control of an area: rules on top of the table. Pure: time and rooms under treatment are arguments.

Control changes hands only by consent of who has it (offer, release), by its lapse, or by somebody of a
higher rank who says why. While a room that the area serves is under treatment it is not taken, does not
lapse for want of writes, and goes to nobody but who treats, unless who has it consents.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from common.authority import MAY_WRITE
from common.errors import Refused, Unauthorised
from common.text import _
from device_servers.control_areas import Area
from device_servers.services.control.table import TABLE, Event, State

ANSWER_S = 300.0
"""A request or an offer is forgotten after so long without an answer."""
SHORTEST_REASON, LONGEST_REASON = 5, 200


@dataclass(frozen=True)
class Person:
    """Who asks. expires: when the log-in ends, s since the epoch. bound: the client process (host, pid,
    start) with which control ends; empty: it does not depend on one.
    """

    user: str
    roles: frozenset[str]
    expires: float
    bound: tuple[str, int, str] | tuple[()] = ()


@dataclass(frozen=True)
class Place:
    """Control of one area: who has it since when, last wrote when, and who asks for it or is offered it.

    Times in s since the epoch.
    """

    holder: Person | None = None
    since: float = 0.0
    active: float = 0.0
    asker: Person | None = None
    offered: str = ""
    pending_since: float = 0.0

    @property
    def state(self) -> State:
        """Where it stands."""
        if self.holder is None:
            return State.FREE
        if self.asker is not None:
            return State.ASKED
        return State.OFFERED if self.offered else State.HELD


@dataclass(frozen=True)
class Asked:
    """What somebody does to an area at a time. to: to whom it is offered. treated: rooms under treatment."""

    event: Event
    by: Person
    now: float
    to: str = ""
    reason: str = ""
    treated: AbstractSet[str] = frozenset()


def until(area: Area, place: Place, treated: AbstractSet[str] = frozenset()) -> float:
    """When control of an area ends by itself (s since the epoch): no write, or the log-in is over.

    While a room of it is under treatment, waiting is no idleness.
    """
    if place.holder is None:
        return 0.0
    idle = float("inf") if treated & set(area.rooms) else place.active + area.idle_s
    return min(place.holder.expires, idle)


def act(area: Area, place: Place, asked: Asked) -> Place:
    """What an area becomes by what a person does. Raises Refused or Unauthorised."""
    if asked.by.expires <= asked.now:
        raise Unauthorised(_("this log-in is over; log in again"))
    event = asked.event
    if place.holder is not None and event is Event.REQUEST and place.holder.user == asked.by.user:
        _require_rank(area, asked.by)
        return replace(place, holder=asked.by, active=asked.now)  # again, under a newer log-in
    if event is Event.REQUEST and place.state is State.OFFERED and place.offered == asked.by.user:
        event = Event.ACCEPT
    after = TABLE[place.state].get(event)
    if after is None:
        raise Refused(_impossible(area, place, event))
    made = _RULES[event](area, place, asked)
    assert made.state is after, (place, asked, made)
    return made


def _request(area: Area, place: Place, asked: Asked) -> Place:
    _require_rank(area, asked.by)
    if place.holder is not None:
        return replace(place, asker=asked.by, pending_since=asked.now)
    if _disturbs(area, asked.by, asked.treated):
        treating = sorted(asked.treated & set(area.rooms))
        text = _("{room} is under treatment: control of {area} is for {allowed} until it ends")
        allowed = ", ".join(sorted(MAY_WRITE["treatment"]))
        raise Refused(text.format(room=", ".join(treating), area=area.name, allowed=allowed))
    return _given(asked.by, asked.now)


def _offer(area: Area, place: Place, asked: Asked) -> Place:
    _require_holder(area, place, asked)
    if asked.to == asked.by.user:
        raise Refused(_("you have control of {area} already").format(area=area.name))
    if place.asker is not None:
        if asked.to not in ("", place.asker.user):
            text = _("{user} has asked for {area}: offer it to {user}, or decline first")
            raise Refused(text.format(user=place.asker.user, area=area.name))
        return _given(place.asker, asked.now)
    if not asked.to:
        raise Refused(_("nobody has asked for {area}; say to whom it is offered").format(area=area.name))
    return replace(place, offered=asked.to, pending_since=asked.now, active=asked.now)


def _accept(area: Area, place: Place, asked: Asked) -> Place:
    if asked.by.user != place.offered:
        raise Unauthorised(
            _("{area} is offered to {user}; only {user} can accept").format(
                area=area.name, user=place.offered
            )
        )
    _require_rank(area, asked.by)
    return _given(asked.by, asked.now)


def _decline(area: Area, place: Place, asked: Asked) -> Place:
    other = place.asker.user if place.asker else place.offered
    assert place.holder is not None
    if asked.by.user not in (place.holder.user, other):
        text = _("{area}: {holder} and {other} have to settle this")
        raise Unauthorised(text.format(area=area.name, holder=place.holder.user, other=other))
    return replace(place, asker=None, offered="", pending_since=0.0)


def _release(area: Area, place: Place, asked: Asked) -> Place:
    _require_holder(area, place, asked)
    return _passed_on(place, asked.now)


def _take(area: Area, place: Place, asked: Asked) -> Place:
    assert place.holder is not None
    _require_rank(area, asked.by)
    if asked.by.user == place.holder.user:
        raise Refused(_("you have control of {area} already").format(area=area.name))
    if area.rank(asked.by.roles) <= area.rank(place.holder.roles):
        text = _(
            "{user} has control of {area} and is not of a lower rank; ask: `ptcs control request {area}`"
        )
        raise Unauthorised(text.format(user=place.holder.user, area=area.name))
    _require_quiet(area, asked)
    _require_reason(asked)
    return _given(asked.by, asked.now)


def may_rule(area: Area, asked: Asked) -> None:
    """Whether somebody may say that control of an area is required, or not. Raises Refused, Unauthorised."""
    highest = max(area.ranks.values())
    if area.rank(asked.by.roles) < highest:
        roles = ", ".join(sorted(role for role, rank in area.ranks.items() if rank == highest))
        raise Unauthorised(
            _("whether control of {area} is required is for: {roles}").format(area=area.name, roles=roles)
        )
    _require_quiet(area, asked)
    _require_reason(asked)


_RULES: dict[Event, Callable[[Area, Place, Asked], Place]] = {
    Event.REQUEST: _request,
    Event.OFFER: _offer,
    Event.ACCEPT: _accept,
    Event.DECLINE: _decline,
    Event.RELEASE: _release,
    Event.TAKE: _take,
}


def lapse(
    area: Area,
    place: Place,
    now: float,
    gone: Callable[[Person], bool],
    treated: AbstractSet[str] = frozenset(),
) -> tuple[Place, Event | None, str]:
    """What time does to an area: the place after it, the event (None: nothing), and why.

    gone: whether a person's log-in was ended, or the process that control was bound to has.
    """
    if place.holder is not None:
        why = _why_lapsed(area, place, now, gone, treated)
        if why:
            asker = place.asker
            if asker is not None and (gone(asker) or asker.expires <= now or _disturbs(area, asker, treated)):
                place = replace(place, asker=None)
            return _passed_on(place, now), Event.LAPSE, why
    pending = place.asker is not None or place.offered
    if pending and now - place.pending_since >= ANSWER_S:
        return replace(place, asker=None, offered="", pending_since=0.0), Event.FORGET, _("no answer")
    if place.asker is not None and (gone(place.asker) or place.asker.expires <= now):
        return replace(place, asker=None, pending_since=0.0), Event.FORGET, _("whoever asked has left")
    return place, None, ""


def _why_lapsed(
    area: Area, place: Place, now: float, gone: Callable[[Person], bool], treated: AbstractSet[str]
) -> str:
    assert place.holder is not None
    if place.holder.expires <= now:
        return _("the log-in is over")
    if gone(place.holder):
        return _("logged out, or the program has ended")
    if until(area, place, treated) <= now:
        return _("nothing was written for {minutes:g} minutes").format(minutes=area.idle_s / 60)
    return ""


def _disturbs(area: Area, who: Person, treated: AbstractSet[str]) -> bool:
    """Whether a room of the area is under treatment and somebody does not treat."""
    return bool(treated & set(area.rooms)) and not who.roles & MAY_WRITE["treatment"]


def _given(to: Person, now: float) -> Place:
    return Place(holder=to, since=now, active=now)


def _passed_on(place: Place, now: float) -> Place:
    """Control given up: whoever has asked gets it, else nobody."""
    return Place() if place.asker is None else _given(place.asker, now)


def _require_rank(area: Area, by: Person) -> None:
    if not area.rank(by.roles):
        text = _("control of {area} is for: {roles}")
        raise Unauthorised(text.format(area=area.name, roles=", ".join(sorted(area.ranks))))


def _require_quiet(area: Area, asked: Asked) -> None:
    if treating := sorted(asked.treated & set(area.rooms)):
        text = _("{room} is under treatment: control of {area} is not taken until it ends")
        raise Refused(text.format(room=", ".join(treating), area=area.name))


def _require_reason(asked: Asked) -> None:
    if not SHORTEST_REASON <= len(" ".join(asked.reason.split())) <= LONGEST_REASON:
        raise Refused(_("say why, in 5 to 200 characters: who had control will read it"))


def _require_holder(area: Area, place: Place, asked: Asked) -> None:
    assert place.holder is not None
    if place.holder.user != asked.by.user:
        text = _("{user} has control of {area}, not you; `ptcs control request {area}` asks for it")
        raise Unauthorised(text.format(user=place.holder.user, area=area.name))


def _impossible(area: Area, place: Place, event: Event) -> str:
    if place.holder is None:
        return _("nobody has control of {area}; `ptcs control request {area}` gives it").format(
            area=area.name
        )
    if place.asker is not None and event is Event.REQUEST:
        text = _("{user} has asked for {area} before; wait for the answer")
        return text.format(user=place.asker.user, area=area.name)
    if place.offered:
        return _("{area} is offered to {user}; accept or decline first").format(
            area=area.name, user=place.offered
        )
    return _("there is no offer or request for {area}").format(area=area.name)
