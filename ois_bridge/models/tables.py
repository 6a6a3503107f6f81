"""All tables, in one import: what the migrations compare against."""

from ois_bridge.models import (
    access,
    accounts,
    appointments,
    archive,
    audit,
    clinical,
    delivery,
    designs,
    faults,
    forms,
    merging,
    outbox,
    pictures,
    plans,
    queue,
    record,
    registration,
    scheduling,
    search,
    treatment,
    versions,
    workflow,
    workflow_log,
)
from ois_bridge.models.base import Base

__all__ = [
    "access",
    "accounts",
    "appointments",
    "archive",
    "audit",
    "clinical",
    "delivery",
    "designs",
    "faults",
    "forms",
    "merging",
    "metadata",
    "outbox",
    "pictures",
    "plans",
    "queue",
    "record",
    "registration",
    "scheduling",
    "search",
    "treatment",
    "versions",
    "workflow",
    "workflow_log",
]

metadata = Base.metadata


def compared(name: str | None, kind: str, _parents: object) -> bool:
    """Whether an entry of the database is described by the models: all but the databases' own full text."""
    return not (
        name is not None
        and (
            (kind == "table" and name.startswith("search_text_index"))
            or (kind == "index" and name == "ix_search_text_grams")
        )
    )
