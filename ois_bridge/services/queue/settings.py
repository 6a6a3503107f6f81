"""What a department configured for its queues, and the names of its devices."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.site import CONFIG
from common.text import language
from common.yaml_file import load_checked
from ois_bridge.domain.queue.choice import SignInRules
from ois_bridge.domain.queue.order import Rule, checked_rule
from ois_bridge.models.queue import QueueRule
from ois_bridge.models.scheduling import DepartmentDevice

QUEUE_FILE = CONFIG / "department" / "queue.yaml"

Both = Mapping[str, str]
"""A text by language: zh, en."""


@dataclass(frozen=True)
class Settings:
    """`calls`, `spoken`: texts of a call by language. `shown_s`: how long a call stands on the screens."""

    sign_in: SignInRules
    order: Rule
    soon_before: int
    calls: Both
    spoken: Both
    shown_s: int


@cache
def settings(path: Path = QUEUE_FILE) -> Settings:
    """The configuration. Raises BadConfig, BadInput for an order that cannot be."""
    content = load_checked(path, "department_queue")
    calls = content["calls"]
    return Settings(
        SignInRules(**content["sign_in"]),
        checked_rule(content["order"]),
        content["soon_before"],
        {code: calls[code] for code in ("zh", "en")},
        calls["spoken"],
        content["shown_s"],
    )


def active_rule(session: Session) -> Rule:
    """The order in force: the active version, else that of the configuration."""
    content = session.scalar(select(QueueRule.content).where(QueueRule.active))
    return checked_rule(json.loads(content)) if content else settings().order


def titles(session: Session) -> dict[str, Both]:
    """Names of the active devices, in their order, by language."""
    rows = session.scalars(
        select(DepartmentDevice).where(DepartmentDevice.active).order_by(DepartmentDevice.position)
    )
    return {row.name: {"zh": row.title_zh, "en": row.title_en} for row in rows}


def title(session: Session, device: str) -> Both:
    """The name of one device; its code where it has no row (it was removed, its past appointments stay)."""
    row = session.get(DepartmentDevice, device)
    return {"zh": row.title_zh, "en": row.title_en} if row else {"zh": device, "en": device}


def place(session: Session, device: str) -> str:
    """The name of a device in the language in force."""
    return title(session, device)[language()]
