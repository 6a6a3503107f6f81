"""The means of the patient's record, from the department's configuration and the state directory's links."""

from pathlib import Path
from typing import Any

from common.yaml_file import CONFIG, load_checked
from ois_bridge.domain import staging
from ois_bridge.domain.causes import Titles
from ois_bridge.interfaces.charging import HttpCharging
from ois_bridge.interfaces.downtime import DiskLists
from ois_bridge.interfaces.other_ois import OtherDatabase, sqlite_file
from ois_bridge.interfaces.printing import Documents
from ois_bridge.services.record_means import RecordMeans, Settings

DEPARTMENT = CONFIG / "department"


def build(root: Path, trips: Titles | None = None) -> RecordMeans:
    """Means of an OIS whose directory is `root`; `root/links.yaml` goes before the department's own.
    `trips`: meaning of the interlock's inputs.

    Raises BadConfig for a file that its schema does not pass.
    """
    own = root / "links.yaml"
    links = load_checked(own if own.exists() else DEPARTMENT / "links.yaml", "links")
    charging = links.get("charging")
    return RecordMeans(
        settings=_settings(load_checked(DEPARTMENT / "record.yaml", "record")),
        staging=staging.parse(load_checked(DEPARTMENT / "staging.yaml", "staging")["tables"]),
        diagnoses=load_checked(DEPARTMENT / "diagnoses.yaml", "diagnoses")["diagnoses"],
        printer=Documents(trips or {}),
        others=[
            OtherDatabase(row["name"], row["kind"], sqlite_file(Path(row["path"]).resolve()))
            for row in links["other_ois"]
        ],
        charging=HttpCharging(charging["url"]) if charging else None,
        downtime=DiskLists(root / "downtime"),
    )


def _settings(content: dict[str, Any]) -> Settings:
    return Settings(
        review_days=content["review_days"],
        follow_up_months=tuple(content["follow_up_months"]),
        toxicities=tuple({"en": row["term"], "zh": row["zh"]} for row in content["toxicities"]),
    )
