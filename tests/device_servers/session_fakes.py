"""Collaborators of a session for tests: beam hardware with retained memory, room, OIS, sink. No sockets."""

import sys
import threading
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common import authority
from common.dicom import ion_plan, ion_record
from common.dicom.canonical import plan_hash
from common.errors import LinkLost, Refused
from common.files import write_atomic
from device_servers.central.session_console import Console
from device_servers.central.session_links import PlanFile
from device_servers.central.session_ports import Bench, Operator
from device_servers.drivers.delivery import Readback
from treatment.accounting import Counters
from treatment.approval import Fraction, Standing
from treatment.delivery_map import ARRAYS, digest
from treatment.journal import Journal
from treatment.positioning import Setup

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "treatment"))
from treatment_samples import MACHINE, MONITOR, plan

ANN = Operator("ann", "token-of-ann")
KEY = Ed25519PrivateKey.generate()


class Hardware:
    """Implements DeliveryLink. Lives on when the session's process dies; `down` is its own death."""

    def __init__(self):
        self.state, self.cause, self.map, self.primary = "IDLE", "", None, None
        self.down = False
        self.requested = False
        self.inputs = {"door": {"ok": True, "latched": False, "masked": False}}
        self.alter = None  # changes arrays on their way in
        self.order = []  # every spot that began, in order, over all maps
        self.ticks = 0
        self.said = []

    @property
    def up(self):
        return not self.down

    def _ask(self, verb):
        if self.down:
            raise LinkLost("no link")
        self.said.append(verb)

    @property
    def permit(self):
        rows = self.inputs.values()
        return self.requested and all(row["ok"] and not row["latched"] for row in rows)

    def status(self):
        self._ask("status")
        request = {"session.request": {"ok": self.requested, "latched": False, "masked": False}}
        return {
            "state": self.state,
            "cause": self.cause,
            "digest": digest(self.map) if self.map else "",
            "permit": {"extraction": self.permit},
            "inputs": {**self.inputs, **request},
        }

    def load(self, wanted, plan_hash):
        self._ask("load")
        if self.state in ("SWITCHING", "DELIVERING", "TRIPPED"):
            raise Refused(f"load is not possible in state {self.state}")
        self.map = {name: array.copy() for name, array in wanted.arrays().items()}
        if self.alter is not None:
            self.alter(self.map)
        self.plan_hash = plan_hash
        self.primary = np.zeros(wanted.spot_count, np.int64)
        self.starts = np.zeros(wanted.spot_count, np.int64)
        self.ends = np.zeros(wanted.spot_count, np.int64)
        self.state, self.cause = "LOADED", ""

    def read_map(self):
        self._ask("read_map")
        if self.map is None:
            raise Refused("no map")
        return {name: self.map[name].copy() for name, _kind in ARRAYS}, digest(self.map)

    def start(self):
        self._ask("start")
        if self.state != "LOADED" or not self.permit:
            raise Refused("start is not possible")
        self.state = "DELIVERING"

    def hold(self, cause):
        self._ask("hold")
        if self.state == "DELIVERING":
            self.state, self.cause = "HELD", cause
        elif self.state not in ("HELD", "TRIPPED"):
            raise Refused("nothing to hold")

    def terminate(self, cause):
        self._ask("terminate")
        if self.state in ("IDLE", "COMPLETE", "TERMINATED"):
            raise Refused("nothing to terminate")
        self.state, self.cause = "TERMINATED", cause

    def unload(self):
        self._ask("unload")
        self.state, self.map = "IDLE", None

    def request_beam(self, wanted):
        self._ask("request")
        self.requested = wanted
        if not wanted and self.state == "DELIVERING":
            self.trip("session.request")

    def counters(self):
        self._ask("counters")
        if self.map is None:
            raise Refused("no map")
        seen = self.primary > 0
        values = {name: np.where(seen, self.map[name], 0.0) for name in ("x", "y", "size_x", "size_y")}
        counted = Counters(
            self.primary.copy(), self.primary.copy(), **values,
            start_tick=self.starts.copy(), end_tick=self.ends.copy(), factor=10.0,
            origin_wall_ns=1_700_000_000_000_000_000,
        )  # fmt: skip
        return Readback(counted, digest(self.map), self.state)

    # --- what happens in the machine

    def deliver(self, counts):
        """Let beam come: this many counts, spot after spot; COMPLETE when nothing is left."""
        while counts > 0 and self.state == "DELIVERING":
            left = self.map["preset"] - self.map["done"] - self.primary
            todo = np.flatnonzero(left > 0)
            if not todo.size:
                break
            spot = int(todo[0])
            step = min(counts, int(left[spot]))
            if self.primary[spot] == 0:
                self.order.append((spot, int(self.map["done"][spot])))
                self.starts[spot] = self.ticks + 1
            self.ticks += 10
            self.primary[spot] += step
            self.ends[spot] = self.ticks
            counts -= step
        if self.state == "DELIVERING" and (self.map["done"] + self.primary >= self.map["preset"]).all():
            self.state = "COMPLETE"

    def trip(self, cause):
        if self.state in ("DELIVERING", "SWITCHING"):
            self.state, self.cause = "TRIPPED", cause

    def reset(self):
        for row in self.inputs.values():
            row["latched"] = False
        if self.state == "TRIPPED":
            self.state = "HELD"

    def lose_session(self):
        """The watchdog of a session process that died."""
        self.trip("watchdog.session")
        self.requested = False

    def die(self):
        self.down = True
        self.trip("fpga restarted")

    def live_again(self):
        self.down = False
        self.requested = False


