"""What the authority has to know of the rest: who writes, who is logged in, which rooms treat, the OIS.

One thread asks, a little each second; what does not answer counts as the careful case: a session that is
silent treats a patient, and a silent OIS is silent.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import tango

from common.errors import LinkLost, PtcsError
from common.links.http import JsonClient
from common.site import Site
from common.state import StateDir
from common.text import _
from device_servers.registration import crate_name, diff

log = logging.getLogger(__name__)

TICK_S = 1.0
SERVERS_S, OIS_S, DATABASE_S = 5.0, 5.0, 300.0
TIMEOUT_MS = 1000
OIS_TIMEOUT_S = 2.0


class Servers:
    """What the Crates of all servers tell; one thread."""

    def __init__(self, site: Site) -> None:
        self._names = [crate_name(server) for server in site.servers]
        self._proxies: dict[str, tango.DeviceProxy] = {}
        self.activity: dict[str, tuple[str, float]] = {}
        self.sessions: list[dict[str, Any]] = []

    def ask(self) -> None:
        """Ask all of them; one that does not answer leaves what it told before of activity."""
        found: dict[tuple[str, str, int], dict[str, Any]] = {}
        for name in self._names:
            try:
                proxy = self._proxies.get(name) or _proxy(name)
                self._proxies[name] = proxy
                told = [row.value for row in proxy.read_attributes(["Activity", "Sessions"])]
                activity, sessions = json.loads(told[0]), json.loads(told[1])
            except (tango.DevFailed, ValueError, TypeError) as why:
                self._proxies.pop(name, None)
                log.debug("%s: %s", name, why)
                continue
            for area, (user, at) in activity.items():
                if at > self.activity.get(area, ("", 0.0))[1]:
                    self.activity[area] = (user, at)
            for row in sessions:
                merged = found.setdefault((row["user"], row["host"], row["pid"]), {**row, "servers": 0})
                merged["servers"] += 1
        self.sessions = sorted(found.values(), key=lambda row: (row["user"], row["host"], row["pid"]))


class Treatments:
    """Which rooms are under treatment."""

    def __init__(self, site: Site) -> None:
        self._rooms = {device.name: device.room for device in site.of_class("TreatmentSession")}

    def now(self) -> frozenset[str]:
        """Rooms whose session is not IDLE; one that does not answer is not."""
        return frozenset(room for name, room in self._rooms.items() if not _idle(name))


class Ois:
    """Whether the OIS answers."""

    def __init__(self, state: StateDir, steady: Callable[[], float] = time.monotonic) -> None:
        self._state, self._steady = state, steady
        self._changed = steady()
        self.answers = False

    @property
    def lasts_s(self) -> float:
        """How long it has been so."""
        return self._steady() - self._changed

    def ask(self) -> bool:
        """Whether it answers now."""
        answers = True
        try:
            with self.client() as web:
                web.get("health")
        except PtcsError:
            answers = False
        if answers != self.answers:
            self.answers, self._changed = answers, self._steady()
            log.warning("the OIS %s", "answers" if answers else "does not answer")
        return answers

    def client(self) -> JsonClient:
        """A client of it. Raises LinkLost when it does not run."""
        where = self._state.endpoint("ois")
        base = f"http://{where.get('host', '127.0.0.1')}:{where['port']}/api/v1"
        return JsonClient(base, timeout_s=OIS_TIMEOUT_S)

    def tell(self, signed: str) -> None:
        """Have the OIS keep a statement that the machine has signed. Raises PtcsError."""
        with self.client() as web:
            web.post("machine/statements", {"statement": signed})


class Rounds:
    """The thread: calls each chore at its period, and ends."""

    def __init__(self, chores: Mapping[str, tuple[float, Callable[[], object]]]) -> None:
        """chores: name -> period in s, and what to do. One that fails is logged and done again."""
        self._chores = dict(chores)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        due = dict.fromkeys(self._chores, 0.0)
        with tango.EnsureOmniThread():
            while not self._end.wait(TICK_S / 4):
                for name, (period, do) in self._chores.items():
                    if time.monotonic() < due[name] or self._end.is_set():
                        continue
                    due[name] = time.monotonic() + period
                    try:
                        do()
                    except (PtcsError, OSError, tango.DevFailed) as why:
                        log.warning("%s: %s", name, why)
                    except Exception:  # border of the thread: one chore that fails must not end the others
                        log.exception("%s failed", name)


def database_trouble(site: Site) -> str:
    """How the Tango database differs from the site file, which alone is in force; "" when it does not."""
    try:
        differences = diff(site).differences
    except tango.DevFailed as why:
        raise LinkLost(f"the Tango database does not answer: {why.args[0].desc}") from why
    if not differences:
        return ""
    text = _(
        "the Tango database differs from the site file in {count} entries, first: {name}; `ptcs site diff`"
    )
    return text.format(count=len(differences), name=differences[0].name)


def _proxy(name: str) -> tango.DeviceProxy:
    proxy = tango.DeviceProxy(name)
    proxy.set_timeout_millis(TIMEOUT_MS)
    return proxy


def _idle(session: str) -> bool:
    try:
        return bool(_proxy(session).read_attribute("SessionState").value == "IDLE")
    except tango.DevFailed as why:
        log.info("session %s: %s", session, why.args[0].desc)
        return False
