"""What the settings panel shows, worked out from the SettingsServer's answers. No Qt, no Tango."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from common.text import _, language
from gui.theme import AMBER, BLUE, GREEN, GREY, RED, Mark

FAR = 10.0
"""So many tolerances apart is far."""
BAR = 8
UNKNOWN, FAR_MARK, NEAR_MARK, OTHER = Mark("?", GREY), Mark("✘", RED), Mark("▲", AMBER), Mark("≠", RED)
VERDICTS = {"write": Mark("✔", GREEN), "refused": Mark("✘", RED), "left": Mark("–", GREY)}
STATES = {
    "RUNNING": Mark("◔", BLUE),
    "DONE": Mark("✔", GREEN),
    "FAILED": Mark("✘", RED),
    "STOPPED": Mark("■", AMBER),
    "INTERRUPTED": Mark("✘", RED),
    "ROLLED_BACK": Mark("↶", GREY),
}
Texts = tuple[str, ...]


def title(words: Mapping[str, str]) -> str:
    """A title in the language in force."""
    return words.get(language()) or words.get("en", "")


def when(seconds: float) -> str:
    """A moment (s since 1970) in local time."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def said(value: Any, why: str = "") -> str:
    """A value as people read it; why it is not known."""
    if value is None:
        return f"? {why}".strip()
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        shown = ", ".join(said(part) for part in value[:6])
        return f"[{shown}{', …' if len(value) > 6 else ''}]"
    return str(value)


def snapshot_heads() -> Texts:
    """Heads of the list of snapshots."""
    return ("", _("date and time"), _("configuration"), _("user"), _("comment"), _("tags"), _("snapshot"))


def snapshot_texts(row: Mapping[str, Any]) -> Texts:
    """A snapshot as texts."""
    star = "★" if row["golden"] else ""
    tags = " ".join(row["tags"])
    words = (row["configuration"], row["user"], row["comment"], tags, row["id"])
    return (star, when(row["started"]), *words)


def side_title(name: str) -> str:
    """What stands above a side of a comparison: when its snapshot was taken (its id says so), or now."""
    if name == "live":
        return _("now")
    try:
        return when(datetime.strptime(name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return name


def difference_heads(left: str, right: str) -> Texts:
    """Heads of a comparison of two sides."""
    return ("", _("attribute"), left, right, _("how far, in tolerances"), _("tolerance"))


def difference_mark(row: Mapping[str, Any]) -> Mark:
    """How bad a difference is: unknown, another type, far, near."""
    if row["kind"] == "unknown":
        return UNKNOWN
    if row["kind"] == "type":
        return OTHER
    return FAR_MARK if row["apart"] is None or row["apart"] >= FAR else NEAR_MARK


def difference_texts(row: Mapping[str, Any]) -> Texts:
    """A difference as texts: sign, name, both sides, a bar and a number, the tolerance."""
    mark = difference_mark(row)
    sides = [said(row[side], row.get(f"{side}_why", "")) for side in ("left", "right")]
    tolerance = f"± {row['tolerance']:.4g}" if row["tolerance"] else "="
    return (mark.symbol, row["name"], *sides, how_far(row), tolerance)


def how_far(row: Mapping[str, Any]) -> str:
    """A bar that is full at ten tolerances, and the number; words where there is none."""
    if row["kind"] == "unknown":
        return _("not known on one side")
    if row["kind"] == "type":
        return _("another type")
    if row["apart"] is None:
        return _("must be equal")
    full = min(max(round(BAR * row["apart"] / FAR), 1), BAR)
    number = f"{row['apart']:.1f}" if row["apart"] < 100.0 else f"{row['apart']:.0f}"
    return f"{'█' * full}{'·' * (BAR - full)}  {number}×"


def comparison_line(told: Mapping[str, Any]) -> str:
    """A comparison in one line."""
    rows = told["differences"]
    if not rows and not told["unknown"]:
        text = _("✔ no difference: all {same} attributes are within their tolerances")
        return text.format(same=told["same"])
    text = _("{differ} differ, {same} within their tolerances, {unknown} known to neither side")
    return text.format(differ=len(rows), same=told["same"], unknown=len(told["unknown"]))


def step_heads() -> Texts:
    """Heads of a dry run."""
    return ("", _("group"), _("attribute"), _("now"), _("wanted"), _("why not"))


def step_texts(step: Mapping[str, Any]) -> Texts:
    """A row of a dry run as texts."""
    mark = VERDICTS[step["verdict"]]
    return (mark.symbol, step["group"], step["name"], said(step["now"]), said(step["wanted"]), step["why"])


def counts(plan: Mapping[str, Any]) -> dict[str, int]:
    """How many rows of a dry run have each verdict."""
    steps: Sequence[Mapping[str, Any]] = plan["steps"]
    return {verdict: sum(step["verdict"] == verdict for step in steps) for verdict in VERDICTS}


def plan_line(plan: Mapping[str, Any]) -> str:
    """A dry run in one line."""
    text = _(
        "{write} to write, {refused} cannot be written, {left} are left; {same} stand as in the snapshot"
    )
    return text.format(same=plan["same"], **counts(plan))


def restore_heads() -> Texts:
    """Heads of the list of restores."""
    return (
        "",
        _("date and time"),
        _("state"),
        _("to write"),
        _("user"),
        _("snapshot"),
        _("comment"),
        _("id"),
    )


def restore_texts(row: Mapping[str, Any]) -> Texts:
    """A restore as texts."""
    mark = STATES.get(row["state"], OTHER)
    word = _("rollback") if row.get("rollback_of") else ""
    comment = " ".join(part for part in (word, row.get("comment", "")) if part)
    state = f"{mark.symbol} {_(row['state'])}"
    return (
        mark.symbol,
        when(row["started"]),
        state,
        str(row["writes"]),
        row["user"],
        row["snapshot"],
        comment,
        row["id"],
    )
