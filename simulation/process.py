"""What the simulated processes share: run file, the port they had before, a clean stop on SIGTERM."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

from common.errors import Refused
from common.files import read_json, write_json
from common.logs import set_up
from common.state import StateDir
from common.text import _

log = logging.getLogger(__name__)


class Announced:
    """A process with its `run/NAME.json`; as a context it also watches for SIGTERM and SIGINT."""

    def __init__(self, state: Path, name: str) -> None:
        self.path = StateDir(state).run_file(name)
        self.name = name
        self._state = state
        self.stopping = False

    def earlier_ports(self) -> dict[str, int]:
        """Ports of a process of this name that ended without removing its file, so that clients find it.

        Raises Refused while that process lives.
        """
        try:
            entry = read_json(self.path)
        except (OSError, ValueError):
            return {}
        pid = int(entry.get("pid", 0))
        if pid != os.getpid() and self._lives(pid):
            raise Refused(
                _("{name} runs already in this state directory (process {pid}); stop it first").format(
                    name=self.name, pid=pid
                )
            )
        return {key: int(value) for key, value in entry.items() if key.endswith("port")}

    def _lives(self, pid: int) -> bool:
        """Whether that process runs and is of this name and state (numbers of processes are used again)."""
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return f"simulation.{self.name}".encode() in command and self._state.name.encode() in command

    def write(self, entry: dict[str, Any]) -> None:
        """Tell where this process listens."""
        write_json(self.path, {"pid": os.getpid(), "host": "127.0.0.1", **entry})

    def __enter__(self) -> "Announced":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.path.unlink(missing_ok=True)

    def _stop(self) -> None:
        self.stopping = True


async def listen(start: Callable[[int], Awaitable[None]], asked: int, earlier: int) -> None:
    """Listen on the port asked for, else on the one this process had before, else on any free one.

    Raises OSError when the port asked for is taken.
    """
    if asked or not earlier:
        await start(asked)
        return
    try:
        await start(earlier)
    except OSError as why:
        log.warning("port %d, which was ours before, is taken (%s); another one is used", earlier, why)
        await start(0)


def run(name: str, main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine with logging set up.

    Hardware does not wait its turn: where the system allows it, the process gets priority over
    programs, and what was loaded at the start is kept out of garbage collection.
    """
    set_up(name)
    gc.freeze()
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError as why:
        log.info("no priority over other programs (%s); a busy computer may delay this process", why)
    asyncio.run(main)
