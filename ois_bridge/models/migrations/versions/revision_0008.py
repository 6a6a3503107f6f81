"""Revision 8: accounts, keys and messages."""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Nothing more than revision 7 yet."""
