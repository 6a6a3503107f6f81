"""PVs over pvAccess: normative types, and puts handed to `Puts`."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import tango
from p4p import Type, Value
from p4p._p4p import SharedPV as CompiledPV
from p4p.nt import NTEnum, NTScalar
from p4p.server import DynamicProvider, Server
from p4p.server.thread import SharedPV
from p4p.util import ThreadedWorkQueue

from common.errors import PtcsError
from device_servers.services.epics.board import Board, Change
from device_servers.services.epics.puts import Puts, peer_of
from device_servers.services.epics.pv import Sample, Shape, Status

log = logging.getLogger(__name__)

CODES = {"float": "d", "int": "l", "bool": "?", "text": "s"}
WRITERS = 4
ALARM_STATUS = {Status.NO_ALARM: 0, Status.COMM: 2, Status.LINK: 7, Status.UDF: 6}
"""Status of EPICS base -> that of pvAccess: 1 device (all others), 2 driver, 6 undefined, 7 client."""

LOOPBACK = {
    "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
    "EPICS_PVAS_BEACON_ADDR_LIST": "127.0.0.1",
    "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
    "EPICS_PVA_ADDR_LIST": "127.0.0.1",
    "EPICS_PVA_AUTO_ADDR_LIST": "NO",
}
PORTS = ("EPICS_PVA_SERVER_PORT", "EPICS_PVA_BROADCAST_PORT")


class PvaServer:
    """A pvAccess server on the loopback interface."""

    def __init__(self, board: Board, puts: Puts, before: Mapping[str, str]) -> None:
        """before: an `environment` whose ports to have again if they are free.

        Raises RuntimeError when no port can be bound.
        """
        self._board, self._puts = board, puts
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="pva put")
        self._queue = ThreadedWorkQueue(name="pva", maxsize=0, daemon=True).start()
        self._types: dict[tuple[str, bool], Type] = {}
        self._pvs: dict[str, SharedPV] = {}
        self._alarms: dict[str, tuple[Any, ...]] = {}
        self._making = threading.RLock()
        self._provider = DynamicProvider("ptcs", self)
        self._server = _server(self._provider, {name: before[name] for name in PORTS if name in before})
        self._port = int(self._server.conf()["EPICS_PVA_SERVER_PORT"])
        board.add_output(self)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment."""
        conf = self._server.conf()
        return {name: LOOPBACK[name] for name in ("EPICS_PVA_ADDR_LIST", "EPICS_PVA_AUTO_ADDR_LIST")} | {
            name: conf[name] for name in PORTS
        }

    def stop(self) -> None:
        """End all connections."""
        self._server.stop()
        self._queue.stop()
        self._writers.shutdown(wait=False, cancel_futures=True)

    # --- PVs, each made when a client first asks for it: most are never asked for, and each takes 4 kB

    def testChannel(self, name: str) -> bool:
        """Whether there is such a PV."""
        return name in self._board.shapes

    def makeChannel(self, name: str, _peer: str) -> SharedPV | None:
        """The PV of that name, if there is one; it begins with the latest sample, and loses none after."""
        shape = self._board.shapes.get(name)
        if shape is None:
            return None
        with self._making:
            if name not in self._pvs:
                pv = SharedPV(handler=_Handler(self, shape), queue=self._queue)
                if not shape.read:
                    pv.open(self._whole(shape, self._board.sample(name)))
                self._pvs[name] = pv
            return self._pvs[name]

    # --- Samples out

    def show(self, changes: Sequence[Change]) -> None:
        """Post samples to their PVs."""
        with self._making:
            self._show(changes)

    def _show(self, changes: Sequence[Change]) -> None:
        for shape, sample in changes:
            pv = self._pvs.get(shape.name)
            if pv is None:
                continue
            if not shape.read:  # takes a Value as it is, without the wrapping of SharedPV.post
                CompiledPV.post(pv, self._update(shape, sample))
            elif self._board.watched(shape.name):
                if pv.isOpen():
                    pv.post(self._update(shape, sample))
                else:
                    pv.open(self._whole(shape, sample))

    def _type(self, shape: Shape) -> Type:
        key = (shape.kind, shape.array)
        if key not in self._types:
            self._types[key] = _type(*key)
        return self._types[key]

    def _update(self, shape: Shape, sample: Sample) -> Value:
        value = {"index": sample.value} if shape.kind == "enum" else sample.value
        fields: dict[str, Any] = {"value": value, "timeStamp": _stamp(sample.when)}
        alarm = sample[2:]
        if self._alarms.get(shape.name) != alarm:
            self._alarms[shape.name] = alarm
            fields["alarm"] = {
                "severity": int(sample.severity),
                "status": ALARM_STATUS.get(sample.status, 1),
                "message": sample.message,
            }
        return Value(self._type(shape), fields)

    def _whole(self, shape: Shape, sample: Sample) -> Value:
        self._alarms.pop(shape.name, None)
        whole = self._update(shape, sample)
        for field, content in _metadata(shape).items():
            whole[field] = content
        return whole

    # --- From clients, on the work queue of p4p

    def seen(self, shape: Shape, pv: SharedPV, *, connected: bool) -> None:
        """A first client came to a PV that has to be read, or the last one left it."""
        if connected:
            self._board.watch(shape.name)
            return
        self._board.unwatch(shape.name)
        if not self._board.watched(shape.name):
            pv.close()

    def write(self, shape: Shape, operation: Any) -> None:
        """Queue a put."""
        self._writers.submit(self._write, shape, operation)

    def _write(self, shape: Shape, operation: Any) -> None:
        try:
            with tango.EnsureOmniThread():
                host, _colon, port = str(operation.peer()).rpartition(":")
                peer = peer_of(str(operation.account()), (host, int(port)), self._port)
                self._puts.put(shape, _put_value(shape, operation.value()), peer)
        except PtcsError as why:
            operation.done(error=str(why))
        except Exception:  # border to the clients: whatever went wrong, this one gets an answer
            log.exception("put to %s", shape.name)
            operation.done(error="internal error; see the log of the gateway")
        else:
            operation.done()


