"""Synthetic days of a department with three rooms on one beam, for measuring the optimiser."""

import random
from collections.abc import Mapping

from ois_bridge.domain.scheduling.plan import Beam, Device
from ois_bridge.domain.scheduling.problem import Job, Problem

OPEN, CLOSE = 8 * 60 + 30, 20 * 60
SLOT = 5


def devices() -> Mapping[str, Device]:
    """Three rooms; the first has protons only."""
    kinds = frozenset({"treatment"})
    both, one = frozenset({"proton", "carbon"}), frozenset({"proton"})
    return {
        name: Device(name, {}, kinds, particles, "main", setup=12, leave=4)
        for name, particles in (("ROOM1", one), ("ROOM2", both), ("ROOM3", both))
    }


def day(seed: int, patients: int = 60, close: int = CLOSE) -> Problem:
    """A day of `patients` jobs in the order in which they asked.

    30 % carbon; visits of 20, 25 and 30 min (60, 30, 10 %); half the patients are bound to a room; half
    wish a part of the day (30 % the morning, 20 % the afternoon), and 60 % name a time. `close`: until when
    the rooms may be used; the patients and their wishes are the same.
    """
    chance = random.Random(seed)  # noqa: S311 - synthetic data, no secret
    rooms = devices()
    jobs = tuple(_job(chance, f"P{number:03d}", rooms, close) for number in range(patients))
    return Problem(rooms, {"main": Beam(1, 10)}, jobs)


def _job(chance: random.Random, key: str, rooms: Mapping[str, Device], close: int) -> Job:
    particle = "carbon" if chance.random() < 0.3 else "proton"
    able = [name for name, room in rooms.items() if particle in room.particles]
    bound = [chance.choice(able)] if chance.random() < 0.5 else able
    minutes = chance.choices((20, 25, 30), (60, 30, 10))[0]
    half = chance.random()
    earliest, latest = (0, 13 * 60) if half < 0.3 else (13 * 60, 0) if half < 0.5 else (0, 0)
    preferred = 0
    if chance.random() < 0.6:
        preferred = chance.randrange(max(earliest, OPEN), (latest or CLOSE) - minutes, SLOT)
    starts = tuple(range(OPEN, close - minutes + 1, SLOT))
    return Job(key, minutes, particle, dict.fromkeys(bound, starts), earliest, latest, preferred)
