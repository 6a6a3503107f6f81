"""What the alarm panel shows, worked out from the alarm server's answers. No Qt, no Tango."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from common.text import _, language
from gui.theme import AMBER, BLUE, GREEN, GREY, RED, Mark

VIOLET = "#c58fff"
MARKS = {
    "INVALID": Mark("?", VIOLET),
    "MAJOR": Mark("✘", RED),
    "MINOR": Mark("▲", AMBER),
    "NO_ALARM": Mark("✔", GREEN),
}
"""A severity is a sign and a word; colour only repeats it."""
STATES = {
    "UNACKED": Mark("●", RED),
    "LATCHED": Mark("◐", AMBER),
    "ACKED": Mark("○", GREY),
    "SHELVED": Mark("▽", BLUE),
    "SUPPRESSED": Mark("—", GREY),
    "DISABLED": Mark("⊘", GREY),
}
WORST = {name: place for place, name in enumerate(MARKS)}
STANDING = ("UNACKED", "LATCHED", "ACKED")
WAITING = ("UNACKED", "LATCHED")
COLUMNS = ("severity", "state", "alarm", "age", "value", "text", "by")


def titles() -> tuple[str, ...]:
    """Heads of the columns."""
    return (_("severity"), _("state"), _("alarm"), _("age"), _("value"), _("text"), _("by"))


def words(row: Mapping[str, str]) -> str:
    """A text in the language in force."""
    return row.get(language()) or row.get("en", "")


def age(seconds: float) -> str:
    """A length for people."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


