"""Revision 3: registration and search."""

import sqlalchemy as sa
from alembic import op

from ois_bridge.domain import search_parts

revision = "0003"
down_revision = "0002"

PART = sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables, the indexes that searches walk along, and the database's own full-text index."""
    _registration()
    _search()
    _saved()
    _patient_indexes()
    _full_text()
    _fill()


def _registration() -> None:
    op.create_table(
        "patient_change",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.Column("old", sa.String(length=200), nullable=False),
        sa.Column("new", sa.String(length=200), nullable=False),
        sa.Column("changed", sa.DateTime(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_patient_change"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_patient_change_patient_key"),
    )
    op.create_index("ix_patient_change_patient_key", "patient_change", ["patient_key"], unique=False)
    op.create_table(
        "serial_number",
        sa.Column("series", sa.String(length=64), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series", name="pk_serial_number"),
    )
    op.create_table(
        "submission",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=False),
        sa.Column("made", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_submission"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_submission_patient_key"),
    )


def _search() -> None:
    op.create_table(
        "search_part",
        sa.Column("part", PART, nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("part", "patient_key", name="pk_search_part"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_search_part_patient_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "search_text",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("subject_key", sa.String(length=16), nullable=False),
        sa.Column("course_key", sa.String(length=16), nullable=True),
        sa.Column("patient_key", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("grams", sa.Text(), nullable=False),
        sa.Column("changed", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_search_text"),
        sa.ForeignKeyConstraint(["course_key"], ["course.key"], name="fk_search_text_course_key"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_search_text_patient_key"),
        sa.UniqueConstraint("subject_key", name="uq_search_text_subject_key"),
    )
    op.create_index("ix_search_text_course_key", "search_text", ["course_key"], unique=False)
    op.create_index("ix_search_text_patient_key", "search_text", ["patient_key"], unique=False)


def _saved() -> None:
    op.create_table(
        "saved_search",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("made", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_saved_search"),
    )
    op.create_index("ix_saved_search_owner", "saved_search", ["owner", "made"], unique=False)
    op.create_table(
        "list_layout",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("columns", sa.String(length=400), nullable=False),
        sa.PrimaryKeyConstraint("user", name="pk_list_layout"),
    )


def _patient_indexes() -> None:
    """The list's own order; and one person, one record: an id card or barcode is kept once."""
    op.create_index("ix_patient_registered", "patient", ["registered", "key"], unique=False)
    for column in ("id_card", "barcode"):
        filled = sa.text(f"{column} <> ''")
        op.create_index(
            f"uq_patient_{column}",
            "patient",
            [column],
            unique=True,
            sqlite_where=filled,
            postgresql_where=filled,
        )


def _full_text() -> None:
    """FTS5 over `grams`, kept in step by triggers; in PostgreSQL an index of text vectors."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE INDEX ix_search_text_grams ON search_text USING gin (to_tsvector('simple', grams))"
        )
        return
    op.execute(
        "CREATE VIRTUAL TABLE search_text_index USING fts5(grams, content='search_text', "
        "content_rowid='number', tokenize=\"unicode61 remove_diacritics 0\")"
    )
    gone = (
        "INSERT INTO search_text_index(search_text_index, rowid, grams) "
        "VALUES ('delete', old.number, old.grams);"
    )
    come = "INSERT INTO search_text_index(rowid, grams) VALUES (new.number, new.grams);"
    for event, deeds in (("INSERT", come), ("DELETE", gone), ("UPDATE", gone + " " + come)):
        name = f"search_text_{event.lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON search_text BEGIN {deeds} END")


def _fill() -> None:
    """Patients of before get their pieces of names and numbers, as registration writes them now."""
    connection = op.get_bind()
    names = ("key", "name", "patient_id", "id_card", "hospital_number", "barcode", "phone")
    patient = sa.table("patient", *(sa.column(name) for name in names))
    for key, name, *numbers in connection.execute(sa.select(patient)).all():
        rows = [{"p": part, "k": key} for part in sorted(search_parts.of_patient(name, numbers))]
        connection.execute(sa.text("INSERT INTO search_part (part, patient_key) VALUES (:p, :k)"), rows)
