"""Revision 1: accounts, audit, patients, archive, plans, treatment."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables, referenced ones first."""
    _account()
    _audit()
    _patient()
    _account_role()
    _course()
    _dicom_series()
    _web_session()
    _dicom_instance()
    _prescription()
    _plan()
    _prescribed_organ()
    _approval()
    _fraction()
    _plan_beam()
    _plan_review()
    _fraction_part()
    _report()
    _part_beam()
    _report_file()


def _account() -> None:
    op.create_table(
        "account",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("full_name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(), nullable=True),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_account"),
        sa.UniqueConstraint("user", name="uq_account_user"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
        sqlite_autoincrement=True,
    )


def _patient() -> None:
    op.create_table(
        "patient",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("patient_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("birth_date", sa.String(length=8), nullable=False),
        sa.Column("sex", sa.String(length=1), nullable=False),
        sa.Column("registered", sa.DateTime(), nullable=False),
        sa.Column("registered_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_patient"),
        sa.UniqueConstraint("patient_id", name="uq_patient_patient_id"),
    )
    op.create_index("ix_patient_name", "patient", ["name"], unique=False)


def _account_role() -> None:
    op.create_table(
        "account_role",
        sa.Column("account_key", sa.String(length=16), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_key"], ["account.key"], name="fk_account_role_account_key", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_key", "role", name="pk_account_role"),
    )


def _course() -> None:
    op.create_table(
        "course",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("diagnosis", sa.String(length=500), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_course_patient_key"),
        sa.PrimaryKeyConstraint("key", name="pk_course"),
    )
    op.create_index("ix_course_patient_key", "course", ["patient_key"], unique=False)


def _dicom_series() -> None:
    op.create_table(
        "dicom_series",
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("description", sa.String(length=64), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=True),
        sa.Column("stated_id", sa.String(length=64), nullable=False),
        sa.Column("stated_name", sa.String(length=200), nullable=False),
        sa.Column("stated_birth_date", sa.String(length=8), nullable=False),
        sa.Column("stated_sex", sa.String(length=16), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_dicom_series_patient_key"),
        sa.PrimaryKeyConstraint("series_uid", name="pk_dicom_series"),
    )
    op.create_index("ix_dicom_series_patient_key", "dicom_series", ["patient_key"], unique=False)
    op.create_index("ix_dicom_series_stated_id", "dicom_series", ["stated_id"], unique=False)
    op.create_index("ix_dicom_series_study_uid", "dicom_series", ["study_uid"], unique=False)


def _web_session() -> None:
    op.create_table(
        "web_session",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("account_key", sa.String(length=16), nullable=False),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("last_seen", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_key"], ["account.key"], name="fk_web_session_account_key", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("secret_hash", name="pk_web_session"),
    )
    op.create_index("ix_web_session_account_key", "web_session", ["account_key"], unique=False)


def _dicom_instance() -> None:
    op.create_table(
        "dicom_instance",
        sa.Column("sop_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("refers_to", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("file_hash", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("received", sa.DateTime(), nullable=False),
        sa.Column("received_from", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_uid"], ["dicom_series.series_uid"], name="fk_dicom_instance_series_uid"
        ),
        sa.PrimaryKeyConstraint("sop_uid", name="pk_dicom_instance"),
        sa.UniqueConstraint("path", name="uq_dicom_instance_path"),
    )
    op.create_index("ix_dicom_instance_refers_to", "dicom_instance", ["refers_to"], unique=False)
    op.create_index("ix_dicom_instance_series_uid", "dicom_instance", ["series_uid"], unique=False)


def _prescription() -> None:
    op.create_table(
        "prescription",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("dose_per_fraction", sa.Double(), nullable=False),
        sa.Column("fractions", sa.Integer(), nullable=False),
        sa.Column("rbe_model", sa.String(length=64), nullable=False),
        sa.Column("structure_set_uid", sa.String(length=64), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_prescription_course_key"),
        sa.PrimaryKeyConstraint("key", name="pk_prescription"),
    )
    op.create_index("ix_prescription_course_key", "prescription", ["course_key"], unique=False)


def _plan() -> None:
    op.create_table(
        "plan",
        sa.Column("sop_uid", sa.String(length=64), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=False),
        sa.Column("prescription_key", sa.String(length=16), nullable=True),
        sa.Column("dose_uid", sa.String(length=64), nullable=True),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("fractions_planned", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "ARRIVED", "SUBMITTED", "APPROVED", "REVOKED", name="planstate", native_enum=False, length=16
            ),
            nullable=False,
        ),
        sa.Column("submitted_by", sa.String(length=64), nullable=True),
        sa.Column("arrived", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["dose_uid"], ["dicom_instance.sop_uid"], name="fk_plan_dose_uid"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_plan_patient_key"),
        sa.ForeignKeyConstraint(["prescription_key"], ["prescription.key"], name="fk_plan_prescription_key"),
        sa.ForeignKeyConstraint(["sop_uid"], ["dicom_instance.sop_uid"], name="fk_plan_sop_uid"),
        sa.PrimaryKeyConstraint("sop_uid", name="pk_plan"),
    )
    op.create_index("ix_plan_patient_key", "plan", ["patient_key"], unique=False)
    op.create_index("ix_plan_prescription_key", "plan", ["prescription_key"], unique=False)


def _prescribed_organ() -> None:
    op.create_table(
        "prescribed_organ",
        sa.Column("prescription_key", sa.String(length=16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("max_gy", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prescription_key"],
            ["prescription.key"],
            name="fk_prescribed_organ_prescription_key",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prescription_key", "position", name="pk_prescribed_organ"),
    )


def _approval() -> None:
    op.create_table(
        "approval",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("plan_uid", sa.String(length=64), nullable=False),
        sa.Column("approver", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("revoked", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["plan_uid"], ["plan.sop_uid"], name="fk_approval_plan_uid"),
        sa.PrimaryKeyConstraint("key", name="pk_approval"),
    )
    op.create_index("ix_approval_plan_uid", "approval", ["plan_uid"], unique=False)


def _fraction() -> None:
    op.create_table(
        "fraction",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("plan_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("PLANNED", "PARTIAL", "DELIVERED", name="fractionstate", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("planned_mu", sa.Double(), nullable=False),
        sa.Column("delivered_mu", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["plan_uid"], ["plan.sop_uid"], name="fk_fraction_plan_uid"),
        sa.PrimaryKeyConstraint("key", name="pk_fraction"),
        sa.UniqueConstraint("plan_uid", "number", name="uq_fraction_plan_uid"),
    )


def _plan_beam() -> None:
    op.create_table(
        "plan_beam",
        sa.Column("plan_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("gantry", sa.Double(), nullable=False),
        sa.Column("couch", sa.Double(), nullable=False),
        sa.Column("layers", sa.Integer(), nullable=False),
        sa.Column("spots", sa.Integer(), nullable=False),
        sa.Column("energy_low", sa.Double(), nullable=False),
        sa.Column("energy_high", sa.Double(), nullable=False),
        sa.Column("meterset", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_uid"], ["plan.sop_uid"], name="fk_plan_beam_plan_uid", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plan_uid", "number", name="pk_plan_beam"),
    )


def _plan_review() -> None:
    op.create_table(
        "plan_review",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("plan_uid", sa.String(length=64), nullable=False),
        sa.Column(
            "event",
            sa.Enum("SUBMIT", "APPROVE", "REVOKE", name="planevent", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["plan_uid"], ["plan.sop_uid"], name="fk_plan_review_plan_uid"),
        sa.PrimaryKeyConstraint("key", name="pk_plan_review"),
    )
    op.create_index("ix_plan_review_plan_uid", "plan_review", ["plan_uid"], unique=False)


def _fraction_part() -> None:
    op.create_table(
        "fraction_part",
        sa.Column("record_uid", sa.String(length=64), nullable=False),
        sa.Column("fraction_key", sa.String(length=16), nullable=True),
        sa.Column("plan_uid", sa.String(length=64), nullable=False),
        sa.Column("fraction_number", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("started", sa.DateTime(), nullable=False),
        sa.Column("ended", sa.DateTime(), nullable=False),
        sa.Column("clock_factor", sa.Double(), nullable=False),
        sa.Column("verified_by", sa.String(length=64), nullable=False),
        sa.Column("operators", sa.String(length=255), nullable=False),
        sa.Column("flag", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["fraction_key"], ["fraction.key"], name="fk_fraction_part_fraction_key"),
        sa.ForeignKeyConstraint(
            ["record_uid"], ["dicom_instance.sop_uid"], name="fk_fraction_part_record_uid"
        ),
        sa.PrimaryKeyConstraint("record_uid", name="pk_fraction_part"),
    )
    op.create_index("ix_fraction_part_fraction_key", "fraction_part", ["fraction_key"], unique=False)
    op.create_index("ix_fraction_part_plan_uid", "fraction_part", ["plan_uid"], unique=False)


def _report() -> None:
    op.create_table(
        "report",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("fraction_key", sa.String(length=16), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["fraction_key"], ["fraction.key"], name="fk_report_fraction_key"),
        sa.PrimaryKeyConstraint("key", name="pk_report"),
    )
    op.create_index("ix_report_fraction_key", "report", ["fraction_key"], unique=False)


def _part_beam() -> None:
    op.create_table(
        "part_beam",
        sa.Column("record_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("planned_mu", sa.Double(), nullable=False),
        sa.Column("delivered_mu", sa.Double(), nullable=False),
        sa.Column("termination", sa.String(length=16), nullable=False),
        sa.Column("delivery_type", sa.String(length=16), nullable=False),
        sa.Column("cause", sa.String(length=500), nullable=False),
        sa.Column("started", sa.DateTime(), nullable=False),
        sa.Column("ended", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["record_uid"], ["fraction_part.record_uid"], name="fk_part_beam_record_uid", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("record_uid", "number", name="pk_part_beam"),
    )


def _report_file() -> None:
    op.create_table(
        "report_file",
        sa.Column("report_key", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_key"], ["report.key"], name="fk_report_file_report_key", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("report_key", "name", name="pk_report_file"),
    )
