"""Jobs: what was asked, how far it is, and what came of it. Kept on disk so that a restart can tell."""

import json
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from common.errors import Refused
from common.files import read_json, write_atomic, write_json
from common.text import _


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class JobEvent(StrEnum):
    """What happens to a job."""

    START = "start"
    FINISH = "finish"
    FAIL = "fail"


TABLE: Mapping[JobState, Mapping[JobEvent, JobState]] = {
    JobState.QUEUED: {JobEvent.START: JobState.RUNNING, JobEvent.FAIL: JobState.FAILED},
    JobState.RUNNING: {JobEvent.FINISH: JobState.DONE, JobEvent.FAIL: JobState.FAILED},
    JobState.DONE: {},
    JobState.FAILED: {},
}


@dataclass(frozen=True)
class Job:
    """One job. progress 0..1; step: what is being done; error: why it failed; result: when DONE."""

    id: str
    kind: str
    user: str
    state: JobState = JobState.QUEUED
    progress: float = 0.0
    step: str = ""
    error: str = ""
    result: dict[str, Any] | None = None

    def after(self, event: JobEvent, **changes: Any) -> "Job":
        """The job after an event. Raises Refused where the table has none such."""
        following = TABLE[self.state].get(event)
        if following is None:
            raise Refused(f"job {self.id} is {self.state}: {event} is not possible")
        return replace(self, state=following, **changes)

    def shown(self) -> dict[str, Any]:
        """What GET /jobs/ID answers."""
        return asdict(self)


class JobStore:
    """Jobs below one directory: ID/request.json, ID/state.json and artefacts. Safe to use from threads."""

    def __init__(self, root: Path) -> None:
        """Read what is there; a job that another process left unfinished is FAILED from now on."""
        self._root = root
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        root.mkdir(parents=True, exist_ok=True)
        for path in sorted(root.glob("*/state.json")):
            job = _read(path)
            self._jobs[job.id] = job
        self.fail_unfinished(_("the planning service stopped before this job was done; post it again"))

    def add(self, kind: str, user: str, request: Mapping[str, Any]) -> Job:
        """A new QUEUED job, on disk before it is answered."""
        job = Job(uuid.uuid4().hex, kind, user)
        folder = self._root / job.id
        write_atomic(folder / "request.json", _json_bytes(request), mode=0o600)
        self._keep(job)
        return job

    def get(self, job_id: str) -> Job:
        """A job by its id. Raises KeyError."""
        with self._lock:
            return self._jobs[job_id]

    def apply(self, job_id: str, event: JobEvent, **changes: Any) -> Job:
        """Change a job's state, durably. Raises Refused where the table has no such event."""
        job = self.get(job_id).after(event, **changes)
        self._keep(job)
        return job

    def report(self, job_id: str, progress: float, step: str) -> None:
        """How far a RUNNING job is; not written to disk, where only states matter."""
        with self._lock:
            job = self._jobs[job_id]
            if job.state is JobState.RUNNING:
                self._jobs[job_id] = replace(job, progress=min(max(progress, 0.0), 1.0), step=step)

    def fail_unfinished(self, why: str) -> None:
        """Mark every job that is neither DONE nor FAILED as FAILED."""
        with self._lock:
            unfinished = [job.id for job in self._jobs.values() if JobEvent.FAIL in TABLE[job.state]]
        for job_id in unfinished:
            self.apply(job_id, JobEvent.FAIL, error=why)

    def put_artefact(self, job_id: str, name: str, content: bytes) -> None:
        """Keep a file of a job."""
        write_atomic(self._root / job_id / name, content)

    def artefact(self, job_id: str, name: str) -> Path:
        """Where a job's artefact lies. Raises KeyError for a job or artefact that does not exist."""
        self.get(job_id)
        path = self._root / job_id / name
        if not re.fullmatch(r"[a-z0-9_-]+\.png", name) or not path.is_file():
            raise KeyError(name)
        return path

    def _keep(self, job: Job) -> None:
        write_json(self._root / job.id / "state.json", job.shown())
        with self._lock:
            self._jobs[job.id] = job


def _json_bytes(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, ensure_ascii=False, indent=2).encode()


def _read(path: Path) -> Job:
    content = read_json(path)
    return Job(**{**content, "state": JobState(content["state"])})
