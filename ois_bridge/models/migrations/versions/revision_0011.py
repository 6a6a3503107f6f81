"""Revision 11: which tasks were changed, so that kept work lists read those anew and no others."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

CHANGES = {"INSERT": ("NEW",), "UPDATE": ("NEW",), "DELETE": ("OLD",)}
"""Change of a task -> whose key says which one it was. Keys are never changed."""
BUMP = (
    "INSERT INTO data_version (name, number) VALUES ('tasks', 1) "
    "ON CONFLICT (name) DO UPDATE SET number = data_version.number + 1"
)
NOTE = (
    "INSERT INTO task_change (task_key, number) "
    "SELECT {row}.key, number FROM data_version WHERE name = 'tasks' "
    "ON CONFLICT (task_key) DO UPDATE SET number = excluded.number"
)


def upgrade() -> None:
    """A number for each change of a task; only what else a work list shows counts as a change of all. A new
    course has no task yet.
    """
    op.create_table(
        "task_change",
        sa.Column("task_key", sa.String(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_key", name="pk_task_change"),
    )
    op.create_index("ix_task_change_number", "task_change", ["number"])
    if op.get_bind().dialect.name == "postgresql":
        _postgresql_triggers()
    else:
        _sqlite_triggers()


def _sqlite_triggers() -> None:
    op.execute("DROP TRIGGER watch_course_insert")
    for change, (row,) in CHANGES.items():
        op.execute(f"DROP TRIGGER watch_task_{change.lower()}")
        note = NOTE.format(row=row)
        op.execute(
            f"CREATE TRIGGER watch_task_{change.lower()} AFTER {change} ON task BEGIN {BUMP}; {note}; END"
        )


def _postgresql_triggers() -> None:
    op.execute("DROP TRIGGER watch_course ON course")
    op.execute(
        "CREATE TRIGGER watch_course AFTER UPDATE OR DELETE ON course "
        "FOR EACH STATEMENT EXECUTE FUNCTION ptcs_work_lists_changed()"
    )
    op.execute("DROP TRIGGER watch_task ON task")
    deleted, changed = NOTE.format(row="OLD"), NOTE.format(row="NEW")
    op.execute(
        "CREATE FUNCTION ptcs_task_changed() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {BUMP}; IF TG_OP = 'DELETE' THEN {deleted}; ELSE {changed}; END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER watch_task AFTER INSERT OR UPDATE OR DELETE ON task "
        "FOR EACH ROW EXECUTE FUNCTION ptcs_task_changed()"
    )
