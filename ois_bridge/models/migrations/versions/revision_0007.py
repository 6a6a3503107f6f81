"""Revision 7: queue and notices."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """What a message is about, and the tables of the queue."""
    _outgoing()
    _queue_counter()
    _queue_entry()
    _queue_call()
    _queue_rule()
    _screen()
    _screen_notice()
    _contact()
    _biometric_template()


def _outgoing() -> None:
    op.add_column("outgoing", sa.Column("about", sa.String(length=64), nullable=False, server_default=""))
    op.create_index("ix_outgoing_about", "outgoing", ["about"], unique=False)
    op.create_index("ix_outgoing_state_next_try", "outgoing", ["state", "next_try"], unique=False)


def _queue_counter() -> None:
    op.create_table(
        "queue_counter",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("device", "day", name="pk_queue_counter"),
    )


def _queue_entry() -> None:
    op.create_table(
        "queue_entry",
        sa.Column("appointment_key", sa.String(length=16), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("passed_at", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("reason_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_key"],
            ["appointment.key"],
            name="fk_queue_entry_appointment_key",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("appointment_key", name="pk_queue_entry"),
    )


def _queue_call() -> None:
    op.create_table(
        "queue_call",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("appointment_key", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("called_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["appointment_key"], ["appointment.key"], name="fk_queue_call_appointment_key", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_queue_call"),
    )
    op.create_index("ix_queue_call_appointment_key", "queue_call", ["appointment_key"], unique=False)
    op.create_index("ix_queue_call_device_time", "queue_call", ["device", "time"], unique=False)


def _queue_rule() -> None:
    op.create_table(
        "queue_rule",
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("activated", sa.DateTime(), nullable=True),
        sa.Column("activated_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_queue_rule"),
    )


def _screen() -> None:
    op.create_table(
        "screen",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("devices", sa.String(length=500), nullable=False),
        sa.Column("voice", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("paired", sa.DateTime(), nullable=True),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_screen"),
    )
    op.create_index("ix_screen_secret_hash", "screen", ["secret_hash"], unique=False)


def _screen_notice() -> None:
    op.create_table(
        "screen_notice",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("text_zh", sa.String(length=300), nullable=False),
        sa.Column("text_en", sa.String(length=300), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=False),
        sa.Column("finish", sa.DateTime(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_screen_notice"),
    )
    op.create_index("ix_screen_notice_finish", "screen_notice", ["finish"], unique=False)


def _contact() -> None:
    op.create_table(
        "contact",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("phone", sa.String(length=32), nullable=False),
        sa.Column("wechat", sa.String(length=64), nullable=False),
        sa.Column("sms", sa.Boolean(), nullable=False),
        sa.Column("wechat_on", sa.Boolean(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("changed", sa.DateTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_contact"),
    )


def _biometric_template() -> None:
    op.create_table(
        "biometric_template",
        sa.Column("template", sa.String(length=120), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=False),
        sa.Column("enrolled", sa.DateTime(), nullable=False),
        sa.Column("enrolled_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["patient_key"], ["patient.key"], name="fk_biometric_template_patient_key", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("template", name="pk_biometric_template"),
    )
    op.create_index("ix_biometric_template_patient_key", "biometric_template", ["patient_key"], unique=False)
