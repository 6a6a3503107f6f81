"""Revision 12: the patients of a device."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """The index by which the list of patients is narrowed to a device."""
    op.create_index("ix_appointment_device_patient", "appointment", ["device", "patient_key", "state"])
