"""What the steps of the demo share: the facility, the users' connections, the output, the progress."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from common.files import read_json
from common.links.dimse import Peer
from common.links.http import JsonClient
from common.state import StateDir
from common.text import _, language

CT_AET = "PTCS_CT"
JOB_POLL = 0.1


@dataclass(frozen=True)
class DemoOptions:
    """What the user asked for. `ct`: folder of a DICOM CT with its RTSTRUCT, or None: synthetic.

    room: the treatment room; empty: the site's first one.
    """

    ct: Path | None
    target: str | None
    out: Path
    ion: str = "proton"
    seed: int = 1
    interrupt: bool = True
    room: str = ""


@dataclass
class Demo:
    """One run of the demo."""

    options: DemoOptions
    facility: dict[str, Any]
    console: Console
    summary: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = StateDir(Path(self.facility["state_dir"]))
        self.passwords: dict[str, str] = read_json(self.state.demo_accounts)
        self.random = random.Random(self.options.seed)  # noqa: S311 - a moment of interruption, no secret
        ois = self.facility["ois_dicom"]
        self.ois_dicom = Peer(ois["host"], ois["port"], ois["aet"])
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:44}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>4.0f}% {task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
        )

    def token(self, user: str) -> str:
        """The user's token; logs in at the OIS the first time."""
        if user not in self.tokens:
            with JsonClient(f"{self.facility['ois_url']}/api/v1") as client:
                answer = client.post("/login", {"user": user, "password": self.passwords[user]})
            self.tokens[user] = answer["token"]
        return self.tokens[user]

    def ois(self, user: str) -> JsonClient:
        """The OIS's REST API as a user."""
        return JsonClient(f"{self.facility['ois_url']}/api/v1", self.token(user))

    def tps(self, user: str) -> JsonClient:
        """The TPS service's REST API as a user, who reads its pictures in their own language."""
        return JsonClient(f"{self.facility['tps_url']}/api/v1", self.token(user), language=language())

    @contextmanager
    def step(self, system: str, text: str) -> Iterator["Step"]:
        """A line of progress: which system does what; its duration goes into the summary."""
        task = self.progress.add_task(f"[bold]{system}[/] {text}", total=1.0, note="")
        started = time.monotonic()
        step = Step(self.progress, task)
        yield step
        self.progress.update(task, completed=1.0)
        self.progress.stop_task(task)
        self.summary.setdefault("steps", []).append(
            {"system": system, "step": text, "seconds": round(time.monotonic() - started, 3)}
        )


@dataclass(frozen=True)
class Step:
    """One progress line."""

    progress: Progress
    task: Any

    def update(self, fraction: float, note: str = "") -> None:
        """Show how far the step is (0..1), and a short note."""
        self.progress.update(self.task, completed=fraction, note=note)


class JobFailed(Exception):
    """A job of a system ended with an error that it explains itself."""


def run_tps_job(client: JsonClient, request: dict[str, Any], step: Step) -> tuple[str, dict[str, Any]]:
    """Post a job to the TPS service and wait for it; (job id, result). Raises JobFailed."""
    job = client.post("/jobs", request)["id"]
    while True:
        state = client.get(f"/jobs/{job}")
        if state["state"] == "DONE":
            return job, state["result"]
        if state["state"] == "FAILED":
            raise JobFailed(f"{_('planning system')}: {state['error']}")
        step.update(float(state["progress"]), str(state.get("step", "")))
        time.sleep(JOB_POLL)


def run_tango_job(proxy: Any, command: str, argument: Any = None) -> None:
    """Queue a command of a Tango device and wait until its job is done. Raises JobFailed."""
    job = proxy.command_inout(command) if argument is None else proxy.command_inout(command, argument)
    while True:
        state = json.loads(proxy.command_inout("JobStatus", job))
        if state["state"] == "DONE":
            return
        if state["state"] == "FAILED":
            raise JobFailed(f"{proxy.dev_name()} {command}: {state['error']}")
        time.sleep(JOB_POLL / 4)
