"""What people did with alarms, from the history of the AlarmServer: one entry an act, however many alarms."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from common.text import saying
from device_servers.services.logbook.entry import LONGEST_TEXT, LONGEST_WORD

KIND = "alarm"
BACK_S = 86400.0
"""A logbook without such an entry looks so far back."""
MOST_ROWS = 5000
MOST_NAMES = 50
LONGEST_NAME = 120
"""So much of an alarm's name stands in a title."""
WORDS: Mapping[str, str] = {
    "ACK": "acknowledged",
    "SHELVE": "shelved",
    "UNSHELVE": "taken off the shelf",
    "DISABLE": "taken out of service",
    "ENABLE": "put back into service",
}
"""Event of the history -> what was done."""

Row = Mapping[str, Any]
Ask = Callable[[str], str]
"""The command History of an AlarmServer."""


def entries(ask: Ask, device: str, last: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Entries for the acts since the last one, oldest first. last: the latest such entry, None for none.

    Raises what `ask` raises; KeyError, ValueError for an answer that is none.
    """
    since = time.time() - BACK_S if last is None else float(last["key"].split(":")[1])
    rows = json.loads(ask(json.dumps({"from": since, "most": MOST_ROWS})))
    return [_entry(device, act) for act in acts(rows) if act[0]["time"] > since]


def acts(rows: Iterable[Row]) -> list[Sequence[Row]]:
    """Rows of history (newest first) that belong to one act of one person each, oldest act first."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["event"] in WORDS and row["user"]:
            key = (float(row["time"]), str(row["event"]), str(row["user"]), str(row["note"]))
            found.setdefault(key, []).append(row)
    return [found[key] for key in sorted(found)]


def _entry(device: str, act: Sequence[Row]) -> dict[str, Any]:
    row, names = act[0], sorted(row["name"] for row in act)
    word = saying(WORDS[row["event"]])
    title = saying("alarm {name} {word}", name=names[0][:LONGEST_NAME], word=word)
    if len(names) > 1:
        title = saying("{count} alarms {word}", count=len(names), word=word)
    text: Any = "\n".join([str(row["note"]), "", *names[:MOST_NAMES]] if row["note"] else names[:MOST_NAMES])
    text = text[: LONGEST_TEXT - LONGEST_NAME]
    if len(names) > MOST_NAMES:
        text = saying("{names}\nand {count} more", names=text, count=len(names) - MOST_NAMES)
    key = f"act:{float(row['time'])!r}:{row['user']}:{row['event']}"[:LONGEST_WORD]
    words = {"kind": KIND, "title": title, "text": text}
    return {**words, "about": [device], "key": key, "user": str(row["user"])}
