"""Revision 9: visits follow the record, merged patients, paper of a downtime, pictures, offered designs."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Tables of the department's day; a coded diagnosis gets both of its names."""
    _columns()
    _day()
    _merging()
    op.create_table(
        "screen_picture",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("animated", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_screen_picture"),
    )
    op.create_table(
        "shipped_answer",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.String(length=16), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "sha256", name="pk_shipped_answer"),
    )
    _diagnoses()
    _ends_of_numbers()


def _columns() -> None:
    op.add_column(
        "course", sa.Column("diagnosis_en", sa.String(length=500), nullable=False, server_default="")
    )
    op.add_column(
        "patient", sa.Column("merged_into", sa.String(length=16), nullable=False, server_default="")
    )
    op.create_index("ix_patient_merged_into", "patient", ["merged_into"])
    for name, length in (("kind", 16), ("consent", 200)):
        op.add_column(
            "biometric_template",
            sa.Column(name, sa.String(length=length), nullable=False, server_default=""),
        )


def _day() -> None:
    op.create_table(
        "visit_delivery",
        sa.Column("appointment_key", sa.String(length=16), nullable=False),
        sa.Column("fraction_key", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_key"],
            ["appointment.key"],
            name="fk_visit_delivery_appointment_key",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["fraction_key"], ["fraction.key"], name="fk_visit_delivery_fraction_key"),
        sa.PrimaryKeyConstraint("appointment_key", name="pk_visit_delivery"),
    )
    op.create_index("ix_visit_delivery_fraction_key", "visit_delivery", ["fraction_key"])
    op.create_table(
        "paper_entry",
        sa.Column("appointment_key", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("arrived", sa.DateTime(), nullable=True),
        sa.Column("ended", sa.DateTime(), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("entered", sa.DateTime(), nullable=False),
        sa.Column("entered_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_key"],
            ["appointment.key"],
            name="fk_paper_entry_appointment_key",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("appointment_key", name="pk_paper_entry"),
    )


def _merging() -> None:
    op.create_table(
        "patient_merge",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("kept_key", sa.String(length=16), nullable=False),
        sa.Column("gone_key", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("moved", sa.JSON(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("undone", sa.DateTime(), nullable=True),
        sa.Column("undone_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["kept_key"], ["patient.key"], name="fk_patient_merge_kept_key"),
        sa.ForeignKeyConstraint(["gone_key"], ["patient.key"], name="fk_patient_merge_gone_key"),
        sa.PrimaryKeyConstraint("key", name="pk_patient_merge"),
    )
    op.create_index("ix_patient_merge_kept_key", "patient_merge", ["kept_key"])
    op.create_index("ix_patient_merge_gone_key", "patient_merge", ["gone_key"])


def _diagnoses() -> None:
    """A diagnosis that stands in the table was kept in its writer's language."""
    op.execute(
        """
        UPDATE course SET
            diagnosis_en = (SELECT name_en FROM diagnosis WHERE diagnosis.code = course.diagnosis_code),
            diagnosis = (SELECT name FROM diagnosis WHERE diagnosis.code = course.diagnosis_code)
        WHERE diagnosis_code <> '' AND EXISTS (
            SELECT 1 FROM diagnosis WHERE diagnosis.code = course.diagnosis_code
            AND course.diagnosis IN (diagnosis.name, diagnosis.name_en))
        """
    )


def _ends_of_numbers() -> None:
    """Patients are found by the last four characters of their numbers."""
    numbers = ("patient_id", "id_card", "hospital_number", "barcode", "phone")
    ends = " UNION ".join(
        f"SELECT '~' || lower(substr({name}, length({name}) - 3)) AS part, key FROM patient "  # noqa: S608
        f"WHERE length({name}) >= 4 AND {_is_end(name)}"
        for name in numbers
    )
    op.execute(
        f"INSERT INTO search_part (part, patient_key) SELECT part, key FROM ({ends}) AS ends "  # noqa: S608
        "WHERE NOT EXISTS (SELECT 1 FROM search_part WHERE search_part.part = ends.part "
        "AND search_part.patient_key = ends.key)"
    )


def _is_end(name: str) -> str:
    """The condition that the last four characters are digits, or x as in an id card."""
    end = f"lower(substr({name}, length({name}) - 3))"
    if op.get_bind().dialect.name == "postgresql":
        return f"{end} ~ '^[0-9x]{{4}}$'"
    return f"{end} GLOB '[0-9x][0-9x][0-9x][0-9x]'"
