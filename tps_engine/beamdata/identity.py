"""Which physics data this is: the hash of a file's content, its approval, differences between two files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import Tampered
from common.text import _


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256, hex, of a file's content without its approval: sorted JSON, so that layout does not count.

    Numbers are hashed as written: 1 and 1.0 differ.
    """
    rest = {key: value for key, value in content.items() if key != "approved"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check_approval(path: Path, content: Mapping[str, Any]) -> None:
    """Raise Tampered when the approval in a file is of another content. A file without one passes."""
    approved = content.get("approved")
    if approved is not None and approved["hash"] != digest(content):
        raise Tampered(
            _(
                "{file}: its content is not what {name} approved on {date}; take the approved file, "
                "or remove the record and have it approved again"
            ).format(file=path.name, name=approved["name"], date=approved["date"])
        )


def with_approval(content: Mapping[str, Any], name: str, date: str) -> dict[str, Any]:
    """The content with an approval of it. date: YYYY-MM-DD."""
    rest = {key: value for key, value in content.items() if key != "approved"}
    return {**rest, "approved": {"name": name, "date": date, "hash": digest(rest)}}


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(key, first, second) of every entry outside the energy tables that differs; "" where one lacks it."""
    left, right = _flat(first), _flat(second)
    return [
        (key, left.get(key, ""), right.get(key, ""))
        for key in sorted({*left, *right})
        if left.get(key) != right.get(key)
    ]


def _flat(content: Mapping[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in content.items():
        place = f"{above}{key}"
        if place in ("energies", "second_gaussian"):
            continue
        if isinstance(value, Mapping):
            found |= _flat(value, f"{place}.")
        else:
            found[place] = str(value)
    return found
