"""What the documentation tells people to type exists, and its Python runs."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN = re.compile(r"(?:\./run|\bptcs) ([a-z][a-z-]+)")


def blocks(kind: str) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language == kind:
                yield page, text


def test_commands_of_the_documentation_exist() -> None:
    script = (REPOSITORY / "run").read_text(encoding="utf-8")
    known = set(re.findall(r"^  ([a-z-]+)\)", script, re.MULTILINE))
    known |= set(importlib.import_module("ptcs.cli").main.list_commands(None))
    used = {(page.name, name) for page, text in blocks("sh") for name in RUN.findall(text)}
    assert used, "no command found"
    assert {(page, name) for page, name in used if name not in known} == set()


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(REPOSITORY)}: {target}")
    assert broken == []


@pytest.mark.parametrize(
    ("page", "code"),
    [pytest.param(page, code, id=page.stem) for page, code in blocks("python")] or [(None, "")],
)
def test_python_of_the_documentation_runs(page: Path | None, code: str) -> None:
    if page is None:
        pytest.skip("no Python block in the pages")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, f"{page.name}: {result.stderr[-2000:]}"
