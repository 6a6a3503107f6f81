"""Every text that a user reads has a Chinese translation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.text import catalogue, set_language, translate
from tests.conftest import REPOSITORY
from tests.house.test_house_layout import sources

TEMPLATE_TEXT = re.compile(r"""\b_\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\s*\)""")


def texts_in_code() -> Iterator[tuple[Path, str]]:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") in {"_", "N_", "saying"}
                and node.args
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield path, first.value


def texts_in_templates() -> Iterator[tuple[Path, str]]:
    for path in sorted(REPOSITORY.glob("*/**/templates/**/*.html")):
        if ".venv" in path.parts:
            continue
        for double, single in TEMPLATE_TEXT.findall(path.read_text(encoding="utf-8")):
            yield path, double or single


@pytest.mark.requirement("SYS-LANGUAGE")
def test_no_untranslated_text() -> None:
    chinese = catalogue("zh")
    missing = [
        f"{path.relative_to(REPOSITORY)}: {text!r}"
        for path, text in [*texts_in_code(), *texts_in_templates()]
        if text not in chinese
    ]
    assert missing == []


@pytest.mark.requirement("SYS-LANGUAGE")
def test_language_is_chosen_and_checked() -> None:
    assert translate("Start irradiation", "zh") == "启动照射"
    assert translate("Start irradiation", "en") == "Start irradiation"
    with pytest.raises(ValueError, match="allowed are en, zh"):
        set_language("fr")
