"""Who gets a plan: the department's rules, as functions of numbers that are known of each physicist."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain import expression
from ois_bridge.domain.words import N_


@dataclass(frozen=True)
class Candidate:
    """One physicist. load: open tasks, each counted by its complexity; given: tasks so far of the rules;
    days_since: days since the last one (1e6: never); speciality: 1 where the disease is theirs, else 0.
    """

    user: str
    load: float
    open: int
    given: int
    days_since: float
    speciality: float
    absent: bool = False

    def numbers(self, complexity: float) -> dict[str, expression.Value]:
        """The named values that a hospital's rule may use."""
        return {
            "load": self.load,
            "open": self.open,
            "given": self.given,
            "days_since": self.days_since,
            "speciality": self.speciality,
            "complexity": complexity,
        }


@dataclass(frozen=True)
class Choice:
    """Who was chosen, and why: `rule`, and the score of everybody asked."""

    user: str
    rule: str
    scores: tuple[tuple[str, float], ...]
    absent: tuple[str, ...]


RULES: Mapping[str, str] = {
    "fewest": N_("fewest open plans, weighted by complexity"),
    "round-robin": N_("in turn"),
    "speciality": N_("by disease, then fewest open plans"),
    "hospital": N_("rule of the hospital"),
}
"""Rule -> its text."""

Score = Callable[[Candidate, float], float]
_SCORES: Mapping[str, Score] = {
    "fewest": lambda one, complexity: -(one.load + complexity),
    "round-robin": lambda one, _complexity: one.days_since,
    "speciality": lambda one, complexity: 1e6 * one.speciality - (one.load + complexity),
}


def choose(rule: str, candidates: Sequence[Candidate], complexity: float, formula: str = "") -> Choice:
    """The candidate with the highest score; equal ones by how long ago they had a plan, then by name.

    Raises Refused when nobody is there, BadInput for an unknown rule or a formula that has no number.
    """
    there = [one for one in candidates if not one.absent]
    absent = tuple(one.user for one in candidates if one.absent)
    if not there:
        raise Refused(_("No physicist is there to take a plan; end an absence or add a physicist."))
    score = _score(rule, formula)
    scores = {one.user: score(one, complexity) for one in there}
    best = min(there, key=lambda one: (-scores[one.user], -one.days_since, one.user))
    return Choice(best.user, rule, tuple(sorted(scores.items())), absent)


def check_formula(formula: str) -> None:
    """Raise BadInput unless a hospital's rule can be read and gives a number, also for somebody who has no
    work yet.
    """
    for one in (Candidate("", 1.0, 1, 1, 1.0, 1.0), Candidate("", 0.0, 0, 0, 0.0, 0.0)):
        _score("hospital", formula)(one, 1.0)


def _score(rule: str, formula: str) -> Score:
    if rule in _SCORES:
        return _SCORES[rule]
    if rule != "hospital":
        raise BadInput(_("Rule “{rule}”: allowed are {all}.").format(rule=rule, all=", ".join(RULES)))

    def by_formula(one: Candidate, complexity: float) -> float:
        value = expression.evaluate(formula, one.numbers(complexity))
        if isinstance(value, str):
            raise BadInput(_("A rule that gives plans to physicists must give a number."))
        return float(value)

    return by_formula
