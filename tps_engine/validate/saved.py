"""Results of single cases on disk, with their pictures: what a run that was cut short takes up again."""

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from common.files import write_atomic
from tps_engine.validate.case import NOT_RUN, Case, Check, Outcome, Picture, Result

FORMAT = 1


def write(folder: Path, result: Result, seconds: float, key: str) -> None:
    """Write one result. key: names all that it depends on. seconds: processor time. Raises OSError."""
    pictures = [
        {"caption": one.caption, "png": b64encode(one.png).decode()} for one in result.outcome.pictures
    ]
    content = {"format": FORMAT, "key": key, "seconds": seconds, **result.to_json(), "pictures": pictures}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(_path(folder, result.case), json.dumps(content, ensure_ascii=False, indent=1).encode())


def read(folder: Path, case: Case, key: str) -> tuple[Result, float] | None:
    """The result of a case and its processor seconds, or None: never run, not run to an end, of another key,
    or a file that cannot be read.
    """
    try:
        content = json.loads(_path(folder, case).read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["key"] != key or content["status"] == NOT_RUN:
            return None
        return _result(case, content), float(content["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _result(case: Case, content: dict[str, Any]) -> Result:
    checks = tuple(
        Check(
            one["what"], float("nan") if one["value"] is None else float(one["value"]), one["unit"],
            one["low"], one["high"], one["reference"],
        )
        for one in content["checks"]
    )  # fmt: skip
    pictures = tuple(Picture(one["caption"], b64decode(one["png"])) for one in content["pictures"])
    return Result(case, content["status"], content["why"], Outcome(checks, pictures, tuple(content["notes"])))


def _path(folder: Path, case: Case) -> Path:
    return folder / f"{case.name}.json"
