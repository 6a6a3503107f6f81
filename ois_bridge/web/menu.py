"""The main menu: one row a workplace, shown to those who may enter it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ois_bridge.domain.permissions import Action
from ois_bridge.domain.words import N_
from ois_bridge.services.accounts import WebUser


@dataclass(frozen=True)
class Entry:
    """A link of the menu. `text` is translated where it is shown."""

    path: str
    text: str
    action: Action


MENU: Sequence[Entry] = (
    Entry("/patients", N_("Patients"), Action.READ_PATIENTS),
    Entry("/accounts", N_("Accounts"), Action.MANAGE_ACCOUNTS),
    Entry("/outbox", N_("Messages"), Action.MANAGE_OUTBOX),
)


def entries(user: WebUser) -> list[Entry]:
    """The rows that a user may enter."""
    return [entry for entry in MENU if user.caller.may(entry.action)]
