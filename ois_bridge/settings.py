"""What one installation of the OIS says of itself: where its data lie, and who may reach it from outside."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from common.errors import BadConfig
from common.state import StateDir
from common.yaml_file import load_checked


@dataclass(frozen=True)
class Public:
    """The address for other computers: TLS only. `certificate`, `key`: PEM files."""

    host: str
    port: int
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Settings:
    """`database`: a SQLite file, or the URL of a PostgreSQL database. Without `public` only this computer
    reaches the pages. `keep_messages`: how long messages that were sent are kept.
    """

    database: Path | str
    public: Public | None
    keep_messages: timedelta


def load(state: StateDir) -> Settings:
    """The settings in STATE/ois/server.yaml; the defaults where there is no such file. Raises BadConfig."""
    path = state.root / "ois" / "server.yaml"
    content: dict[str, Any] = load_checked(path, "server") if path.exists() else {}
    return Settings(
        database=content.get("database") or state.root / "ois" / "ois.db",
        public=_public(path.parent, content["public"]) if "public" in content else None,
        keep_messages=timedelta(days=content.get("keep_messages_days", 90)),
    )


def _public(folder: Path, content: dict[str, Any]) -> Public:
    found = Public(content["host"], content["port"], folder / content["certificate"], folder / content["key"])
    for path in (found.certificate, found.key):
        if not path.is_file():
            raise BadConfig(f"server.yaml: there is no file {path}; paths are relative to {folder}")
    return found
