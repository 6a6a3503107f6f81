"""Questions that may take time are put by another thread; their answers come to the GUI's."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from PyQt5.QtCore import QObject, pyqtSignal

from common.errors import PtcsError

log = logging.getLogger(__name__)

Then = Callable[[Any], None]
Task = tuple[Callable[[], Any], Then, Callable[[PtcsError], None]]


class Worker(QObject):
    """One thread that does one thing after another. Answers are given in the thread that made the worker."""

    _done = pyqtSignal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._open = True
        self.busy = 0
        self._done.connect(self._answer)
        threading.Thread(target=self._run, name="panel-work", daemon=True).start()

    def do(self, ask: Callable[[], Any], then: Then, failed: Callable[[PtcsError], None]) -> None:
        """Run `ask` in the thread; then `then` gets its answer, or `failed` the PtcsError it raised."""
        self.busy += 1
        self._tasks.put((ask, then, failed))

    def close(self) -> None:
        """No more answers; what is under way ends by itself."""
        self._open = False
        self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            ask, then, failed = task
            try:
                answer = ask()
            except PtcsError as why:
                self._tell(failed, why)
            except Exception:  # the border of a thread
                log.exception("a panel's question failed")
                self._tell(failed, PtcsError("internal error; the log says more"))
            else:
                self._tell(then, answer)

    def _tell(self, call: Callable[..., None], what: Any) -> None:
        if self._open:
            self._done.emit(call, what)

    def _answer(self, call: Callable[..., None], what: Any) -> None:
        self.busy -= 1
        if self._open:
            call(what)
