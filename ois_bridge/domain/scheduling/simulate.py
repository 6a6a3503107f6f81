"""A day played through with random durations: how long patients wait for the beam. The judge of schedules.

Waiting of a patient is the time from arrival (not before the appointed time) to the beam, less the
patient's own time of positioning: waiting in the hall for the room, and on the couch for the beam. It is
summed over the patients of the day and averaged over the runs.

In each room patients enter in the order of their appointments, when they have come and the room is
free. Positioning takes its planned time times a lognormal factor (spread 35 %), now and then with a
repeated image; the beam is given in the order in which the rooms are ready, after the time that the change of
room or particle takes, and lasts its planned time times a lognormal factor (spread 25 %).
"""

import heapq
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ois_bridge.domain.scheduling.plan import Beam, Device
from ois_bridge.domain.scheduling.problem import Place

LATENESS = 4.0
REPEAT = 0.05
REPEAT_MIN = 8.0
SETUP_SPREAD = 0.35
BEAM_SPREAD = 0.25


@dataclass(frozen=True)
class Judgement:
    """Means over the runs, in minutes: sum of the waiting of all patients, worst wait, end of the last visit,
    beam standing still between its first and last use. `changes`: of the particle, as planned.
    """

    waiting: float
    worst: float
    end: float
    idle: float
    changes: int


@dataclass(frozen=True)
class _Case:
    """What happens to one patient in one run."""

    arrival: float
    setup: float
    beam: float
    leave: float


def judge(
    places: Sequence[Place],
    devices: Mapping[str, Device],
    beams: Mapping[str, Beam],
    seed: int,
    runs: int = 100,
) -> Judgement:
    """Play the day `runs` times. What happens to a patient in a run depends on the seed and the patient's key
    alone, so two schedules of the same patients meet the same fates.
    """
    treated = [place for place in places if place.beam is not None]
    sums = [0.0, 0.0, 0.0, 0.0]
    for run in range(runs):
        for index, value in enumerate(_play(treated, devices, beams, f"{seed}/{run}")):
            sums[index] += value / runs
    order = sorted(treated, key=lambda place: place.beam or (0, 0))
    changes = sum(one.particle != two.particle for one, two in pairwise(order))
    return Judgement(sums[0], sums[1], sums[2], sums[3], changes)


def _play(
    places: Sequence[Place], devices: Mapping[str, Device], beams: Mapping[str, Beam], seed: str
) -> tuple[float, float, float, float]:
    cases = {place.key: _case(place, devices[place.device], seed) for place in places}
    rooms: dict[str, list[Place]] = {}
    for place in sorted(places, key=lambda one: -one.start):
        rooms.setdefault(place.device, []).append(place)
    ready: list[tuple[float, str]] = []
    for name, row in rooms.items():
        heapq.heappush(ready, (_ready(cases[row[-1].key], 0.0), name))
    last: dict[str, tuple[float, Place]] = {}
    waits, end, used = [], 0.0, 0.0
    first = min((place.beam[0] for place in places if place.beam), default=0)
    while ready:
        at, name = heapq.heappop(ready)
        place = rooms[name].pop()
        case, beam = cases[place.key], devices[name].beam
        free, before = last.get(beam, (0.0, place))
        gap = beams[beam].between(before.device, before.particle, name, place.particle)
        begin = max(at, free + gap)
        waits.append(max(begin - case.arrival - case.setup, 0.0))
        last[beam] = (begin + case.beam, place)
        used += case.beam
        leave = begin + case.beam + case.leave
        end = max(end, leave)
        if rooms[name]:
            heapq.heappush(ready, (_ready(cases[rooms[name][-1].key], leave), name))
    finish = max((free for free, _place in last.values()), default=0.0)
    return sum(waits), max(waits, default=0.0), end, max(finish - first - used, 0.0)


def _ready(case: _Case, free: float) -> float:
    return max(case.arrival, free) + case.setup


def _case(place: Place, device: Device, seed: str) -> _Case:
    chance = random.Random(f"{seed}/{place.key}")  # noqa: S311 - a simulation, no secret
    late = max(chance.gauss(0.0, LATENESS), 0.0)
    setup = device.setup * _lognormal(chance, SETUP_SPREAD)
    setup += REPEAT_MIN if chance.random() < REPEAT else 0.0
    planned = place.minutes - device.setup - device.leave
    return _Case(place.start + late, setup, planned * _lognormal(chance, BEAM_SPREAD), device.leave)


def _lognormal(chance: random.Random, spread: float) -> float:
    """A factor of mean 1 and standard deviation `spread`."""
    sigma = math.sqrt(math.log(1 + spread * spread))
    return chance.lognormvariate(-sigma * sigma / 2, sigma)
