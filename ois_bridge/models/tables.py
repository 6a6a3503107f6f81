"""All tables, in one import: what the migrations compare against."""

from ois_bridge.models import (
    accounts,
    appointments,
    archive,
    audit,
    clinical,
    forms,
    outbox,
    plans,
    treatment,
    workflow,
)
from ois_bridge.models.base import Base

__all__ = [
    "accounts",
    "appointments",
    "archive",
    "audit",
    "clinical",
    "forms",
    "metadata",
    "outbox",
    "plans",
    "treatment",
    "workflow",
]

metadata = Base.metadata
