"""The queue: one thread takes jobs in turn, so that HTTP answers while a job computes."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import PtcsError
from common.logs import opaque
from common.text import _, set_language
from tps_engine.service.jobs import Job, JobEvent, JobStore
from tps_engine.service.requests import PlanRequest, ReconstructRequest

log = logging.getLogger("tps")

Report = Callable[[float, str], None]
Keep = Callable[[str, bytes], None]


@dataclass(frozen=True)
class Order:
    """What a job runs on. token: the poster's, held in memory only. keep: stores an artefact."""

    token: str
    language: str
    report: Report
    keep: Keep


Work = Callable[[Any, Order], dict[str, Any]]
"""One kind of job: (checked request, order) -> result."""


class Worker:
    """Runs queued jobs one after the other on a daemon thread."""

    def __init__(
        self, store: JobStore, load: Callable[[], Mapping[str, Work]], prepare: Callable[[], None]
    ) -> None:
        """load: imports kind -> work; prepare: compiles the kernels. Both run on the thread, first."""
        self._store = store
        self._works: Mapping[str, Work] = {}
        self._load = load
        self._prepare = prepare
        self._queue: queue.Queue[tuple[Job, Any, str, str]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, request: PlanRequest | ReconstructRequest, user: str, token: str, language: str) -> Job:
        """Queue a checked request."""
        job = self._store.add(request.kind, user, request.model_dump())
        self._queue.put((job, request, token, language))
        return job

    def _run(self) -> None:
        try:
            self._works = self._load()
            self._prepare()
        except Exception:  # a job will show the same error to its user
            log.exception("preparation failed")
        while True:
            job, request, token, language = self._queue.get()
            set_language(language)
            self._one(job, request, token, language)

    def _one(self, job: Job, request: Any, token: str, language: str) -> None:
        order = Order(
            token=token,
            language=language,
            report=lambda progress, step: self._store.report(job.id, progress, step),
            keep=lambda name, content: self._store.put_artefact(job.id, name, content),
        )
        try:
            self._store.apply(job.id, JobEvent.START)
            result = self._works[job.kind](request, order)
            self._store.apply(job.id, JobEvent.FINISH, progress=1.0, step="", result=result)
            log.info("job %s (%s) done", opaque(job.id), job.kind)
        except PtcsError as why:
            log.warning("job %s (%s) failed: %s", opaque(job.id), job.kind, type(why).__name__)
            self._fail(job, str(why))
        except Exception:  # process border: the queue goes on, the log has the cause
            log.exception("job %s (%s) failed", opaque(job.id), job.kind)
            self._fail(job, _("internal error; the service's log (tps) has the cause"))

    def _fail(self, job: Job, why: str) -> None:
        try:
            self._store.apply(job.id, JobEvent.FAIL, error=why)
        except (OSError, PtcsError):
            log.exception("the failure of job %s could not be kept", opaque(job.id))
