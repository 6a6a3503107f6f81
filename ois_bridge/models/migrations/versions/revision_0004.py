"""Revision 4: the patient's record."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing more than revision 3 yet."""
