"""When an alarm is said aloud: the worst that nobody has acknowledged, again and again until somebody has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from common.text import translate
from device_servers.services.alarms.severity import Severity

MOST_SPOKEN = 3
"""Alarms named in one announcement; a flood is announced by its number."""


class Annunciator(Protocol):
    """Makes itself heard. `announce` may take as long as it speaks; raises LinkLost when it cannot."""

    def announce(self, severity: Severity, text: str, language: str) -> None:
        """Sound of a severity, then a text in a language (en, zh)."""


@dataclass
class Recording:
    """An annunciator that only remembers what it was given."""

    heard: list[tuple[Severity, str, str]] = field(default_factory=list)

    def announce(self, severity: Severity, text: str, language: str) -> None:
        """Remember."""
        self.heard.append((severity, text, language))


@dataclass(frozen=True)
class Manner:
    """How alarms are announced. least: what is worth a sound; repeat: s between announcements."""

    voice: bool = False
    languages: tuple[str, ...] = ("en",)
    least: Severity = Severity.MAJOR
    repeat: float = 15.0


@dataclass(frozen=True)
class Waiting:
    """An unacknowledged alarm. serial: another occurrence has another one."""

    name: str
    serial: int
    severity: Severity
    texts: dict[str, str]


@dataclass
class Announcer:
    """Decides when to speak and what to say. Times are monotonic seconds."""

    manner: Manner
    quiet_until: float = 0.0
    _said: frozenset[tuple[str, int]] = frozenset()
    _last: float = -1e18

    def silence(self, now: float, seconds: float) -> None:
        """Say nothing for some time; new alarms are silent too."""
        self.quiet_until = now + seconds

    def next(self, now: float, waiting: Sequence[Waiting]) -> tuple[Severity, dict[str, str]] | None:
        """What to say now, a text a language; None for nothing. `waiting`: worst first."""
        loud = [alarm for alarm in waiting if alarm.severity >= self.manner.least]
        marks = frozenset((alarm.name, alarm.serial) for alarm in loud)
        if not loud:
            self._said = frozenset()
            return None
        if now < self.quiet_until:
            return None
        fresh = [alarm for alarm in loud if (alarm.name, alarm.serial) not in self._said]
        if not fresh and now - self._last < self.manner.repeat:
            return None
        self._said, self._last = marks, now
        return loud[0].severity, {code: _spoken(fresh or loud, code) for code in self.manner.languages}


def _spoken(alarms: Sequence[Waiting], code: str) -> str:
    texts = [alarm.texts.get(code) or alarm.name for alarm in alarms[:MOST_SPOKEN]]
    if len(alarms) > MOST_SPOKEN:
        texts.append(translate("and {count} more", code).format(count=len(alarms) - MOST_SPOKEN))
    end = "。" if code == "zh" else ". "
    return end.join([translate(f"alarm, {alarms[0].severity.name.lower()}", code), *texts])
