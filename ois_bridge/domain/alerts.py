"""What must be known wherever a patient comes: symbol, text and weight of each alert."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.words import N_


@dataclass(frozen=True)
class Alert:
    """One alert. `grave`: it changes what may be done with the patient; else it asks for care."""

    code: str
    symbol: str
    text: str
    grave: bool


ALERTS: Mapping[str, Alert] = {
    alert.code: alert
    for alert in (
        Alert("pacemaker", "♥", N_("Pacemaker or implant"), True),
        Alert("pregnancy", "⚭", N_("Pregnancy possible"), True),
        Alert("allergy", "✱", N_("Allergy"), True),
        Alert("anaesthesia", "☾", N_("Anaesthesia"), False),
        Alert("infection", "☣", N_("Infection: isolate"), True),
        Alert("fall", "▽", N_("Risk of falling"), False),
        Alert("contrast", "◪", N_("No contrast medium"), True),
        Alert("oxygen", "O₂", N_("Oxygen needed"), False),
        Alert("child", "☺", N_("Child: company needed"), False),
        Alert("language", "…", N_("Interpreter needed"), False),
    )
}
"""Alerts by code, in the order in which they are shown."""


def checked(codes: Iterable[str]) -> str:
    """The codes as they are kept. Raises BadInput for an unknown one."""
    wanted = set(codes)
    unknown = wanted - set(ALERTS)
    if unknown:
        raise BadInput(
            _("Unknown alert {codes}; known are {known}.").format(
                codes=", ".join(sorted(unknown)), known=", ".join(ALERTS)
            )
        )
    return " ".join(code for code in ALERTS if code in wanted)


def shown(kept: str) -> list[Alert]:
    """Alerts of the kept codes; a code that is no longer known is shown by its name, never dropped."""
    codes = kept.split()
    known = [alert for code, alert in ALERTS.items() if code in codes]
    return known + [Alert(code, "!", code, True) for code in codes if code not in ALERTS]
