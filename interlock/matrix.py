"""Reads a site's cause-and-effect matrix: which bad input takes the permit of which output, as data."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.clock import ticks
from common.errors import BadConfig
from common.site import load_checked
from interlock.complaints import complaints
from interlock.table import Family, Input, Kind, Latch, Matrix, Output, SearchPlan, Stage, Text

__all__ = [
    "Family",
    "Input",
    "Kind",
    "Latch",
    "Matrix",
    "Output",
    "SearchPlan",
    "Stage",
    "Text",
    "complaints",
    "from_content",
    "load",
]

NEEDED = ("latch", "maskable", "cuts")
"""What a row of a row file has, from itself or from the file's `defaults`."""


def load(path: Path) -> Matrix:
    """Read and check a matrix file with the row files it includes.

    Raises BadConfig naming the place and what is allowed there.
    """
    content = load_checked(path, "interlock")
    content["inputs"] = [
        *content.get("inputs", ()),
        *(row for name in content.get("include", ()) for row in _rows(path.parent / name)),
    ]
    if not content["inputs"]:
        raise BadConfig(f"{path.name}: no inputs: give `inputs`, or `include` row files")
    matrix = from_content(content)
    complaint = next(complaints(matrix), None)
    if complaint is not None:
        raise BadConfig(f"{path.name}: {complaint}")
    return matrix


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a row file, each with the file's family and defaults."""
    content = load_checked(path, "interlock_rows")
    for row in content["inputs"]:
        whole = {"family": content["family"], **content.get("defaults", {}), **row}
        for key in NEEDED:
            if key not in whole:
                raise BadConfig(f"{path.name}: input {row['name']} lacks {key}: give it, or in `defaults`")
        yield whole


def from_content(content: Mapping[str, Any]) -> Matrix:
    """The matrix of a schema-checked content with all rows; `complaints` has yet to be asked."""
    authority = content["authority"]
    differ_ms = float(content.get("discrepancy_ms", 0))
    return Matrix(
        name=content["matrix"],
        title=Text(**content["title"]),
        outputs=tuple(_output(row) for row in content["outputs"]),
        inputs=tuple(_input(row, differ_ms) for row in content["inputs"]),
        arming=frozenset(content["arming"]),
        service_key=content["service_key"],
        fast_output=content["fast_output"],
        mask_limit_ticks=ticks(float(content["mask_limit_s"])),
        unmaskable=frozenset(Family(name) for name in content["unmaskable_families"]),
        reset_roles={Family(key): frozenset(roles) for key, roles in authority["reset"].items()},
        mask_roles={Family(key): frozenset(roles) for key, roles in authority["mask"].items()},
        searches=tuple(_search(row) for row in content["search"]),
        beam_off=tuple(_stage(row) for row in content.get("beam_off", ())),
        self_test_ticks=ticks(float(content.get("self_test_hours", 0)) * 3600.0),
    )


def _output(row: Mapping[str, Any]) -> Output:
    return Output(row["name"], float(row["off_us"]), Text(**row["text"]), row.get("room", ""))


def _input(row: Mapping[str, Any], differ_ms: float) -> Input:
    signals = tuple(row.get("signals", (row["signal"],) if "signal" in row else ()))
    paired = len(signals) > 1
    return Input(
        name=row["name"],
        family=Family(row["family"]),
        kind=Kind(row.get("kind", "fault")),
        latch=Latch(row["latch"]),
        maskable=row["maskable"],
        cuts=frozenset(row["cuts"]),
        text=Text(**row["text"]),
        signals=signals,
        discrepancy_ticks=ticks(float(row.get("discrepancy_ms", differ_ms)) / 1000.0) if paired else 0,
        room=row.get("room", ""),
    )


def _stage(row: Mapping[str, Any]) -> Stage:
    outputs = row.get("outputs", [row["output"]] if "output" in row else [])
    return Stage(frozenset(outputs), row["confirm"], ticks(float(row["within_us"]) / 1e6))


def _search(row: Mapping[str, Any]) -> SearchPlan:
    return SearchPlan(
        room=row["room"],
        input=row["input"],
        buttons=tuple(row["buttons"]),
        walk_ticks=ticks(float(row["walk_s"])),
        close_ticks=ticks(float(row["close_s"])),
    )
