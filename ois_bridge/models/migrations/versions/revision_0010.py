"""Revision 10: versions of data, since when a role is held, the last log-in."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

WATCHED = {
    "task": ("INSERT", "UPDATE", "DELETE"),
    "course": ("INSERT", "UPDATE", "DELETE"),
    "patient": ("UPDATE",),
    "restriction": ("INSERT", "UPDATE", "DELETE"),
    "care_team_member": ("INSERT", "UPDATE", "DELETE"),
}
"""Table -> changes after which a work list may be another one."""

BUMP = (
    "INSERT INTO data_version (name, number) VALUES ('work lists', 1) "
    "ON CONFLICT (name) DO UPDATE SET number = data_version.number + 1"
)


def upgrade() -> None:
    """Triggers count the changes of what work lists show; roles get a date and a giver."""
    op.create_table(
        "data_version",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_data_version"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _postgresql_triggers()
    else:
        _sqlite_triggers()
    op.add_column("account", sa.Column("last_log_in", sa.DateTime(), nullable=True))
    op.add_column("account_role", sa.Column("since", sa.DateTime(), nullable=True))
    op.add_column(
        "account_role", sa.Column("given_by", sa.String(length=64), nullable=False, server_default="")
    )
    # what is known of the roles that are held already: not longer than the account
    op.execute(
        "UPDATE account_role SET since = "
        "(SELECT account.created FROM account WHERE account.key = account_role.account_key)"
    )


def _sqlite_triggers() -> None:
    for table, changes in WATCHED.items():
        for change in changes:
            op.execute(
                f"CREATE TRIGGER watch_{table}_{change.lower()} AFTER {change} ON {table} BEGIN {BUMP}; END"
            )


def _postgresql_triggers() -> None:
    op.execute(
        "CREATE FUNCTION ptcs_work_lists_changed() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {BUMP}; RETURN NULL; END $$"
    )
    for table, changes in WATCHED.items():
        op.execute(
            f"CREATE TRIGGER watch_{table} AFTER {' OR '.join(changes)} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ptcs_work_lists_changed()"
        )
