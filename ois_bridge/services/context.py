"""What every use case gets: the house's means, and who calls."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from common.errors import PtcsError
from common.logs import opaque
from ois_bridge.domain import permissions
from ois_bridge.domain.causes import Titles
from ois_bridge.models import veil
from ois_bridge.models.database import Database
from ois_bridge.services.attempts import Attempts
from ois_bridge.services.audit import Audit
from ois_bridge.services.closed_records import closed_to
from ois_bridge.services.desk import Desk
from ois_bridge.services.device_watch import Watch
from ois_bridge.services.events import Hub, publish_announced
from ois_bridge.services.ports import (
    Composer,
    FeatureReader,
    FileStore,
    Hasher,
    Messenger,
    SignatureProvider,
    Voice,
)
from ois_bridge.services.record_means import RecordMeans
from ois_bridge.services.staff_names import Names
from ois_bridge.services.workflow.open_tasks import OpenTasks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who asks: a logged-in person, a peer by its AE title (without roles), or a system by its key.

    `scopes`: the rights of a key, which has no roles.
    """

    user: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[permissions.Action] = frozenset()

    def may(self, action: permissions.Action) -> bool:
        """Whether the caller has the right."""
        return action in self.scopes or permissions.may(self.roles, action)

    def check(self, action: permissions.Action) -> None:
        """Raise Unauthorised unless the caller has the right."""
        if action not in self.scopes:
            permissions.check(self.user, self.roles, action)


@dataclass(frozen=True)
class Context:
    """The means of the use cases. `machine`: name of the site's treatment machine.

    signatures: the hospital's provider; None: the house's own. machines: the facility's devices.
    keep_messages: how long messages that were sent are kept.
    machine_key: verifies what the machine itself tells. trips: meaning of the interlock's inputs.
    """

    database: Database
    audit: Audit
    files: FileStore
    reports: FileStore
    hasher: Hasher
    composer: Composer
    signing_key: Ed25519PrivateKey
    now: Callable[[], datetime]
    machine: str
    record: RecordMeans
    messenger: Messenger
    events: Hub
    voice: Voice
    readers: FeatureReader
    desk: Desk
    signatures: SignatureProvider | None = None
    machines: Watch = field(default_factory=Watch)
    machine_key: Path | None = None
    trips: Titles = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    open_tasks: OpenTasks = field(default_factory=OpenTasks)
    attempts: Attempts = field(default_factory=Attempts)
    keep_messages: timedelta = timedelta(days=90)

    def person(self, user: str) -> str:
        """The full name of one of the staff, as papers name them; the account for one without a name."""
        return self.names.staff.known(self.database, self.now()).get(user, user)

    def close(self) -> None:
        """Close database and audit log."""
        self.events.close()
        self.messenger.close()
        self.database.close()
        self.audit.close()

    @contextmanager
    def reading(self, caller: Caller, action: permissions.Action) -> Iterator[Session]:
        """A session for a caller who has the right; who a restricted patient is, it shows to the care team
        only (models/veil.py). Raises Unauthorised.
        """
        caller.check(action)
        with self.database.reading() as session:
            self.hide_closed(session, caller)
            yield session

    def hide_closed(self, session: Session, caller: Caller) -> None:
        """Hide from now on who the restricted patients are, but for those of the caller's care team. For a
        session that changes no patient.
        """
        closed = veil.Closed(lambda: closed_to(self.database, caller.user, caller.roles, self.now()))
        veil.put_on(session, closed)

    @contextmanager
    def deed(self, user: str, action: str, subject: str, detail: str = "") -> Iterator[Session]:
        """One transaction with its audit entry; a refusal is rolled back, audited and raised on.

        `subject` is an identifier; the audit keeps an opaque stand-in of it.
        """
        try:
            with self.database.writing() as session:
                yield session
                self.audit.note(session, self.now(), user, action, opaque(subject), "done", detail)
        except PtcsError as why:
            self.refused(user, action, subject, why)
            raise
        self._chain()
        publish_announced(session, self.events)

    def _chain(self) -> None:
        """Bring the audit's chain up to its rows. The deed is done already: what the chain cannot take now
        it takes with the next deed or at the next start, and nobody is told that nothing was kept.
        """
        try:
            self.audit.flush()
        except (SQLAlchemyError, OSError):
            log.exception("the audit log cannot be brought up now; its rows are kept in the database")

    def refused(self, user: str, action: str, subject: str, why: PtcsError) -> None:
        """Put a refusal into the audit trail."""
        log.warning("%s of %s by %s refused: %s", action, opaque(subject), user, type(why).__name__)
        with self.database.writing() as session:
            kind = type(why).__name__
            self.audit.note(session, self.now(), user, action, opaque(subject), "refused", f"{kind}: {why}")
        self._chain()

    @contextmanager
    def permitted(
        self, caller: Caller, action: permissions.Action, subject: str, detail: str = ""
    ) -> Iterator[Session]:
        """A deed that needs a right. Raises Unauthorised, audited."""
        with self.deed(caller.user, action.value, subject, detail) as session:
            caller.check(action)
            yield session
