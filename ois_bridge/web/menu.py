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
    Entry("/reviews", N_("Reviews"), Action.REVIEW_PATIENT),
    Entry("/tasks", N_("To do"), Action.READ_TASKS),
    Entry("/board", N_("Whiteboard"), Action.READ_TASKS),
    Entry("/assignment", N_("Plan assignment"), Action.ASSIGN_TASKS),
    Entry("/appointments", N_("Appointments"), Action.READ_APPOINTMENTS),
    Entry("/appointments/calendar", N_("Holidays and hours"), Action.EDIT_CALENDAR),
    Entry("/devices", N_("Devices"), Action.READ_DEVICES),
    Entry("/processes", N_("Processes and forms"), Action.DESIGN),
    Entry("/accounts", N_("Accounts"), Action.MANAGE_ACCOUNTS),
    Entry("/queue", N_("Queue"), Action.READ_QUEUE),
    Entry("/screens", N_("Screens"), Action.MANAGE_SCREENS),
    Entry("/outbox", N_("Messages"), Action.MANAGE_OUTBOX),
)


def entries(user: WebUser) -> list[Entry]:
    """The rows that a user may enter."""
    return [entry for entry in MENU if user.caller.may(entry.action)]


START: Sequence[tuple[str, str]] = (
    ("physician", "/tasks"),
    ("physicist", "/tasks"),
    ("therapist", "/queue"),
    ("receptionist", "/patients"),
    ("administrator", "/accounts"),
)
"""Role -> workplace that it begins with; the first that fits."""


def start(user: WebUser) -> str:
    """Where a user begins: the workplace of the role, else the first of the menu, else the own account."""
    mine = [entry.path for entry in entries(user)]
    wished = [path for role, path in START if role in user.caller.roles and path in mine]
    return (wished or mine or ["/account"])[0]
