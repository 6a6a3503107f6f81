"""Revision 6: the appointment sheet."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing more than revision 5 yet."""
