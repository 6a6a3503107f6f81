"""Commands that take time: one queue and one worker thread per device."""

import itertools
import json
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

import tango

from common.errors import PtcsError, Refused
from common.text import _

log = logging.getLogger(__name__)

Work = Callable[[threading.Event], None]
"""A job: runs until done, returns early when the event is set, raises PtcsError on failure."""

KEPT = 100
"""Finished jobs that JobStatus still knows."""


@dataclass
class Job:
    """One queued piece of work and where it stands."""

    work: Work
    state: str = "QUEUED"
    error: str = ""


class Jobs:
    """Runs jobs one after the other; `changed` is called after each change of state."""

    def __init__(self, name: str, changed: Callable[[], None]) -> None:
        self._name = name
        self._changed = changed
        self._numbers = itertools.count(1)
        self._jobs: dict[str, Job] = {}
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, work: Work) -> str:
        """Queue a job and return its id."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"jobs {self._name}", daemon=True)
                self._thread.start()
            number = str(next(self._numbers))
            job = self._jobs[number] = Job(work)
            for old in list(self._jobs)[:-KEPT]:
                if self._jobs[old].state in ("DONE", "FAILED"):
                    del self._jobs[old]
        self._queue.put(job)
        return number

    @property
    def busy(self) -> bool:
        """Whether a job is queued or running."""
        with self._lock:
            return any(job.state in ("QUEUED", "RUNNING") for job in self._jobs.values())

    def status(self, number: str) -> str:
        """JSON `{"state", "error"}` of a job. Raises Refused for an unknown id."""
        with self._lock:
            job = self._jobs.get(number)
            if job is None:
                raise Refused(_("no job {number}; the last 100 are kept").format(number=number))
            return json.dumps({"state": job.state, "error": job.error})

    def cancel(self) -> None:
        """Tell the running job to end, and fail all queued ones."""
        with self._lock:
            for job in self._jobs.values():
                if job.state == "QUEUED":
                    job.state, job.error = "FAILED", _("stopped")
            self._stop.set()

    def close(self) -> None:
        """Cancel everything and end the worker."""
        self.cancel()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout=1.0)

    def _run(self) -> None:
        with tango.EnsureOmniThread():
            while (job := self._queue.get()) is not None:
                with self._lock:
                    if job.state != "QUEUED":
                        continue
                    job.state = "RUNNING"
                    self._stop.clear()
                self._changed()
                error = self._perform(job)
                with self._lock:
                    job.state, job.error = ("FAILED" if error else "DONE"), error
                self._changed()

    def _perform(self, job: Job) -> str:
        """Run one job; its error text, "" when it succeeded."""
        try:
            job.work(self._stop)
        except PtcsError as why:
            return str(why)
        except Exception:  # a job's border: the worker goes on with the next one
            log.exception("job on %s failed", self._name)
            return _("internal error; see the log of this server")
        return _("stopped") if self._stop.is_set() else ""
