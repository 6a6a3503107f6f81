"""What people keep of their searches: named lists, shared ones, the last ones, and their columns."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain import list_columns, rules
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.rules import Group, Rule
from ois_bridge.models.search import ListLayout, SavedSearch
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound
from ois_bridge.services.search.find import NOTHING, Query

LAST = 20
"""Searches without a name that are remembered for a user."""
MOST = 100
LONGEST = 120
QUICK: Mapping[str, tuple[str, str]] = {
    "sex": ("sex", "is"), "source": ("source", "is"), "state": ("state", "is"),
    "diagnosis": ("diagnosis", "contains"), "technique": ("technique", "is"),
    "physician": ("physician", "is"), "since": ("registered", "from"), "until": ("registered", "until"),
    "device": ("device", "is"), "visit_from": ("visit", "from"), "visit_until": ("visit", "until"),
}  # fmt: skip
"""Name of a quick filter -> field and operator."""


@dataclass(frozen=True)
class Search:
    """One search as the page shows it: the box, where it looks, quick filters, rules."""

    text: str = ""
    scope: str = "patients"
    quick: Mapping[str, str] = field(default_factory=dict)
    group: Group = NOTHING

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return not (self.text or self.quick or self.group.items)


def read(text: str, scope: str, quick: Mapping[str, str], group: object) -> Search:
    """A search as it came from a page or the database. Raises BadInput."""
    kept = {name: quick[name].strip() for name in QUICK if quick.get(name, "").strip()}
    found = rules.read(group) if group else NOTHING
    if len(text) > LONGEST or not all(character.isprintable() or character.isspace() for character in text):
        raise BadInput(_("Search: at most {n} characters that can be shown are taken.").format(n=LONGEST))
    search = Search(text.strip(), "forms" if scope == "forms" else "patients", kept, found)
    query_of(search)
    return search


def query_of(search: Search) -> Query:
    """The search as one query: text, quick filters and rules must all hold. Raises BadInput."""
    quick = [
        {"field": QUICK[name][0], "op": QUICK[name][1], "value": search.quick[name]} for name in search.quick
    ]
    chosen = rules.read({"match": "all", "rules": quick})
    items: tuple[Rule | Group, ...] = (*chosen.items, *([search.group] if search.group.items else ()))
    return Query(search.text, Group(True, items))


def remember(context: Context, caller: Caller, search: Search) -> str:
    """The key under which a search has its address: patient data never stand in one."""
    caller.check(Action.READ_PATIENTS)
    with context.database.writing() as session:
        row = SavedSearch(
            owner=caller.user, name="", shared=False, content=_written(search), made=context.now()
        )
        session.add(row)
        session.flush()
        old = (
            select(SavedSearch.key)
            .where(SavedSearch.owner == caller.user, SavedSearch.name == "")
            .order_by(SavedSearch.made.desc())
            .offset(LAST)
        )
        session.execute(delete(SavedSearch).where(SavedSearch.key.in_(session.scalars(old).all())))
    return row.key


def keep(context: Context, caller: Caller, name: str, shared: bool, search: Search) -> str:
    """Keep a search under a name, in place of the own one of that name. Raises BadInput, Refused."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80:
        raise BadInput(_("Saved list: a name of 1 to 80 characters is needed."))
    with context.permitted(caller, Action.READ_PATIENTS, name, "list saved") as session:
        own = select(SavedSearch).where(SavedSearch.owner == caller.user, SavedSearch.name != "")
        rows = {row.name: row for row in session.scalars(own)}
        row = rows.get(name)
        if row is None:
            if len(rows) >= MOST:
                raise Refused(_("Saved lists: at most {n} are kept; remove one first.").format(n=MOST))
            row = SavedSearch(owner=caller.user, name=name)
            session.add(row)
        row.shared, row.content, row.made = shared, _written(search), context.now()
        session.flush()
    return row.key


def forget(context: Context, caller: Caller, key: str) -> None:
    """Remove one's own saved list. Raises NotFound for another's."""
    with context.permitted(caller, Action.READ_PATIENTS, key, "list removed") as session:
        row = session.get(SavedSearch, key)
        if row is None or row.owner != caller.user:
            raise NotFound(_("There is no such saved list of yours."))
        session.delete(row)


def load(session: Session, caller: Caller, key: str) -> tuple[Search, SavedSearch] | None:
    """A search of one's own, or one that others share; None for another key. Raises BadInput."""
    row = session.get(SavedSearch, key) if key.isascii() and key.isalnum() else None
    if row is None or (row.owner != caller.user and not row.shared):
        return None
    content: Mapping[str, Any] = row.content
    search = read(content["text"], content["scope"], content["quick"], content["group"])
    return search, row


def lists(session: Session, caller: Caller) -> Sequence[SavedSearch]:
    """Saved lists that a user may open: own ones first."""
    query = select(SavedSearch).where(
        SavedSearch.name != "", or_(SavedSearch.owner == caller.user, SavedSearch.shared)
    )
    return sorted(session.scalars(query), key=lambda row: (row.owner != caller.user, row.name))


def columns(session: Session, caller: Caller) -> tuple[str, ...]:
    """The columns of a user's list: chosen ones or the workplace's, of those that the user may see."""
    row = session.get(ListLayout, caller.user)
    chosen = row.columns.split() if row is not None else list_columns.defaults(caller.roles)
    may = visible(caller)
    return tuple(name for name in chosen if name in may)


def visible(caller: Caller) -> list[str]:
    """Columns that a user may see."""
    actions = {column.action for column in list_columns.COLUMNS.values()}
    return list_columns.allowed(action for action in actions if caller.may(action))


def choose_columns(context: Context, caller: Caller, names: Iterable[str]) -> None:
    """Keep a user's columns; none: back to the workplace's. Raises BadInput."""
    caller.check(Action.READ_PATIENTS)
    wanted = list(names)
    with context.database.writing() as session:
        row = session.get(ListLayout, caller.user)
        if not wanted:
            if row is not None:
                session.delete(row)
            return
        text = " ".join(list_columns.checked(wanted))
        if row is None:
            session.add(ListLayout(user=caller.user, columns=text))
        else:
            row.columns = text


def _written(search: Search) -> dict[str, object]:
    content = {
        "text": search.text, "scope": search.scope, "quick": dict(search.quick),
        "group": rules.written(search.group),
    }  # fmt: skip
    return dict(json.loads(json.dumps(content)))
