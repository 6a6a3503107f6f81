"""The tables that tests run on: of every site in config/, and one here with every feature."""

from functools import cache
from pathlib import Path

import yaml

from common.site import CONFIG
from interlock.matrix import Matrix, load

FEATURES = Path(__file__).parent / "tables" / "rooms.yaml"
"""A small table with rooms, pairs, beam-off stages and a self-test."""


def _paths() -> dict[str, Path]:
    found = {}
    for path in sorted(CONFIG.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "site" in content and "interlock" in content:
            found[path.stem] = path.parent / content["interlock"]
    return found


PATHS = _paths()
"""Site -> its table."""

BOTH = {**PATHS, "features": FEATURES}


@cache
def table(name: str) -> Matrix:
    """A site's table, or that of `features`."""
    return load(BOTH[name])
