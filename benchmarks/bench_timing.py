"""Events through generator, link, receiver and pulser, every tick against an independent computation.

Two sequencers recycle with 2048 steps each, the event system adds heartbeats and time stamps, pulsers with
delay, width, prescaler and set/reset listen. The judge knows none of the classes: it lays out all due ticks
with numpy, resolves the link slot by slot by its own priority scan, and folds pulses from the slots.
Prints one JSON line; exits 1 if any tick is wrong.
"""

import json
import sys
import time

import numpy as np
from numpy.typing import NDArray

from timing.events import HEARTBEAT_PERIOD, Code
from timing.generator import SECONDS_BITS, Generator
from timing.pulser import Action, PulserSettings
from timing.receiver import Receiver
from timing.sequencer import Mode, Sequence

EVENTS = 1_000_000
STEPS = 2048
SECOND = 125_000_000
SLICE = 1_250_003
"""Ticks of one slice: 10 ms, and odd so that slices end anywhere."""
Ints = NDArray[np.int64]


def sequence(seed: int) -> Sequence:
    """2048 steps of random codes, dense enough that the two sequencers collide now and then."""
    rng = np.random.default_rng(seed)
    gaps = rng.integers(1, 60, STEPS)
    codes = rng.integers(1, 0x70, STEPS)
    steps = tuple((int(at), int(code)) for at, code in zip(np.cumsum(gaps), codes, strict=True))
    return Sequence(steps, steps[-1][0] + 31)


def pulsers() -> dict[str, PulserSettings]:
    """One of each kind."""
    return {
        "plain": PulserSettings({0x11: Action.TRIGGER}, 3, 5),
        "long": PulserSettings({0x12: Action.TRIGGER, 0x13: Action.TRIGGER}, 1000, 20_000),
        "scaled": PulserSettings({0x14: Action.TRIGGER}, 7, 11, prescaler=13, inverted=True),
        "gate": PulserSettings({0x15: Action.SET, 0x16: Action.RESET}),
    }


def play(sequences: tuple[Sequence, Sequence], end: int) -> tuple[Ints, dict[str, Ints], int, float]:
    """What the classes do: events (n, 2) tick, code; edges (k, 2) by pulser; delays counted; seconds."""
    generator, receiver = Generator(), Receiver("bench", pulsers())
    for sequencer, loaded in zip(generator.sequencers, sequences, strict=True):
        sequencer.load(loaded, Mode.RECYCLE)
        sequencer.arm()
        sequencer.trigger(0)
    events: list[tuple[int, int]] = []
    edges: dict[str, list[tuple[int, int]]] = {name: [] for name in receiver.pulsers}
    begin, tick = time.perf_counter(), 0
    while tick < end:
        tick = min(tick + SLICE, end)
        sent = generator.advance(tick)
        receiver.receive(sent.events)
        for name, rows in receiver.advance(tick).items():
            edges[name] += [(edge.tick, int(edge.level)) for edge in rows]
        events += [(event.tick, event.code) for event in sent.events]
    passed = time.perf_counter() - begin
    shaped = {name: np.array(rows, dtype=np.int64).reshape(-1, 2) for name, rows in edges.items()}
    return np.array(events, dtype=np.int64), shaped, generator.collisions, passed


def due(sequences: tuple[Sequence, Sequence], end: int) -> Ints:
    """All (tick, rank, code) as they are due, sorted; ranks: 0, 1 sequencers, 2 time stamps, 3 heartbeat."""
    parts = []
    for rank, one in enumerate(sequences):
        steps = np.array(one.steps, dtype=np.int64)
        runs = np.arange(end // one.length + 1, dtype=np.int64) * one.length
        ticks = (runs[:, None] + steps[None, :, 0]).ravel()
        parts.append(np.column_stack([ticks, np.full(len(ticks), rank), np.tile(steps[:, 1], len(runs))]))
    for second in range(end // SECOND + 1):
        text = format(second + 1, f"0{SECONDS_BITS}b")
        codes = [int(Code.STAMP_RESET), *(0x70 + int(bit) for bit in text)]
        ticks = second * SECOND + np.arange(len(codes))
        parts.append(np.column_stack([ticks, np.full(len(codes), 2), codes]))
    beats = np.arange(0, end + 1, HEARTBEAT_PERIOD, dtype=np.int64)
    parts.append(np.column_stack([beats, np.full(len(beats), 3), np.full(len(beats), 0x7A)]))
    rows = np.concatenate(parts)
    rows = rows[rows[:, 0] <= end]
    return rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]


def resolve(rows: Ints) -> tuple[Ints, int]:
    """One code a tick: the waiting event of the lowest rank, the oldest first. And how many came late."""
    sent, waiting, late, tick, n = [], [], 0, -1, 0
    table = rows.tolist()
    while n < len(table) or waiting:
        tick = tick + 1 if waiting else max(tick + 1, table[n][0])
        while n < len(table) and table[n][0] <= tick:
            waiting.append((table[n][1], table[n][0], table[n][2]))
            n += 1
        best = min(waiting)
        waiting.remove(best)
        late += tick != best[1]
        sent.append((tick, best[2]))
    return np.array(sent, dtype=np.int64), late


def fold(events: Ints, settings: PulserSettings, end: int) -> Ints:
    """Edges of a pulser by plain arithmetic on the events that concern it."""
    spans: list[list[int]] = []
    unit = settings.prescaler or 1
    held = -1
    for tick, code in events[np.isin(events[:, 1], list(settings.actions))].tolist():
        action = settings.actions[code]
        if action is Action.TRIGGER and (not spans or tick >= spans[-1][1]):
            rise = tick + settings.delay * unit
            spans.append([rise, rise + settings.width * unit])
        elif action is Action.SET and held < 0:
            held = tick
        elif action is Action.RESET and held >= 0:
            spans.append([held, tick])
            held = -1
    if held >= 0:
        spans.append([held, end + 1])
    edges: list[tuple[int, int]] = []
    for rise, fall in spans:
        if edges and edges[-1][0] == rise:
            edges.pop()
        else:
            edges.append((rise, 1))
        edges.append((fall, 0))
    shown = [(tick, level ^ int(settings.inverted)) for tick, level in edges if tick <= end]
    return np.array(shown, dtype=np.int64).reshape(-1, 2)


def main() -> int:
    sequences = (sequence(1), sequence(2))
    end = int(EVENTS / (2 * STEPS) * max(one.length for one in sequences)) + 2 * SECOND // 100
    events, edges, collisions, passed = play(sequences, end)
    wanted, late = resolve(due(sequences, end))
    wanted = wanted[wanted[:, 0] < end]
    got = events[events[:, 0] < end]
    same = len(got) == len(wanted)
    errors = int(np.any(got != wanted, axis=1).sum()) if same else abs(len(got) - len(wanted)) + 1
    count = 0
    for name, settings in pulsers().items():
        should, did = fold(events, settings, end), edges[name]
        count += len(did)
        errors += int(np.any(should != did, axis=1).sum()) if should.shape == did.shape else 1
    line = {
        "name": "timing-events",
        "value": round(len(events) / passed),
        "unit": "1/s",
        "events": len(events),
        "collisions": collisions,
        "collisions_expected": late,
        "edges": count,
        "errors": errors,
    }
    print(json.dumps(line))
    return 0 if errors == 0 and len(events) >= EVENTS and collisions == late else 1


if __name__ == "__main__":
    sys.exit(main())
