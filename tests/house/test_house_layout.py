"""The house rules that a machine can check."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.house.trace import known_rows, marked_tests

ROOMS = (
    "ptcs",
    "gui",
    "ois_bridge",
    "device_servers",
    "simulation",
    "interlock",
    "timing",
    "treatment",
    "tps_engine",
    "common",
)
FILE_LIMIT, FUNCTION_LIMIT, CLASS_LIMIT = 400, 60, 150


def sources() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((REPOSITORY / room).rglob("*.py"))


def test_imports_point_only_downward() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.parametrize("room", ROOMS)
def test_package_lies_in_this_checkout(room: str) -> None:
    origin = importlib.import_module(room).__file__
    assert origin is not None
    assert Path(origin).resolve().is_relative_to(REPOSITORY)


def test_files_functions_and_classes_stay_small() -> None:
    too_big = []
    for path in sources():
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(REPOSITORY)
        if text.count("\n") > FILE_LIMIT:
            too_big.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            limit = CLASS_LIMIT if isinstance(node, ast.ClassDef) else FUNCTION_LIMIT
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > limit:
                too_big.append(f"{name}:{node.lineno} {node.name}: {length} lines, allowed {limit}")
    assert too_big == []


def test_markers_name_known_rows() -> None:
    known = set(known_rows())
    if not known:
        pytest.skip("shared/requirements.yaml is not on this machine")
    assert set(marked_tests()) <= known


def test_every_command_in_the_readme_exists() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    script = (REPOSITORY / "run").read_text(encoding="utf-8")
    own = set(re.findall(r"^  ([a-z-]+)\)", script, re.MULTILINE))
    used = set(re.findall(r"\./run ([a-z-]+)", readme))
    assert {"demo", "test"} <= used
    cli = importlib.import_module("ptcs.cli")
    unknown = used - own - set(cli.main.list_commands(None))
    assert unknown == set()


def test_readme_says_that_it_is_no_medical_device() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert "not a medical device" in readme
