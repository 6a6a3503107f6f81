"""The model checker spin on the model made from the site's table, and on models with a fault built in."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from common import site
from interlock import promela_off
from interlock.matrix import Kind, load
from interlock.promela import model, representatives
from tests.interlock.site_tables import BOTH, table

pytestmark = [
    pytest.mark.requirement("ACS-INTERLOCK"),
    pytest.mark.skipif(
        shutil.which("spin") is None or shutil.which("gcc") is None, reason="spin or gcc is not installed"
    ),
]

MATRIX = load(site.load().interlock_path)


def errors(text: str, folder: Path, optimise: str, *options: str) -> int:
    """Assertion violations that spin finds in a model; without any, the search must have been complete."""
    (folder / "model.pml").write_text(text, encoding="utf-8")
    subprocess.run(["spin", "-a", "model.pml"], cwd=folder, check=True, capture_output=True)
    compiler = ["gcc", optimise, "-DSAFETY", "-DNOREDUCE", "-w", "-o", "pan", "pan.c"]
    subprocess.run(compiler, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["./pan", *options], cwd=folder, check=True, capture_output=True, text=True)
    found = re.search(r"errors: (\d+)", done.stdout)
    assert found is not None, done.stdout
    count = int(found.group(1))
    assert count or "max search depth too small" not in done.stdout
    return count


def test_every_kind_of_row_is_in_the_model() -> None:
    chosen = representatives(MATRIX)
    kinds = {(r.family, r.latch, r.maskable) for r in MATRIX.inputs if r.kind is Kind.FAULT}
    assert {(r.family, r.latch, r.maskable) for r in chosen if r.kind is Kind.FAULT} == kinds
    assert {"mode.service", "session.request", "room1.search"} <= {row.name for row in chosen}


@pytest.mark.slow
def test_no_order_of_events_breaks_permit_latch_or_search(tmp_path: Path) -> None:
    assert errors(model(MATRIX), tmp_path, "-O1", "-m3000000") == 0


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (r"  latched\[0\] = .*\n", ""),  # a row that does not latch
        (
            r"(  latched\[1\] = .*)\(armed \|\| armed_before\)",
            r"\1armed",
        ),  # request lost together with its cause
        (r"latched\[3\] = latched\[3\] && !good\[3\];", "latched[3] = false;"),  # reset with the cause there
        (r"(  masked\[\d\] = masked\[\d\]) && good\[\d\];", r"\1;"),  # masks in clinical mode
        (r"\(good\[6\] && !latched\[6\]\)", "true"),  # permit without search
        (r"d_step { good\[8\] -> (masked)\[5\]", r"d_step { good[8] -> \1[2]"),  # a mask on an emergency stop
    ],
)
def test_a_fault_in_the_rules_is_found(tmp_path: Path, pattern: str, fault: str) -> None:
    text, changed = re.subn(pattern, fault, model(MATRIX))
    assert changed > 0
    assert errors(text, tmp_path, "-O0", "-m100000") > 0


def test_a_matrix_without_its_search_row_has_no_model() -> None:
    with pytest.raises(ValueError):
        model(replace(MATRIX, inputs=tuple(r for r in MATRIX.inputs if r.name != "room1.search")))


OFF = [name for name in BOTH if table(name).beam_off]


@pytest.mark.parametrize("name", OFF)
def test_every_order_of_confirmations_ends_with_beam_off(tmp_path: Path, name: str) -> None:
    assert errors(promela_off.model(table(name)), tmp_path, "-O1", "-m1000000") == 0


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (r"off == DOWN -> held = EVERY", "off == DOWN -> held = 0"),
        (r"(LAST_LATE|level \+ 1 == STAGES.*)off = DOWN;", r"\1off = OFF;"),
        (r"level = level \+ 1; ", ""),  # late for ever, and never the next stage
        (r"\(off == HELD && confirmed\[0\]\)(.*)observe\(true\)", r"(off == HELD)\1observe(false)"),
    ],
)
def test_a_fault_in_switching_off_is_found(tmp_path: Path, pattern: str, fault: str) -> None:
    text, changed = re.subn(pattern, fault, promela_off.model(table("features")))
    assert changed > 0
    assert errors(text, tmp_path, "-O0", "-m100000") > 0


def test_a_table_without_stages_has_no_model_of_them() -> None:
    with pytest.raises(ValueError, match="no beam_off stages"):
        promela_off.model(MATRIX if not MATRIX.beam_off else replace(MATRIX, beam_off=()))
