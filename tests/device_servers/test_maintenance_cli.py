"""`ptcs components`, `revalidate` and `checklist` on a whole running facility, as a person at a terminal."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import site as sites
from common.hashchain import entries
from common.state import StateDir

SITE_FILE = sites.CONFIG / "cyclotron.yaml"
MAGNET = "line/magnet/ess-bend"
UP_S = 180


class Terminal:
    """Somebody at a terminal of one facility."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def run(self, *words: str, language: str = "en", typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ptcs.cli", *words, "--state", str(self.state)],
            env={**os.environ, "PTCS_LANG": language, "COLUMNS": "160"},
            capture_output=True,
            text=True,
            input=typed,
            timeout=UP_S,
            check=False,
        )

    def as_user(self, user: str, *words: str, **options: str) -> subprocess.CompletedProcess[str]:
        password = json.loads(StateDir(self.state).demo_accounts.read_text())[user]
        return self.run(*words, "--user", user, "--password", password, **options)

    def set_mode(self, user: str, mode: str) -> None:
        done = self.as_user(user, "mode", mode)
        assert done.returncode == 0 and self.run("mode").stdout.strip() == mode, done.stderr


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    here = Terminal(tmp_path_factory.mktemp("facility") / "state")
    up = here.run("up", "--detach", "--site", str(SITE_FILE))
    try:
        assert up.returncode == 0, up.stderr
        yield here
    finally:
        here.run("down")


@pytest.mark.slow
@pytest.mark.requirement("ACS-REVALIDATE")
def test_exchange_and_revalidation_at_a_terminal(terminal: Terminal) -> None:
    fit = terminal.as_user("service", "components", "fit", MAGNET, "A1", "--type", "T", "--maker", "M")
    assert fit.returncode == 0, fit.stderr
    wish = ("components", "exchange", MAGNET, "A2", "--reason", "ground fault")
    assert "CLINICAL" in terminal.as_user("service", *wish).stderr
    terminal.set_mode("service", "SERVICE")
    exchange = terminal.as_user("service", *wish)
    assert exchange.returncode == 0 and "revalidate" in exchange.stdout, exchange.stderr
    assert MAGNET in terminal.run("components", "due").stdout
    no = terminal.as_user("service", "revalidate", MAGNET, typed="n\nloose cable\n")
    assert no.returncode == 1 and "loose cable" in no.stdout, no.stdout + no.stderr
    done = terminal.as_user("service", "revalidate", MAGNET, "--yes", language="zh")
    assert done.returncode == 0 and "通过" in done.stdout, done.stdout + done.stderr
    history = json.loads(terminal.run("components", "show", MAGNET, "--json").stdout)
    assert [entry["kind"] for entry in history["history"]] == ["fit", "exchange", "record", "record"]
    assert not history["pending_since"]
    digest = history["history"][-1]["hash"]
    assert (terminal.state / "maintenance" / "reports" / f"{digest[:16]}.pdf").read_bytes()[:5] == b"%PDF-"
    assert json.loads(terminal.run("components", "record", digest[:10]).stdout)["hash"] == digest
    terminal.set_mode("operator", "CLINICAL")


@pytest.mark.slow
@pytest.mark.requirement("ACS-MAINTENANCE")
def test_start_up_brings_a_site_from_off_to_ready_but_not_unsearched(terminal: Terminal) -> None:
    words = ("checklist", "start-up", "--yes")
    early = terminal.as_user("operator", *words)
    assert early.returncode == 1 and "SearchState: FREE" in early.stdout, early.stdout + early.stderr
    search(terminal)
    done = terminal.as_user("operator", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert terminal.as_user("therapist", "checklist", "shut-down", "--yes").returncode == 1
    down = terminal.as_user("operator", "checklist", "shut-down", "--yes")
    assert down.returncode == 0, down.stdout + down.stderr
    kept = [e for e in entries(terminal.state / "maintenance" / "register.log") if "checklist" in e]
    assert [(entry["checklist"], entry["passed"]) for entry in kept] == [
        ("start-up", False),
        ("start-up", True),
        ("shut-down", True),
    ]


def search(terminal: Terminal) -> None:
    """What the person with the key does: close the doors behind, press every button in order."""
    site = sites.load(SITE_FILE)
    for door in site.of_class("SafetyDoor"):
        for act in ("open", "close"):
            assert terminal.run("hand", door.wire, act).returncode == 0
    for station in site.of_class("SearchStation"):
        done = terminal.run("hand", station.name, "search")
        assert done.stdout.count("press") == len(station.plant["buttons"]), done.stdout + done.stderr
    for words, why in (((MAGNET, "open"), "SafetyDoor: open"), (("nothing", "open"), "no device nothing")):
        refused = terminal.run("hand", *words)
        assert refused.returncode == 1 and why in refused.stderr, refused.stderr
