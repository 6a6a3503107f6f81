"""Who may acknowledge which alarm: by where its rule stands in the tree of areas."""

from collections.abc import Collection, Mapping, Sequence

from common.authority import MAY_WRITE, Identity
from common.text import _

EVERYWHERE = MAY_WRITE["services"]
"""Roles for which every alarm may be acknowledged, shelved and taken out of service."""
ROOM = "room"
MAY_ACKNOWLEDGE: Mapping[str, frozenset[str]] = {
    ROOM: frozenset({"therapist", "physician"}),
}
"""Kind of place -> roles that may acknowledge alarms there, besides those of EVERYWHERE.

`room`: the rule's area is a treatment room of the site, or lies below it. They acknowledge what they see and
deal with at the patient; to put an alarm aside stays with those who answer for the machine.
"""


def kind_of(area: str, rooms: Collection[str]) -> str:
    """The kind of place of a rule's area; "" for one that has no row in the table."""
    return ROOM if area.split("/", 1)[0] in rooms else ""


def who_acknowledges(area: str, rooms: Collection[str]) -> frozenset[str]:
    """Roles that may acknowledge an alarm whose rule stands in this area."""
    return EVERYWHERE | MAY_ACKNOWLEDGE.get(kind_of(area, rooms), frozenset())


def not_allowed(
    who: Identity, names: Sequence[str], areas: Mapping[str, str], rooms: Collection[str]
) -> dict[str, str]:
    """Names that somebody may not acknowledge, and why. areas: of the rules; a name without one is left."""
    why = {}
    for name in names:
        roles = who_acknowledges(areas[name], rooms) if name in areas else EVERYWHERE | who.roles
        if not roles & who.roles:
            text = _("{user} may not acknowledge {name}: allowed are {roles}")
            why[name] = text.format(user=who.user, name=name, roles=", ".join(sorted(roles)))
    return why
