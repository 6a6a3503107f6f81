"""The driver Protocols of the beam hardware: interlock, timing, nozzle."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from bench import wait_until

from common.errors import Refused
from common.site import Site

Ready = Callable[[str], Any]


def value(driver: Any, quantity: str) -> float:
    return float(driver.read().values[driver.quantities.index(quantity)])


@pytest.mark.requirement("ACS-INTERLOCK")
def test_an_interlock(ready: Ready) -> None:
    interlock = ready("Interlock")
    wait_until(lambda: interlock.status().get("inputs"), "the status")
    status = interlock.status()
    assert all(isinstance(ok, bool) for ok in status["permit"].values())
    assert all({"ok", "latched", "masked"} <= set(entry) for entry in status["inputs"].values())
    interlock.set_input("emergency_stop", False)
    wait_until(lambda: interlock.status()["inputs"]["emergency_stop"]["ok"] is False, "the input")
    interlock.set_input("emergency_stop", True)
    interlock.reset("otto", ["operator", "service"])
    wait_until(lambda: not interlock.status()["inputs"]["emergency_stop"]["latched"], "the reset")


@pytest.mark.requirement("ACS-TIMING")
def test_a_timing_system(ready: Ready, small_site: Site) -> None:
    timing = ready("Timing")
    wait_until(lambda: timing.clock_factor() is not None, "the clock factor")
    assert timing.clock_factor() == small_site.clock_factor
    timing.load_cycles([100.0, 80.0])
    assert math.isfinite(value(timing, "tick"))
    woken: list[int] = []
    timing.look(lambda: woken.append(1))
    wait_until(lambda: timing.view().get("heartbeat") is True, "what the timing shows")
    assert woken and [row["stage"] for row in timing.view()["sequencers"]] == ["armed", "armed"]
    played = timing.sequence(1)
    timing.load({"sequencer": 1, **played, "mode": "single"})
    wait_until(lambda: timing.view()["sequencers"][0]["mode"] == "single", "the other mode")
    timing.load({"sequencer": 1, **played, "mode": "retrigger"})
    with pytest.raises(Refused, match="0x7f"):
        timing.load({"sequencer": 1, "steps": [[0, 0x7F]], "length": 2})
    assert set(timing.events(0)) >= {"first", "next", "events"}


@pytest.mark.requirement("TCS-DOSE")
def test_a_nozzle(ready: Ready) -> None:
    nozzle = ready("Nozzle")
    assert nozzle.take_spots().shape == (0, 10)
    assert value(nozzle, "beam") == 0.0
    assert not value(nozzle, "primary") > 0.0, "no map was delivered"
