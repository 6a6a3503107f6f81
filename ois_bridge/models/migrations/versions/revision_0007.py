"""Revision 7: queue and notices."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing more than revision 6 yet."""
