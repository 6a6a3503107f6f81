"""All tables, in one import: what the migrations compare against."""

from ois_bridge.models import accounts, archive, audit, clinical, plans, treatment
from ois_bridge.models.base import Base

__all__ = ["accounts", "archive", "audit", "clinical", "metadata", "plans", "treatment"]

metadata = Base.metadata
