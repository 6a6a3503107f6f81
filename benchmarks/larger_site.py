"""A larger site made of a site's own rows: devices of some classes once more, under other names and wires."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from common.site_rows import rows
from common.yaml_file import read

COPIED = ("MagnetSupply", "VacuumGauge", "IonPump", "RadiationMonitor", "WaterCircuit")
"""Classes whose devices stand by themselves: no room, interlock row or other device names a copy."""
PART = "more.yaml"


def larger(site_file: Path, folder: Path) -> Path:
    """A copy of a site below `folder` that has the devices of `COPIED` twice; its site file.

    Raises BadConfig for a bad site file, ValueError for one that includes no files.
    """
    shutil.copytree(site_file.parent, folder)
    copy = folder / site_file.name
    text = copy.read_text(encoding="utf-8")
    if "\ninclude:\n" not in text:
        raise ValueError(f"{site_file.name} includes no files: allowed are sites with a list `include:`")
    copies = [_again(dict(row.content)) for row in rows(read(copy)) if row.content["class"] in COPIED]
    (folder / PART).write_text(yaml.safe_dump({"devices": copies}), encoding="utf-8")
    copy.write_text(text.replace("\ninclude:\n", f"\ninclude:\n  - {PART}\n"), encoding="utf-8")
    return copy


def _again(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a second device: its name ends in -b, its wire is that name."""
    name = f"{row['name']}-b"
    return {**row, "name": name, "wire": name.replace("/", "-")}