class Room:
    """Implements RoomDevices."""

    def __init__(self):
        self.gantry, self.couch = 0.0, dict.fromkeys(("x", "y", "z", "pitch", "roll", "yaw"), 0.0)
        self.temperature, self.pressure, self.moving = 22.4, 1003.0, False
        self.owner, self.users, self.cycles, self.mode = "", [], [], "CLINICAL"
        self.down = False

    def _ask(self):
        if self.down:
            raise LinkLost("room1 does not answer")

    def enter(self, operator):
        self._ask()
        self.users.append(operator.user)

    def move(self, target, stop):
        self._ask()
        if stop.is_set():
            raise Refused("stopped")
        self.gantry, self.couch = target.gantry, dict(target.couch)

    def halt(self):
        self._ask()

    def setup(self):
        self._ask()
        return Setup(self.gantry, dict(self.couch), self.moving, self.temperature, self.pressure)

    def load_cycles(self, energies):
        self._ask()
        self.cycles = list(energies)

    def check_mode(self):
        self._ask()
        if self.mode not in ("CLINICAL", "PHYSICS"):
            raise Refused(f"the machine's mode is {self.mode}")

    def allocate(self, stop):
        self._ask()
        self.owner = "room1"

    def release(self):
        self._ask()
        self.owner = ""


class Ois:
    """Implements PlanSource and ApprovalSource."""

    def __init__(self, treated=None):
        self.dataset = ion_plan.to_dataset(treated or plan())
        self.down = False
        self.state, self.fractions, self.approver = "APPROVED", (Fraction(1, "PLANNED", 0.0),), "dr"
        self.course_state = "ACTIVE"
        self.hash = plan_hash(self.dataset)
        self.key = KEY
        self.signed_hash = None

    def fetch(self, plan_uid):
        if self.down:
            raise LinkLost("OIS does not answer")
        return self.dataset

    def standing(self, plan_uid, token):
        if self.down:
            raise LinkLost("OIS does not answer")
        statement = {
            "hash": self.signed_hash or self.hash,
            "sop_instance_uid": "1.2.3.4",
            "approver": self.approver,
            "time": "2026-01-01T12:00:00Z",
        }
        signed = authority.sign(self.key, statement) if self.state == "APPROVED" else ""
        return Standing(self.state, self.hash, signed, self.fractions, self.course_state)


class Sink:
    """Implements RecordSink: keeps the DICOM objects by UID; may have a full disk."""

    def __init__(self):
        self.kept, self.full, self.taken = {}, False, True

    def put(self, record):
        if self.full:
            raise OSError(28, "No space left on device")
        self.kept.setdefault(record.sop_instance_uid, ion_record.to_dataset(record))

    def state(self, uids):
        if not uids:
            return "NONE"
        return "DELIVERED" if self.taken else "QUEUED"

    @property
    def records(self):
        return [ion_record.from_dataset(dataset) for dataset in self.kept.values()]


class World:
    """All that outlives the session's process; `boot` starts a new process on it."""

    def __init__(self, directory, treated=None):
        self.directory = Path(directory)
        self.hardware, self.room, self.ois, self.sink = Hardware(), Room(), Ois(treated), Sink()
        self.clock = 1_700_000_000_000_000_000
        self.uids = 0
        self.stop = threading.Event()
        self.boot()

    def boot(self):
        self.bench = Bench(
            room="room1",
            journal=Journal(self.directory / "journal.log"),
            plans=self.ois,
            approvals=self.ois,
            vault=PlanFile(self.directory),
            link=self.hardware,
            devices=self.room,
            records=self.sink,
            key=KEY.public_key,
            monitor=MONITOR,
            machine=MACHINE,
            now=self.tick,
            new_uid=self.uid,
        )
        self.console = Console(self.bench)
        return self.console

    def kill(self, torn=b""):
        """kill -9 of the session's process: nothing is closed in order, a line may be half written."""
        self.bench.journal.close()
        if torn:
            with (self.directory / "journal.log").open("ab") as file:
                file.write(torn)
        self.hardware.lose_session()

    def tick(self):
        self.clock += 1_000_000
        return self.clock

    def uid(self):
        self.uids += 1
        return f"1.2.826.0.1.{self.clock}.{self.uids}"

    # --- the steps of a therapist

    @property
    def ledger(self):
        return self.bench.journal.ledger

    @property
    def state(self):
        return str(self.ledger.state)

    def load(self, fraction=1):
        self.console.flow.load_plan("1.2.3.4", fraction, ANN)

    def identify(self):
        self.console.flow.confirm_identity("P-17", "1960-02-03", ANN)

    def do(self, *names):
        from treatment.session import Event

        for name in names:
            self.console.step(Event(name), ANN)(self.stop)

    def to_ready(self):
        self.load()
        self.identify()
        self.do("Position", "VerifySetup", "RequestBeam")

    def safe(self, name):
        from treatment.session import Event

        self.console.settler.safe(Event(name), "ann", f"{name} by ann")
        self.console.settler.await_settled(self.stop)

    def hardware_k_tp(self):
        return self.ledger.history.runs[-1].k_tp

    def plan_file(self):
        return self.directory / "plan.dcm"

    def overwrite_plan(self, content):
        write_atomic(self.plan_file(), content)