@dataclass
class AlarmView:
    """The alarms as the latest answers have them; `linked` is whether they are still true."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: int = 0
    linked: bool = False
    area: str = ""
    filter: str = ""
    aside: bool = False
    """Whether shelved, suppressed and disabled alarms are shown too."""

    def take(self, told: Mapping[str, Any] | None) -> None:
        """An answer of ActiveSince; None when there was none: what was there is shown as old."""
        self.linked = told is not None
        if told is None:
            return
        if told["all"]:
            self.rows.clear()
        for row in told["rows"]:
            self.rows[row["name"]] = row
        for name in told["gone"]:
            self.rows.pop(name, None)
        self.changes = int(told["changes"])

    def shown(self) -> list[dict[str, Any]]:
        """Rows to show: first who waits for somebody, the worst, active before gone, urgent, new."""
        return sorted(filter(self._chosen, self.rows.values()), key=_order)

    def banner(self) -> tuple[str, Mark]:
        """The one line: nothing, or how many and how bad; a lost link is never shown as good."""
        if not self.linked:
            mark = MARKS["INVALID"]
            return f"{mark.symbol}  {_('no link to the alarm server: what is shown may be old')}", mark
        standing = [row for row in self.rows.values() if row["state"] in STANDING]
        if not standing:
            mark = MARKS["NO_ALARM"]
            return f"{mark.symbol}  {_('no alarm')}{self._others(standing)}", mark
        waiting = sum(row["state"] in WAITING for row in standing)
        mark = MARKS[min((row["severity"] for row in standing), key=WORST.__getitem__)]
        text = _("{count} alarms, {unacked} not acknowledged").format(count=len(standing), unacked=waiting)
        return f"{mark.symbol}  {text}{self._others(standing)}", mark

    def cells(self, row: Mapping[str, Any], now: float | None = None) -> tuple[str, ...]:
        """One row as texts, in the order of COLUMNS."""
        mark, state = MARKS[row["severity"]], STATES[row["state"]]
        status = "" if row["status"] == "NO_ALARM" else row["status"]
        first = f"  ⚑ {_('first out')}" if row["first"] else ""
        value = "?" if row["value"] is None else f"{row['value']:.4g}"
        by = f"{row['user']}: {row['note']}".rstrip(": ") if row["user"] else ""
        if row["until"] is not None:
            by += f"  → {datetime.fromtimestamp(row['until']).astimezone():%m-%d %H:%M}"
        return (
            f"{mark.symbol} {_(row['severity'])}  {status}",
            f"{state.symbol} {_(row['state'])}{first}",
            row["name"],
            age((time.time() if now is None else now) - row["since"]),
            value,
            words(row["text"]),
            by,
        )

    def tree(self) -> list[tuple[str, int, int, str]]:
        """Node, alarms that stand below it, how many of them wait, worst severity; the whole is ""."""
        counts: dict[str, list[Any]] = {"": [0, 0, "NO_ALARM"]}
        for row in self.rows.values():
            if row["state"] not in STANDING:
                continue
            parts = row["area"].split("/") if row["area"] else []
            for depth in range(len(parts) + 1):
                entry = counts.setdefault("/".join(parts[:depth]), [0, 0, "NO_ALARM"])
                entry[0] += 1
                entry[1] += row["state"] in WAITING
                entry[2] = min(entry[2], row["severity"], key=WORST.__getitem__)
        return [(node, *entry) for node, entry in sorted(counts.items())]

    def waiting(self) -> list[str]:
        """Names that Acknowledge would take, among those shown."""
        return [row["name"] for row in self.shown() if row["state"] in WAITING]

    def _others(self, standing: Sequence[Mapping[str, Any]]) -> str:
        """What the count alone would hide: alarms that have gone, and those that were put aside."""
        latched = sum(row["state"] == "LATCHED" for row in standing)
        shelved = sum(row["state"] == "SHELVED" for row in self.rows.values())
        aside = len(self.rows) - len(standing) - shelved
        parts = (
            (latched, _("{count} have gone (latched)")),
            (shelved, _("{count} shelved")),
            (aside, _("{count} suppressed or out of service")),
        )
        return "".join(f"   ·   {text.format(count=count)}" for count, text in parts if count)

    def _chosen(self, row: Mapping[str, Any]) -> bool:
        if row["state"] not in STANDING and not self.aside:
            return False
        if self.area and row["area"] != self.area and not row["area"].startswith(f"{self.area}/"):
            return False
        wanted = self.filter.lower()
        return not wanted or any(wanted in part.lower() for part in (row["name"], *row["text"].values()))


def _order(row: Mapping[str, Any]) -> tuple[int, int, bool, int, float]:
    urgent = 0 if row["state"] in WAITING else 1 if row["state"] in STANDING else 2
    gone = row["state"] == "LATCHED"
    return urgent, WORST[row["severity"]], gone, row["priority"], -float(row["since"])


def detail(row: Mapping[str, Any]) -> str:
    """One alarm beside the table: since when, which was first, who said what, until when."""
    state = f"{STATES[row['state']].symbol} {_(row['state'])}"
    lines = [f"{state}   {MARKS[row['severity']].symbol} {_(row['severity'])}"]
    if row["state"] == "LATCHED":
        lines.append(_("has gone; stays until it is acknowledged"))
    lines.append(_("since {time}").format(time=_moment(row["since"])))
    if row["first"]:
        lines.append(f"⚑ {_('first out')}: {row['group']}")
    if row["until"] is not None:
        lines.append(_("comes back at {time}").format(time=_moment(row["until"])))
    if row["user"]:
        lines.append(f"{row['user']}: {row['note']}".rstrip(": "))
    return "\n".join(lines)


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def event_line(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of history as texts: time, event, severity, alarm, value, state after it, who, comment."""
    value = row["value"]
    shown = "" if value is None or not math.isfinite(value) else f"{value:.4g}"
    mark, sign = MARKS[row["severity"]], STATES.get(row["state"])
    state = f"{sign.symbol} {_(row['state'])}" if sign else f"{MARKS['NO_ALARM'].symbol} {_('normal')}"
    return (
        _moment(row["time"]),
        _(row["event"]),
        f"{mark.symbol} {_(row['severity'])}",
        row["name"],
        shown,
        state,
        row["user"],
        row["note"],
    )


def event_titles() -> Sequence[str]:
    """Heads of the history's columns."""
    return (
        _("when"),
        _("event"),
        _("severity"),
        _("alarm"),
        _("value"),
        _("state after it"),
        _("by"),
        _("comment"),
    )
