"""Revision 5: processes and forms."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns of tasks, and the tables of designs, logs, staff and faults."""
    _task()
    _designs()
    _process_step()
    _form_change()
    _staff()
    _fault_report()


def _task() -> None:
    op.add_column("task", sa.Column("title_zh", sa.String(length=120), nullable=False, server_default=""))
    op.add_column("task", sa.Column("deed", sa.String(length=16), nullable=False, server_default="do"))
    op.add_column("task", sa.Column("reminded", sa.DateTime(), nullable=True))
    op.create_index("ix_task_done_by_done", "task", ["done_by", "done"], unique=False)
    op.create_index("ix_task_state_due", "task", ["state", "due"], unique=False)


def _designs() -> None:
    op.create_table(
        "process_design",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("title_zh", sa.String(length=120), nullable=False),
        sa.Column("drawing", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_process_design"),
        sa.UniqueConstraint("name", "version", name="uq_process_design_name"),
    )
    op.create_table(
        "form_design",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_form_design"),
        sa.UniqueConstraint("kind", "version", name="uq_form_design_kind"),
    )


def _process_step() -> None:
    op.create_table(
        "process_step",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("process_key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("title_zh", sa.String(length=120), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("comment", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["process_key"], ["process_record.key"], name="fk_process_step_process_key"),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_process_step_course_key"),
        sa.PrimaryKeyConstraint("key", name="pk_process_step"),
    )
    op.create_index("ix_process_step_process_key", "process_step", ["process_key"], unique=False)
    op.create_index("ix_process_step_course_key", "process_step", ["course_key"], unique=False)
    op.create_index("ix_process_step_time", "process_step", ["time"], unique=False)


def _form_change() -> None:
    op.create_table(
        "form_change",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("form_key", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("comment", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["form_key"], ["form_record.key"], name="fk_form_change_form_key"),
        sa.PrimaryKeyConstraint("key", name="pk_form_change"),
    )
    op.create_index("ix_form_change_form_key", "form_change", ["form_key"], unique=False)


def _staff() -> None:
    op.create_table(
        "assignment_note",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("task_key", sa.String(length=16), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["task_key"], ["task.key"], name="fk_assignment_note_task_key"),
        sa.PrimaryKeyConstraint("key", name="pk_assignment_note"),
    )
    op.create_index("ix_assignment_note_task_key", "assignment_note", ["task_key"], unique=False)
    op.create_index("ix_assignment_note_time", "assignment_note", ["time"], unique=False)
    op.create_index("ix_assignment_note_user", "assignment_note", ["user"], unique=False)
    op.create_table(
        "staff_profile",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("specialities", sa.String(length=200), nullable=False),
        sa.Column("absent_from", sa.DateTime(), nullable=True),
        sa.Column("absent_until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("user", name="pk_staff_profile"),
    )


def _fault_report() -> None:
    op.create_table(
        "fault_report",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=120), nullable=False),
        sa.Column("summary", sa.String(length=200), nullable=False),
        sa.Column("effect", sa.String(length=500), nullable=False),
        sa.Column("solution", sa.String(length=500), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("started", sa.DateTime(), nullable=False),
        sa.Column("ended", sa.DateTime(), nullable=True),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("changed", sa.DateTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_fault_report"),
    )
    op.create_index("ix_fault_report_device", "fault_report", ["device"], unique=False)
    op.create_index("ix_fault_report_state", "fault_report", ["state"], unique=False)
