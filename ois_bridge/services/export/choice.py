"""What is exported, and in what form."""

from collections.abc import Collection
from dataclasses import dataclass

from common.errors import BadInput
from common.text import LANGUAGES, _

FORMATS = ("pdf", "xlsx", "zip")
PARTS = ("forms", "schedule", "plans", "reports", "images")
"""What a package may hold beside the record itself."""


@dataclass(frozen=True)
class Choice:
    """A wish. `series`: UIDs of the series whose objects go into the package."""

    format: str
    language: str
    parts: frozenset[str]
    series: frozenset[str]


def checked(format_name: str, language: str, parts: Collection[str], series: Collection[str]) -> Choice:
    """A choice that can be carried out. Raises BadInput for an unknown format, language or part."""
    if format_name not in FORMATS:
        raise BadInput(_("Export: one of {all}.").format(all=", ".join(FORMATS)))
    if language not in LANGUAGES:
        raise BadInput(_("Language: allowed are {names}.").format(names=", ".join(LANGUAGES)))
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise BadInput(_("Export: unknown part {name}.").format(name=", ".join(sorted(unknown))[:80]))
    return Choice(format_name, language, frozenset(parts), frozenset(series))
