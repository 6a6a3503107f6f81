"""Runs the revisions on the connection that the process hands over."""

from alembic import context

from ois_bridge.models.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
