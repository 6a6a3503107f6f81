"""Revision 4: the patient's record: diagnoses, stages, course steps, reviews, studies, follow-up."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables, referenced ones first."""
    _diagnosis()
    _course_stage()
    _course_step()
    _charging_answer()
    _physician_review()
    _study()
    _enrolment()
    _follow_up()


def _diagnosis() -> None:
    op.create_table(
        "diagnosis",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("pinyin", sa.String(length=400), nullable=False),
        sa.Column("initials", sa.String(length=80), nullable=False),
        sa.Column("icd11", sa.String(length=32), nullable=False),
        sa.Column("icd10", sa.String(length=16), nullable=False),
        sa.Column("staging", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_diagnosis"),
    )
    op.create_index("ix_diagnosis_source", "diagnosis", ["source"], unique=False)


def _course_stage() -> None:
    op.create_table(
        "course_stage",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("staging", sa.String(length=64), nullable=False),
        sa.Column("choice", sa.JSON(), nullable=False),
        sa.Column("stage_group", sa.String(length=32), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_course_stage_course_key"),
        sa.PrimaryKeyConstraint("key", name="pk_course_stage"),
    )
    op.create_index("ix_course_stage_course_key", "course_stage", ["course_key"], unique=False)


def _course_step() -> None:
    op.create_table(
        "course_step",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("effects", sa.JSON(), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_course_step_course_key"),
        sa.PrimaryKeyConstraint("key", name="pk_course_step"),
    )
    op.create_index("ix_course_step_course_key", "course_step", ["course_key"], unique=False)


def _charging_answer() -> None:
    op.create_table(
        "charging_answer",
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.Column("asked", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_charging_answer_course_key"),
        sa.PrimaryKeyConstraint("course_key", name="pk_charging_answer"),
    )


def _physician_review() -> None:
    op.create_table(
        "physician_review",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("physician", sa.String(length=64), nullable=False),
        sa.Column("weight", sa.Double(), nullable=True),
        sa.Column("toxicities", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("signature", sa.String(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_physician_review_course_key"),
        sa.PrimaryKeyConstraint("key", name="pk_physician_review"),
    )
    op.create_index(
        "ix_physician_review_course_time", "physician_review", ["course_key", "time"], unique=False
    )


def _study() -> None:
    op.create_table(
        "study",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("criteria", sa.String(length=2000), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_study"),
        sa.UniqueConstraint("name", name="uq_study_name"),
    )


def _enrolment() -> None:
    op.create_table(
        "enrolment",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("study_key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_enrolment_course_key"),
        sa.ForeignKeyConstraint(["study_key"], ["study.key"], name="fk_enrolment_study_key"),
        sa.PrimaryKeyConstraint("key", name="pk_enrolment"),
        sa.UniqueConstraint("study_key", "course_key", name="uq_enrolment_study_key"),
    )
    op.create_index("ix_enrolment_course_key", "enrolment", ["course_key"], unique=False)


def _follow_up() -> None:
    op.create_table(
        "follow_up",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("months", sa.Integer(), nullable=False),
        sa.Column("due", sa.Date(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("done", sa.DateTime(), nullable=True),
        sa.Column("done_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_follow_up_course_key"),
        sa.PrimaryKeyConstraint("key", name="pk_follow_up"),
        sa.UniqueConstraint("course_key", "months", name="uq_follow_up_course_key"),
    )
    op.create_index("ix_follow_up_course_key", "follow_up", ["course_key"], unique=False)
    op.create_index("ix_follow_up_done_due", "follow_up", ["done", "due"], unique=False)
