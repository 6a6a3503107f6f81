"""The audit trail: a row in the transaction of each deed, then the same entry in a hash chain on disk.

The chain follows the rows: it is brought up after each commit and at start. A process killed between
the two loses no entry, and none is written twice, because the chain carries the rows' numbers.
"""

import threading
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from common.errors import LinkLost, Tampered
from common.hashchain import ChainLog, Rotation, entries
from common.text import _
from ois_bridge.models.audit import AuditRow
from ois_bridge.models.database import Database

ROTATION = Rotation(size=32 << 20)
"""The chain goes on in a new file when the old one is so large."""


class Audit:
    """Rows and chain of one OIS."""

    def __init__(self, database: Database, path: Path, rotation: Rotation = ROTATION) -> None:
        """Open the chain and bring it up to the rows. Raises Tampered when either was cut or changed."""
        self._database = database
        self._lock = threading.Lock()
        self._chain = ChainLog(path, rotation)
        try:
            chained = entries(path)
            self._last = int(chained[-1]["number"]) if chained else 0
            self._check_rows()
            self.flush()
        except BaseException:
            self._chain.close()
            raise

    def note(
        self,
        session: Session,
        time: datetime,
        user: str,
        action: str,
        subject: str,
        outcome: str,
        detail: str = "",
    ) -> None:
        """Add an entry to a transaction. `subject` is opaque, `detail` free of patient data."""
        row = AuditRow(
            time=time, user=user[:64], action=action, subject=subject, outcome=outcome, detail=detail[:500]
        )
        session.add(row)

    def flush(self) -> None:
        """Write committed entries that the chain lacks. Raises OSError."""
        with self._lock, self._database.reading() as session:
            rows = session.scalars(
                select(AuditRow).where(AuditRow.number > self._last).order_by(AuditRow.number)
            )
            for row in rows:
                self._chain.append(_entry(row))
                self._last = row.number

    def close(self) -> None:
        """Close the chain's file."""
        self._chain.close()

    def _check_rows(self) -> None:
        with self._database.reading() as session:
            newest = session.scalar(select(AuditRow.number).order_by(AuditRow.number.desc()).limit(1)) or 0
        if newest < self._last:
            raise Tampered(
                f"the audit log has {self._last} entries, the database {newest}: rows were removed, or an "
                "older database was put back; restore the database and the log of the same moment"
            )


def compare(database: Database, path: Path) -> tuple[int, int]:
    """Number of rows that stand in the chain as they are, and of newer ones that the chain lacks.

    Raises Tampered where a row differs from its entry or one of the two is missing in between, LinkLost where
    the database does not answer.
    """
    chained = entries(path)
    try:
        with database.reading() as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.number))
            found = [_entry(row) for row in rows]
    except OperationalError as why:
        raise LinkLost(_("The database does not answer, or takes no log-in; nothing was compared.")) from why
    if len(found) < len(chained):
        raise Tampered(f"the chain has {len(chained)} entries, the database {len(found)}: rows were removed")
    for row, entry in zip(found, chained, strict=False):
        if row != entry:
            raise Tampered(f"row {row['number']} of the database is not what the chain has")
    return len(chained), len(found) - len(chained)


def _entry(row: AuditRow) -> dict[str, str | int]:
    return {
        "number": row.number,
        "time": row.time.isoformat(),
        "user": row.user,
        "action": row.action,
        "subject": row.subject,
        "outcome": row.outcome,
        "detail": row.detail,
    }
