"""What an alarm rule is."""

import math
from dataclasses import dataclass, field

from common.errors import BadConfig
from device_servers.services.alarms.expression import NUMBER, Node, kind_of, parse, parse_truth
from device_servers.services.alarms.severity import Severity, Status

LOLO, LOW, HIGH, HIHI = range(4)
LEVEL_STATUS = (Status.LOLO, Status.LOW, Status.HIGH, Status.HIHI)
LEVEL_SEVERITY = (Severity.MAJOR, Severity.MINOR, Severity.MINOR, Severity.MAJOR)
NEVER = (-math.inf, -math.inf, math.inf, math.inf)


@dataclass(frozen=True)
class Words:
    """A text in both languages."""

    en: str = ""
    zh: str = ""

    def row(self) -> dict[str, str]:
        """As JSON values."""
        return {"en": self.en, "zh": self.zh or self.en}


@dataclass(frozen=True)
class Delays:
    """How long, in s, a condition must last before it counts: bad, good again, and unknown."""

    active: float = 0.0
    clear: float = 0.0
    unknown: float = 0.0


@dataclass(frozen=True)
class Rule:
    """One alarm. `value` is its expression: a number against `levels`, or a truth against `severity`.

    levels: lolo, low, high, hihi; the value alarms beyond them (infinite: never) and stops alarming
    `hysteresis` inside of them. latch: it stays until acknowledged though its condition is gone.
    group: alarms of one group are marked in the order in which they came. inhibit: while this
    expression is true the alarm is suppressed. area: its place in the tree, parts between slashes.
    """

    name: str
    value: Node
    inhibit: Node | None = None
    levels: tuple[float, float, float, float] = NEVER
    severities: tuple[Severity, Severity, Severity, Severity] = LEVEL_SEVERITY
    status: tuple[Status, Status, Status, Status] = LEVEL_STATUS
    hysteresis: float = 0.0
    delays: Delays = field(default_factory=Delays)
    latch: bool = True
    group: str = ""
    priority: int = 2
    area: str = ""
    text: Words = field(default_factory=Words)
    guidance: Words = field(default_factory=Words)
    source: str = ""
    """What was written: the expression, for people."""
    inhibit_source: str = ""


def truth_rule(name: str, when: str, severity: Severity, status: Status, **rest: object) -> Rule:
    """A rule that alarms while an expression is true. Raises BadConfig."""
    node = parse_truth(when)
    return Rule(
        name,
        node,
        levels=(-math.inf, -math.inf, math.inf, 0.5),
        severities=(severity,) * 4,
        status=(status,) * 4,
        source=when,
        **rest,  # type: ignore[arg-type]
    )


def level_rule(name: str, value: str, levels: tuple[float, float, float, float], **rest: object) -> Rule:
    """A rule that alarms while a number is beyond its levels. Raises BadConfig."""
    node = parse(value)
    if kind_of(node) != NUMBER:
        raise BadConfig(f"{name}: levels need a number; {value!r} is a comparison: write it as `when`")
    finite = [level for level in levels if math.isfinite(level)]
    if not finite or sorted(finite) != finite:
        raise BadConfig(f"{name}: levels must rise from lolo to hihi, at least one given")
    return Rule(name, node, levels=levels, source=value, **rest)  # type: ignore[arg-type]
