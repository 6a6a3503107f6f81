"""Revision 5: processes and forms."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing more than revision 4 yet."""
