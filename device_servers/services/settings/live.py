"""The present values of many attributes: one read of each crate's block, and of what stands in no block one
read a device, side by side.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tango

from device_servers.registration import crate_name
from device_servers.services.epics.pv import Shape
from device_servers.services.settings.configuration import STATE
from device_servers.services.settings.reading import (
    ALARM,
    INVALID,
    VALID,
    WARNING,
    Reading,
    reading,
    unreadable,
)

log = logging.getLogger(__name__)

TIMEOUT_MS = 1500
THREADS = 8
WORDS = {
    getattr(tango.AttrQuality, f"ATTR_{word}"): word for word in (VALID, WARNING, ALARM, INVALID, "CHANGING")
}
Standing = Mapping[str, Sequence[str]]
"""Device -> [State, HealthState, AdminMode]."""


@dataclass
class Now:
    """Readings by attribute, and how the devices stand."""

    readings: dict[str, Reading] = field(default_factory=dict)
    states: dict[str, list[str]] = field(default_factory=dict)


class Live:
    """Reads attributes of a site. One thread at a time."""

    def __init__(self, shapes: Iterable[Shape], timeout_ms: int = TIMEOUT_MS) -> None:
        """shapes: every attribute that may be asked for, by the classes of the devices."""
        self.shapes = {shape.source: shape for shape in shapes if not (shape.command or shape.private)}
        self._timeout_ms = timeout_ms
        self._proxies: dict[str, tango.DeviceProxy] = {}

    def read(self, names: Iterable[str]) -> Now:
        """Every one of these attributes as it is now; what cannot be read says why."""
        now, wanted = Now(), dict.fromkeys(names)
        known = [self.shapes[name] for name in wanted if name in self.shapes]
        servers: dict[str, list[Shape]] = {}
        for shape in known:
            servers.setdefault(shape.server, []).append(shape)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="settings") as pool:
            for part in pool.map(lambda item: self._of_server(*item), servers.items()):
                now.readings |= part.readings
                now.states |= part.states
            rest: dict[str, list[Shape]] = {}
            for shape in known:
                if shape.source not in now.readings:
                    rest.setdefault(shape.device, []).append(shape)
            for found in pool.map(lambda item: self._of_device(*item), rest.items()):
                now.readings |= found
        for name in wanted:
            now.readings.setdefault(name, unreadable("the site has no such attribute", time.time()))
        return now

    def ask(self, names: Iterable[str]) -> dict[str, Reading]:
        """These attributes from their devices themselves: a block is as old as its crate's last round."""
        devices: dict[str, list[Shape]] = {}
        found: dict[str, Reading] = {}
        for name in dict.fromkeys(names):
            shape = self.shapes.get(name)
            if shape is None:
                found[name] = unreadable("the site has no such attribute", time.time())
            else:
                devices.setdefault(shape.device, []).append(shape)
        for device, shapes in devices.items():
            found |= self._of_device(device, shapes)
        return found

    def proxy(self, device: str) -> tango.DeviceProxy:
        """A proxy with this reader's time-out, kept. Raises tango.DevFailed."""
        if device not in self._proxies:
            made = tango.DeviceProxy(device)
            made.set_timeout_millis(self._timeout_ms)
            self._proxies[device] = made
        return self._proxies[device]

    def _of_server(self, server: str, shapes: list[Shape]) -> Now:
        """What the crate knows: block values and States. Everything is unreadable when it does not answer."""
        found, began = Now(), time.time()
        blocks = {shape.source: shape for shape in shapes if shape.block}
        names = ["Devices", *(["Channels", "changes"] if blocks else [])]
        try:
            with tango.EnsureOmniThread():
                answers = [answer.value for answer in self.proxy(crate_name(server)).read_attributes(names)]
            standing: dict[str, list[str]] = json.loads(answers[0])
            if blocks:
                found.readings |= _of_block(answers[1], answers[2], blocks)
        except (tango.DevFailed, ValueError, TypeError) as why:
            self._proxies.pop(crate_name(server), None)
            text = _reason(why)
            log.warning("server %s: %s", server, text)
            found.readings = {s.source: unreadable(f"server {server}: {text}", began) for s in shapes}
            return found
        for device in {shape.device for shape in shapes}:
            if device in standing:
                found.states[device] = list(standing[device][:3])
        for shape in shapes:
            if shape.member == STATE and shape.device in found.states:
                word = found.states[shape.device][0]
                known = word not in ("UNKNOWN", "INIT")
                found.readings[shape.source] = Reading(word, VALID if known else INVALID, began)
        return found

    def _of_device(self, device: str, shapes: list[Shape]) -> dict[str, Reading]:
        began = time.time()
        try:
            with tango.EnsureOmniThread():
                answers = self.proxy(device).read_attributes([shape.member for shape in shapes])
        except tango.DevFailed as why:
            self._proxies.pop(device, None)
            return {shape.source: unreadable(_reason(why), began) for shape in shapes}
        return {s.source: _of_answer(s, answer, began) for s, answer in zip(shapes, answers, strict=True)}


def _of_block(names: Sequence[str] | None, changes: Any, wanted: Mapping[str, Shape]) -> dict[str, Reading]:
    """Readings from a block as it was read. Raises ValueError for one that is no block."""
    triples = np.asarray(() if changes is None else changes, float).reshape(-1, 3)
    found: dict[str, Reading] = {}
    for when, index, value in triples.tolist():
        shape = wanted.get((names or ())[int(index)])
        if shape is not None:
            found[shape.source] = _of_number(shape, value, when)
    return found


NUMBERS: dict[str, Callable[[float], Any]] = {"float": float, "int": int, "bool": bool}


def _of_number(shape: Shape, value: float, when: float) -> Reading:
    if not np.isfinite(value):
        return Reading(None, INVALID, when, "the device does not know it")
    if shape.kind == "enum":
        index = int(value)
        if not 0 <= index < len(shape.choices):
            return Reading(str(index), VALID, when)
        return Reading(shape.choices[index] if shape.words else index, VALID, when)
    quality = VALID
    if shape.alarms is not None:
        lolo, low, high, hihi = shape.alarms
        quality = VALID if low <= value <= high else WARNING if lolo <= value <= hihi else ALARM
    return Reading(NUMBERS[shape.kind](value), quality, when)


def _of_answer(shape: Shape, answer: tango.DeviceAttribute, began: float) -> Reading:
    if answer.has_failed:
        return unreadable(_reason(tango.DevFailed(*answer.get_err_stack())), began)
    when = answer.time.totime() or began
    quality = WORDS.get(answer.quality, INVALID)
    if quality == INVALID or answer.value is None:
        if answer.value is None and shape.array and quality != INVALID:
            return Reading([], quality, when)
        return Reading(None, INVALID, when, "the device does not know it")
    return reading(plain(answer.value), quality, when)


def plain(value: Any) -> Any:
    """A value of Tango as JSON has it; what is not finite in a list is None."""
    if isinstance(value, np.ndarray):
        listed = value.ravel().tolist()
        return [item if not isinstance(item, float) or np.isfinite(item) else None for item in listed]
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, tango.DevState):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _reason(why: Exception) -> str:
    """The first reason of a Tango error, on one line."""
    if isinstance(why, tango.DevFailed) and why.args:
        return " ".join(str(why.args[0].desc).split())
    return " ".join(str(why).split())
