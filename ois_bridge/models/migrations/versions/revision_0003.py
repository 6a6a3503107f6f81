"""Revision 3: registration and search."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nothing more than revision 2 yet."""
