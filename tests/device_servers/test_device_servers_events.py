"""The one I/O path: blocks of changes, attribute events, State events, spots."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tango
from bench import wait_until
from conftest import SERVER, FakeFacility
from tango import AttrQuality, DevState, EventType

from device_servers.block import Block
from device_servers.drivers.link import EMPTY, Snapshot
from device_servers.drivers.view import FrameView

DCCT = "acs/diag/ring-dcct"


class Heard:
    """Collects what a subscription delivers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.events: list[Any] = []

    def push_event(self, event: Any) -> None:
        if not event.err:
            with self.lock:
                self.events.append(event.attr_value)

    def values(self) -> list[Any]:
        with self.lock:
            return [event.value for event in self.events]

    def last(self) -> Any:
        with self.lock:
            return self.events[-1] if self.events else None


@contextmanager
def subscribed(device: tango.DeviceProxy, attribute: str) -> Iterator[Heard]:
    heard = Heard()
    number = device.subscribe_event(attribute, EventType.CHANGE_EVENT, heard)
    try:
        wait_until(lambda: heard.last() is not None, f"first event of {attribute}", 10)
        yield heard
    finally:
        device.unsubscribe_event(number)


@pytest.mark.requirement("ACS-MONITOR")
def test_changes_begin_with_the_whole_picture_and_go_on_with_what_moved(facility: FakeFacility) -> None:
    crate = facility.proxy(f"crate/server/{SERVER}")
    index = crate.Channels.index(f"{DCCT}/Current")
    with subscribed(crate, "changes") as heard:
        first = heard.values()[0].reshape(-1, 3)
        assert sorted(first[:, 1]) == list(range(len(crate.Channels)))
        facility.tell(f"drivers[{DCCT!r}].values.update(current=7.5)")
        wait_until(lambda: (index, 7.5) in moved(heard), "the change", 10)
        facility.tell(f"drivers[{DCCT!r}].values.update(current=7.5005)")
        facility.tell(f"drivers[{DCCT!r}].values.update(current=9.5)")
        wait_until(lambda: (index, 9.5) in moved(heard), "the second change", 10)
        assert (index, 7.5005) not in moved(heard)
        facility.tell(f"drivers[{DCCT!r}].link_up = False")
        wait_until(lambda: any(i == index and np.isnan(v) for i, v in moved(heard)), "the loss", 10)
        facility.tell(f"drivers[{DCCT!r}].link_up = True")
        wait_until(lambda: (index, 9.5) in moved(heard)[-2:], "the return", 10)


def moved(heard: Heard) -> list[tuple[int, float]]:
    """(index, value) of everything after the first picture."""
    rows = [row for block in heard.values()[1:] for row in block.reshape(-1, 3)]
    return [(int(i), float(v)) for _, i, v in rows]


@pytest.mark.requirement("ACS-MONITOR")
def test_values_and_state_are_pushed_when_they_change(facility: FakeFacility) -> None:
    magnet = facility.proxy("acs/magnet/hebt-dipole-1")
    fake = "drivers['acs/magnet/hebt-dipole-1']"
    facility.tell(f"{fake}.values.update(on=1.0, current=10.0, setpoint=10.0)")
    with subscribed(magnet, "State") as states, subscribed(magnet, "Current") as currents:
        facility.tell(f"{fake}.values.update(current=20.0)")
        wait_until(lambda: states.last().value == DevState.MOVING, "MOVING", 10)
        wait_until(lambda: currents.last().value == 20.0, "20 A", 10)
        facility.tell(f"{fake}.values.update(fault=1.0)")
        wait_until(lambda: states.last().value == DevState.FAULT, "FAULT", 10)
        facility.tell(f"{fake}.link_up = False")
        wait_until(lambda: states.last().value == DevState.UNKNOWN, "UNKNOWN", 10)
        wait_until(lambda: currents.last().quality == AttrQuality.ATTR_INVALID, "INVALID", 10)
        facility.tell(f"{fake}.link_up = True; {fake}.values.update(fault=0.0, setpoint=20.0)")
        wait_until(lambda: states.last().value == DevState.ON, "ON", 10)


@pytest.mark.requirement("ACS-INTERLOCK")
def test_computed_attributes_are_pushed(facility: FakeFacility) -> None:
    interlock, fake = facility.proxy("central/interlock/1"), "drivers['central/interlock/1']"
    with subscribed(interlock, "FirstFault") as faults, subscribed(interlock, "Permit") as permits:
        facility.tell(f"{fake}.values.update(tripped=1.0)")
        wait_until(lambda: faults.last().value == "vacuum" and not permits.last().value, "the trip", 10)
        facility.tell(f"{fake}.values.update(tripped=0.0)")
        wait_until(lambda: faults.last().value == "" and permits.last().value, "the permit", 10)


@pytest.mark.requirement("TCS-RECORD")
def test_every_spot_is_pushed_once_and_in_order(facility: FakeFacility) -> None:
    nozzle = facility.proxy("room1/beam/nozzle")
    nozzle_fake = "n = drivers['room1/beam/nozzle']; n.spots = np.vstack([n.spots, {rows}])"
    with subscribed(nozzle, "SpotBlock") as heard:
        while len(heard.values()) < 2:  # the first event is a read; the channel joins a moment later
            facility.tell(nozzle_fake.format(rows="-np.ones((1, 10))"))
            time.sleep(0.2)
        time.sleep(1.0)  # while it joins, Tango may hand out the latest block again
        for start in range(0, 3000, 500):
            rows = f"np.arange({start}, {start + 500})[:, None] * np.ones(10)"
            facility.tell(nozzle_fake.format(rows=rows))
        wait_until(lambda: len(spots(heard)) >= 3000, "the spots", 20)
        assert spots(heard) == list(range(3000))


