"""Revision 6: the appointment sheet."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables."""
    _calendar_day()
    _department_device()
    _device_period()
    _schedule_proposal()
    _visit_wish()
    _waiting_visit()


def _calendar_day() -> None:
    op.create_table(
        "calendar_day",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name_en", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=64), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_calendar_day"),
    )


def _department_device() -> None:
    op.create_table(
        "department_device",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title_en", sa.String(length=64), nullable=False),
        sa.Column("title_zh", sa.String(length=64), nullable=False),
        sa.Column("kinds", sa.String(length=120), nullable=False),
        sa.Column("particles", sa.String(length=64), nullable=False),
        sa.Column("beam", sa.String(length=32), nullable=False),
        sa.Column("setup_min", sa.Integer(), nullable=False),
        sa.Column("leave_min", sa.Integer(), nullable=False),
        sa.Column("usual_min", sa.Integer(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_department_device"),
    )


def _device_period() -> None:
    op.create_table(
        "device_period",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("effect", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("particle", sa.String(length=16), nullable=False),
        sa.Column("weekdays", sa.String(length=7), nullable=False),
        sa.Column("from_min", sa.Integer(), nullable=False),
        sa.Column("to_min", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.String(length=10), nullable=False),
        sa.Column("last_day", sa.String(length=10), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=True),
        sa.Column("finish", sa.DateTime(), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_device_period"),
    )
    op.create_index("ix_device_period_device", "device_period", ["device"], unique=False)


def _schedule_proposal() -> None:
    op.create_table(
        "schedule_proposal",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("decided", sa.DateTime(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_schedule_proposal"),
    )
    op.create_index("ix_schedule_proposal_state", "schedule_proposal", ["state"], unique=False)


def _visit_wish() -> None:
    op.create_table(
        "visit_wish",
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("earliest_min", sa.Integer(), nullable=False),
        sa.Column("latest_min", sa.Integer(), nullable=False),
        sa.Column("preferred_min", sa.Integer(), nullable=False),
        sa.Column("weekdays", sa.String(length=7), nullable=False),
        sa.Column("per_day", sa.Integer(), nullable=False),
        sa.Column("changed", sa.DateTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_visit_wish_course_key"),
        sa.PrimaryKeyConstraint("course_key", name="pk_visit_wish"),
    )


def _waiting_visit() -> None:
    op.create_table(
        "waiting_visit",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("particle", sa.String(length=16), nullable=False),
        sa.Column("fraction", sa.Integer(), nullable=True),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_waiting_visit_course_key"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_waiting_visit_patient_key"),
        sa.PrimaryKeyConstraint("key", name="pk_waiting_visit"),
    )
    op.create_index("ix_waiting_visit_day_course", "waiting_visit", ["day", "course_key"], unique=False)
