"""Revision 7: queue and notices."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """What a message is about, and the tables of the queue."""
    _outgoing()


def _outgoing() -> None:
    op.add_column("outgoing", sa.Column("about", sa.String(length=64), nullable=False, server_default=""))
    op.create_index("ix_outgoing_about", "outgoing", ["about"], unique=False)
    op.create_index("ix_outgoing_state_next_try", "outgoing", ["state", "next_try"], unique=False)