def spots(heard: Heard) -> list[int]:
    """Indices of all spots after the first event; a block that Tango hands out again holds none."""
    blocks = [np.asarray(block).reshape(-1, 10) for block in heard.values()[1:]]
    fresh = [new for old, new in pairwise([np.empty((0, 10)), *blocks]) if not np.array_equal(old, new)]
    return [int(row[1]) for block in fresh for row in block if row[1] >= 0]


@pytest.mark.requirement("ACS-MONITOR")
def test_a_device_that_cannot_compute_its_state_does_not_silence_the_others(facility: FakeFacility) -> None:
    fake, magnet = "drivers['central/interlock/1']", facility.proxy("acs/magnet/extraction-septum")
    facility.tell(f"{fake}.status = lambda: 1 / 0")
    try:
        with subscribed(magnet, "State") as states:
            for on, state in ((1.0, DevState.ON), (0.0, DevState.OFF)):
                facility.tell(f"drivers['acs/magnet/extraction-septum'].values.update(on={on})")
                wait_until(lambda state=state: states.last().value == state, str(state), 10)
    finally:
        facility.tell(f"del {fake}.status")


class Still:
    """A device with one channel for the block's own test."""

    def __init__(self, name: str, values: list[float], deadband: float, relative: float = 0.0) -> None:
        shape = type("Shape", (), {"quantity": "v0", "deadband": deadband, "relative": relative})
        self.channels = {"V": shape}
        self.site = type("Site", (), {"name": name})
        self.driver = type("Driver", (), {"quantities": ("v0",)})
        self.driver.read = lambda: type("Reading", (), {"values": np.array(values), "wall_ns": 5_000_000_000})
        self.values = values


@pytest.mark.requirement("ACS-MONITOR")
def test_the_dead_band_holds_against_what_was_pushed_not_what_was_seen() -> None:
    slow, noisy = Still("a/b/c", [1.0], 0.1), Still("a/b/d", [1e-9], 0.0, relative=0.05)
    block, devices = Block([slow, noisy]), {"a/b/c": slow, "a/b/d": noisy}
    block.take(devices)
    assert block.moved().tolist() == [0, 1] and block.names == ["a/b/c/V", "a/b/d/V"]
    block.pushed(block.moved())
    for value in (1.04, 1.08):  # each step is inside the band, the second one still against 1.0
        slow.values[0], noisy.values[0] = value, 1.04e-9
        block.take(devices)
        assert block.moved().size == 0
    slow.values[0] = 1.12
    block.take(devices)
    assert block.moved().tolist() == [0]
    assert block.triples(block.moved()).tolist() == [5.0, 0.0, 1.12]
    block.take(devices)
    assert block.moved().tolist() == [0], "a push that failed is tried again"
    del devices["a/b/d"]
    block.take(devices)
    assert block.moved().tolist() == [0, 1] and np.isnan(block.values[1])


class Pushing:
    """A link with the block that the test gives it."""

    def __init__(self) -> None:
        self.up = True
        self.last = EMPTY

    def send(self, **values: float) -> None:
        index = {name.replace("_", "."): i for i, name in enumerate(values)}
        self.last = Snapshot(index, np.array(list(values.values())), 7_000_000_000)

    def snapshot(self) -> Snapshot:
        return self.last


def linked(name: str, link: Pushing, shown: dict[str, float], quantities: tuple[str, ...]) -> Any:
    """A device that shows quantities of its driver on a link, with their dead-bands."""
    shape = {q: type("Shape", (), {"quantity": q, "deadband": d, "relative": 0.0}) for q, d in shown.items()}
    driver = FrameView(link, {q: f"{name}.{q}" for q in quantities})  # type: ignore[arg-type]
    site = type("Site", (), {"name": f"a/b/{name}"})
    return type("Device", (), {"channels": shape, "driver": driver, "site": site})()


@pytest.mark.requirement("ACS-MONITOR")
def test_devices_of_one_link_are_taken_at_once_and_what_state_needs_is_watched() -> None:
    link = Pushing()
    pump = linked("p", link, {"speed": 1.0}, ("speed", "on", "fault", "noise"))
    gauge = linked("g", link, {"pressure": 0.0, "absent": 0.0}, ("pressure", "absent"))
    block = Block([pump, gauge])
    assert block.names == ["a/b/p/speed", "a/b/g/pressure", "a/b/g/absent"]
    assert block.owners[3:] == ["a/b/p", "a/b/p"], "on and fault are watched, noise is not"

    def moved() -> list[int]:
        block.take({})
        rows = block.moved()
        block.pushed(rows)
        return list(rows)

    assert moved() == [0, 1, 2, 3, 4] and np.isnan(block.values).all()
    link.send(p_speed=100.0, p_on=1.0, p_fault=0.0, p_noise=0.1, g_pressure=1e-9)
    assert moved() == [0, 1, 3, 4] and np.isnan(block.values[2])
    link.send(p_speed=100.5, p_on=0.0, p_fault=0.0, p_noise=0.2, g_pressure=1e-9)
    assert moved() == [3], "only `on` moved"
    link.send(g_pressure=2e-9, p_speed=100.0, p_on=0.0, p_fault=3.0)  # another order after a restart
    assert moved() == [1, 4] and block.values[1] == 2e-9
    assert block.all_triples().reshape(-1, 3)[:, 1].tolist() == [0.0, 1.0, 2.0]
    link.last = EMPTY
    assert moved() == [0, 1, 3, 4] and np.isnan(block.values).all()
    assert moved() == []
