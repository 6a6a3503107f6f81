"""The link of this process to the plant or the fpga: found by its run file, its latest block, its events."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import LinkLost
from common.files import read_json
from common.links.wire import Peer, WireClient, block_values, channel_names
from common.text import _
from common.wire.frame import Frame
from device_servers.drivers.protocols import Floats, Wake

log = logging.getLogger(__name__)

SEARCH_S = 0.2
"""Period at which the run file is looked at."""
REQUEST_LIMIT_S = 2.0


@dataclass(frozen=True)
class Snapshot:
    """The latest block: `index` of each channel name, `values`, and when they were taken."""

    index: Mapping[str, int] = field(default_factory=dict)
    values: Floats = field(default_factory=lambda: np.empty(0))
    wall_ns: int = 0


EMPTY = Snapshot()


class FrameLink:
    """One connection that all devices of a process share. Every method may be called from any thread."""

    def __init__(
        self,
        run_file: Path,
        name: str,
        *,
        watchdog: bool = False,
        pulse_s: float = 0.02,
        stale_s: float = 1.0,
    ) -> None:
        """Starts looking for the peer at once. `run_file` names its host and port, and may appear later."""
        self.name = name
        self._run_file = run_file
        self._peer = Peer("", 0, name, watchdog=watchdog, pulse_s=pulse_s, stale_s=stale_s)
        self._client: WireClient | None = None
        self._index: Mapping[str, int] = {}
        self._snapshot = EMPTY
        self._wakes: list[Wake] = []
        self._handlers: defaultdict[str, list[Callable[[Frame], None]]] = defaultdict(list)
        self._end = threading.Event()
        self._finder = threading.Thread(target=self._find, name=f"find-{name}", daemon=True)
        self._finder.start()

    @property
    def up(self) -> bool:
        """Whether the peer is connected, heard of lately, and has sent a block since it connected."""
        client = self._client
        return client is not None and client.alive and self._snapshot is not EMPTY

    def snapshot(self) -> Snapshot:
        """The latest block; empty while the link is not up."""
        return self._snapshot if self.up else EMPTY

    def listen(self, wake: Wake) -> None:
        """Call `wake` after each block, event and change of the link."""
        if wake not in self._wakes:
            self._wakes.append(wake)

    def on_event(self, event: str, handler: Callable[[Frame], None]) -> None:
        """Call `handler` (on the I/O thread: be short) with each EVENT of that name."""
        self._handlers[event].append(handler)

    def request(
        self,
        verb: str,
        body: Mapping[str, Any] | None = None,
        arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> Frame:
        """The peer's reply. Raises Refused with its reason, LinkLost when it does not answer."""
        client = self._client
        if client is None:
            raise LinkLost(_("no link to {peer}; is its process running?").format(peer=self._run_file.stem))
        return client.request({"do": verb, **(body or {})}, arrays, REQUEST_LIMIT_S)

    def close(self) -> None:
        """End the link; a watched peer trips."""
        self._end.set()
        self._finder.join(timeout=2.0)
        if self._client is not None:
            self._client.close()

    def _find(self) -> None:
        """Open the link, and open it anew when the peer comes back at another address."""
        address: tuple[str, int] | None = None
        while not self._end.is_set():
            found = _address(self._run_file)
            if found is not None and found != address:
                address = found
                if self._client is not None:
                    self._client.close()
                peer = replace(self._peer, host=found[0], port=found[1])
                self._client = WireClient(peer, self._block, self._event, self._changed)
            self._end.wait(SEARCH_S)

    def _block(self, frame: Frame) -> None:
        self._snapshot = Snapshot(self._index, block_values(frame), frame.wall_ns or time.time_ns())
        self._wake()

    def _event(self, frame: Frame) -> None:
        name = str(frame.body.get("event"))
        if name == "hello":
            self._index = {channel: i for i, channel in enumerate(channel_names(frame.body))}
            self._snapshot = EMPTY
        for handler in self._handlers[name]:
            handler(frame)
        self._wake()

    def _changed(self, up: bool) -> None:
        if not up:
            self._snapshot = EMPTY
        log.info("link %s to %s is %s", self.name, self._run_file.stem, "up" if up else "lost")
        self._wake()

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()


def _address(run_file: Path) -> tuple[str, int] | None:
    try:
        entry = read_json(run_file)
        return str(entry.get("host", "127.0.0.1")), int(entry["port"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as why:
        log.warning("run file %s unreadable: %s", run_file.name, why)
        return None