class _Handler:
    """What p4p calls for one PV."""

    def __init__(self, server: PvaServer, shape: Shape) -> None:
        self._server, self._shape = server, shape
        if shape.read:
            self.onFirstConnect: Callable[[SharedPV], None] = lambda pv: server.seen(
                shape, pv, connected=True
            )
            self.onLastDisconnect: Callable[[SharedPV], None] = lambda pv: server.seen(
                shape, pv, connected=False
            )

    def put(self, _pv: SharedPV, operation: Any) -> None:
        """Hand a put on: the queue that calls this must not wait for a device."""
        self._server.write(self._shape, operation)


def _server(provider: DynamicProvider, ports: Mapping[str, str]) -> Server:
    """A server on the ports wished, else on free ones."""
    free = dict.fromkeys(PORTS, "0")
    if ports:
        try:
            return Server([provider], conf=LOOPBACK | free | dict(ports), useenv=False)
        except RuntimeError as why:
            log.info("ports of before are taken (%s); taking free ones", why)
    return Server([provider], conf=LOOPBACK | free, useenv=False)


def _type(kind: str, array: bool) -> Type:
    if kind == "enum":
        return NTEnum.buildType(display=True)
    numeric = kind in ("float", "int") and not array
    code = ("a" if array else "") + CODES[kind]
    return NTScalar.buildType(code, display=True, control=numeric, valueAlarm=numeric, form=True)


@lru_cache(maxsize=64)
def _stamp(when: float) -> dict[str, int]:
    seconds = int(when)
    return {"secondsPastEpoch": seconds, "nanoseconds": int((when - seconds) * 1e9)}


def _metadata(shape: Shape) -> dict[str, Any]:
    """Fields of a PV that stay."""
    fields: dict[str, Any] = {"display.description": shape.description}
    if shape.kind == "enum":
        return fields | {"value.choices": list(shape.choices)}
    fields["display.units"] = shape.unit
    if shape.kind in ("float", "int"):
        fields["display.precision"] = shape.decimals
    if shape.array or shape.kind not in ("float", "int"):
        return fields
    number = float if shape.kind == "float" else int
    if shape.limited:
        low, high = map(number, shape.limits)
        fields |= {"display.limitLow": low, "display.limitHigh": high}
        fields |= {"control.limitLow": low, "control.limitHigh": high}
    if shape.alarms is not None:
        names = ("lowAlarm", "lowWarning", "highWarning", "highAlarm")
        for name, level, severity in zip(names, shape.alarms, (2, 1, 1, 2), strict=True):
            fields[f"valueAlarm.{name}Limit"] = number(level)
            fields[f"valueAlarm.{name}Severity"] = severity
        fields["valueAlarm.active"] = True
    return fields


def _put_value(shape: Shape, value: Value) -> Any:
    """What a client has put. Numbers of another type were converted by pvAccess."""
    content = value["value.index"] if shape.kind == "enum" else value["value"]
    return content.tolist() if hasattr(content, "tolist") else content
