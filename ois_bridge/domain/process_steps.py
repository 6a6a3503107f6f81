"""What a step of a process asks of a person, and how a drawing of steps is judged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from common.text import language
from ois_bridge.domain.words import N_


class Deed(StrEnum):
    """What is done in a step: something outside the OIS, a check, or something with a form."""

    DO = "do"
    CHECK = "check"
    FILL = "fill"
    SIGN = "sign"
    DECIDE = "decide"


DEED: Mapping[str, str] = {
    Deed.DO: N_("do it and say so"),
    Deed.CHECK: N_("check and decide"),
    Deed.FILL: N_("fill a form and submit it"),
    Deed.SIGN: N_("fill a form and sign it"),
    Deed.DECIDE: N_("decide on a submitted form"),
}

OUTCOME: Mapping[str, str] = {
    "done": N_("done"),
    "agree": N_("agree"),
    "refuse": N_("refuse"),
    "again": N_("once more"),
    "finish": N_("finish"),
    "withdraw": N_("withdraw"),
}
"""Outcome of a step -> its text."""

OUTCOMES: Mapping[Deed, tuple[str, ...]] = {
    Deed.DO: ("done",),
    Deed.CHECK: ("agree", "refuse"),
    Deed.FILL: ("done",),
    Deed.SIGN: ("agree",),
    Deed.DECIDE: ("agree", "refuse"),
}
"""Outcomes of a deed, the one that goes on first."""


class Happening(StrEnum):
    """What happens to a course outside its process, and may end a step of it."""

    BOOKED = "booked"
    DELIVERED = "delivered"
    REVIEWED = "reviewed"


HAPPENING: Mapping[str, str] = {
    Happening.BOOKED: N_("every fraction has its appointment"),
    Happening.DELIVERED: N_("the last fraction is delivered"),
    Happening.REVIEWED: N_("a weekly review is signed"),
}

BEGINS = "course"
"""What a start event may wait for: a course is made."""
START_NAMES = frozenset({"technique", "source", "diagnosis", "physician"})
"""What the condition of a start event may ask of a new course."""

WITH_FORM = frozenset({Deed.FILL, Deed.SIGN, Deed.DECIDE})


@dataclass(frozen=True)
class Step:
    """One step of a process. `due_hours`: 0 for none. `assign`: given to one physicist by rule.

    other_than: a step whose doer may not do this one (four eyes). same_as: a step whose doer gets this one.
    done_on: what ends it without a click.
    """

    name: str
    title_en: str
    title_zh: str
    role: str
    deed: Deed
    form: str = ""
    due_hours: float = 0.0
    assign: bool = False
    other_than: str = ""
    same_as: str = ""
    signed: bool = False
    extra_outcomes: tuple[str, ...] = ()
    done_on: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """In the language in force."""
        return (self.title_zh if language() == "zh" else self.title_en) or self.title_en or self.name

    @property
    def outcomes(self) -> tuple[str, ...]:
        """How it may end, the one that goes on first."""
        return self.extra_outcomes or OUTCOMES[self.deed]


@dataclass(frozen=True)
class Flow:
    """An arrow of the drawing. `condition`: an expression over `outcome`; `default`: taken otherwise."""

    source: str
    target: str
    condition: str = ""
    default: bool = False


@dataclass(frozen=True)
class Node:
    """A box of the drawing: start, end, step, exclusive (one way on), parallel (all ways on)."""

    name: str
    kind: str
    title: str = ""


@dataclass(frozen=True)
class Drawing:
    """A process as drawn. `process_id`: its name in the file.

    `begins`: "course" when it begins with each new course that `when` (an expression) holds for.
    """

    process_id: str
    nodes: Mapping[str, Node]
    flows: Sequence[Flow]
    steps: Mapping[str, Step] = field(default_factory=dict)
    begins: str = ""
    when: str = ""

    def step(self, name: str) -> Step:
        """A step by its name. Raises KeyError."""
        return self.steps[name]

    def following(self, name: str) -> list[str]:
        """Names of the boxes after a box."""
        return [flow.target for flow in self.flows if flow.source == name]

    def reached(self, begin: Iterable[str], back: bool = False) -> set[str]:
        """Every box that arrows lead to from `begin`, or from which they lead to it; `begin` included."""
        found, waiting = set(begin), list(begin)
        while waiting:
            here = waiting.pop()
            for flow in self.flows:
                one, two = (flow.target, flow.source) if back else (flow.source, flow.target)
                if one == here and two not in found:
                    found.add(two)
                    waiting.append(two)
        return found
