"""Revision 2: the department: more of patients and courses, forms, processes, appointments, what leaves."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and tables, referenced ones first."""
    _patient()
    _course()
    _form_record()
    _process_record()
    _task()
    _appointment()
    _outgoing()


def _patient() -> None:
    op.add_column("patient", sa.Column("id_card", sa.String(length=32), nullable=False, server_default=""))
    op.add_column(
        "patient", sa.Column("hospital_number", sa.String(length=32), nullable=False, server_default="")
    )
    op.add_column("patient", sa.Column("barcode", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("patient", sa.Column("phone", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("patient", sa.Column("address", sa.String(length=200), nullable=False, server_default=""))
    op.add_column("patient", sa.Column("pinyin", sa.String(length=120), nullable=False, server_default=""))
    op.add_column("patient", sa.Column("initials", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("patient", sa.Column("photo", sa.String(length=120), nullable=False, server_default=""))
    op.add_column("patient", sa.Column("alerts", sa.String(length=200), nullable=False, server_default=""))
    op.create_index("ix_patient_barcode", "patient", ["barcode"], unique=False)
    op.create_index("ix_patient_hospital_number", "patient", ["hospital_number"], unique=False)
    op.create_index("ix_patient_id_card", "patient", ["id_card"], unique=False)
    op.create_index("ix_patient_initials", "patient", ["initials"], unique=False)
    op.create_index("ix_patient_pinyin", "patient", ["pinyin"], unique=False)


def _course() -> None:
    op.add_column(
        "course", sa.Column("diagnosis_code", sa.String(length=32), nullable=False, server_default="")
    )
    op.add_column("course", sa.Column("icd11", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("course", sa.Column("icd10", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("course", sa.Column("stage", sa.String(length=80), nullable=False, server_default=""))
    op.add_column("course", sa.Column("technique", sa.String(length=32), nullable=False, server_default=""))
    op.add_column(
        "course", sa.Column("source", sa.String(length=16), nullable=False, server_default="outpatient")
    )
    op.add_column("course", sa.Column("ward", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("course", sa.Column("bed", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("course", sa.Column("physician", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("course", sa.Column("charging", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("course", sa.Column("state", sa.String(length=16), nullable=False, server_default="ACTIVE"))
    op.add_column(
        "course", sa.Column("state_reason", sa.String(length=500), nullable=False, server_default="")
    )
    op.add_column("course", sa.Column("changed", sa.DateTime(), nullable=True))
    op.create_index("ix_course_diagnosis_code", "course", ["diagnosis_code"], unique=False)
    op.create_index("ix_course_icd10", "course", ["icd10"], unique=False)
    op.create_index("ix_course_icd11", "course", ["icd11"], unique=False)
    op.create_index("ix_course_physician", "course", ["physician"], unique=False)
    op.create_index("ix_course_state", "course", ["state"], unique=False)
    op.create_index("ix_course_technique", "course", ["technique"], unique=False)


def _form_record() -> None:
    op.create_table(
        "form_record",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("changed", sa.DateTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.Column("decided", sa.DateTime(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_form_record_course_key"),
        sa.PrimaryKeyConstraint("key", name="pk_form_record"),
    )
    op.create_index("ix_form_record_course_key", "form_record", ["course_key"], unique=False)
    op.create_index("ix_form_record_kind", "form_record", ["kind"], unique=False)
    op.create_index("ix_form_record_state", "form_record", ["state"], unique=False)


def _process_record() -> None:
    op.create_table(
        "process_record",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ended", sa.DateTime(), nullable=True),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_process_record_course_key"),
        sa.PrimaryKeyConstraint("key", name="pk_process_record"),
    )
    op.create_index("ix_process_record_course_key", "process_record", ["course_key"], unique=False)


def _task() -> None:
    op.create_table(
        "task",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("process_key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("assignee", sa.String(length=64), nullable=False),
        sa.Column("form_kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("comment", sa.String(length=500), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("due", sa.DateTime(), nullable=True),
        sa.Column("done", sa.DateTime(), nullable=True),
        sa.Column("done_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_task_course_key"),
        sa.ForeignKeyConstraint(["process_key"], ["process_record.key"], name="fk_task_process_key"),
        sa.PrimaryKeyConstraint("key", name="pk_task"),
    )
    op.create_index("ix_task_assignee_state", "task", ["assignee", "state"], unique=False)
    op.create_index("ix_task_course_key", "task", ["course_key"], unique=False)
    op.create_index("ix_task_process_key", "task", ["process_key"], unique=False)
    op.create_index("ix_task_role_state", "task", ["role", "state"], unique=False)


def _appointment() -> None:
    op.create_table(
        "appointment",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=True),
        sa.Column("course_key", sa.String(length=16), nullable=True),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("fraction", sa.Integer(), nullable=True),
        sa.Column("particle", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("signed_in", sa.DateTime(), nullable=True),
        sa.Column("signed_in_by", sa.String(length=16), nullable=False),
        sa.Column("queue_number", sa.Integer(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("called", sa.DateTime(), nullable=True),
        sa.Column("entered", sa.DateTime(), nullable=True),
        sa.Column("finished", sa.DateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_appointment_course_key"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_appointment_patient_key"),
        sa.PrimaryKeyConstraint("key", name="pk_appointment"),
    )
    op.create_index("ix_appointment_course_key", "appointment", ["course_key"], unique=False)
    op.create_index("ix_appointment_device_start", "appointment", ["device", "start"], unique=False)
    op.create_index("ix_appointment_patient_start", "appointment", ["patient_key", "start"], unique=False)


def _outgoing() -> None:
    op.create_table(
        "outgoing",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("recipient", sa.String(length=120), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.DateTime(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("sent", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_outgoing"),
    )
    op.create_index("ix_outgoing_state", "outgoing", ["state"], unique=False)
