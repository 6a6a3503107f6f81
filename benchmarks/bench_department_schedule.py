"""Twenty generated days of 60 patients: the optimiser against first come, first served.

Three rooms on one beam, protons and carbon (ois_bridge/domain/scheduling/generate.py). The peer books
each patient in turn at the earliest free time inside the wished window, and may go on after closing time, so
that both treat all. The judge plays each day 100 times with random durations that neither has seen
(simulate.py): waiting is the time from arrival to the beam less the patient's own positioning, summed over
the patients. Prints one JSON line: `value` is the longest time in seconds for one day, `ratio` the waiting of
the peer over ours. Exits 1 when a day takes more than 3 s, leaves somebody out or breaks a rule, or when ours
is not 15 % less.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator

from ois_bridge.domain.scheduling import generate, greedy, simulate
from ois_bridge.domain.scheduling.problem import Board, Problem, board
from ois_bridge.services.appointments import solver

DAYS = 20
PATIENTS = 60
LIMIT_S = 3.0
LEAST_GAIN = 0.15
RUNS = 100
MIDNIGHT = 24 * 60


def waiting(problem: Problem, day: Board, seed: int) -> simulate.Judgement:
    """What a day costs its patients, by the judge's own draws."""
    return simulate.judge(day.places(), problem.devices, problem.beams, seed=1000 + seed, runs=RUNS)


def sound(problem: Problem, day: Board) -> bool:
    """Whether every patient has one place that its rules allow and that no other has."""
    options = {job.key: job.options for job in problem.jobs}
    check = board(problem)
    for place in day.places():
        if place.start not in options[place.key].get(place.device, ()) or not check.fits(place):
            return False
        check.put(place)
    return sorted(place.key for place in day.places()) == sorted(options)


def days() -> Iterator[tuple[float, bool, simulate.Judgement, simulate.Judgement]]:
    """(seconds, sound, peer, ours) of each day."""
    for seed in range(DAYS):
        problem = generate.day(seed, PATIENTS)
        begun = time.perf_counter()
        ours = solver.optimise(problem)
        seconds = time.perf_counter() - begun
        late = generate.day(seed, PATIENTS, close=MIDNIGHT)
        peer = greedy.first_come(late)
        complete = len(peer.places()) == PATIENTS
        yield (
            seconds,
            complete and sound(problem, ours),
            waiting(late, peer, seed),
            waiting(problem, ours, seed),
        )


def main() -> int:
    solver.solver()
    rows = list(days())
    seconds, fine, peers, ours = zip(*rows, strict=True)
    ratio = sum(one.waiting for one in peers) / sum(one.waiting for one in ours)
    better = sum(two.waiting < one.waiting for one, two in zip(peers, ours, strict=True))
    line = {
        "name": "schedule-60",
        "value": round(max(seconds), 2),
        "unit": "s",
        "median_s": round(statistics.median(seconds), 2),
        "ratio": round(ratio, 2),
        "ratio_of": "waiting of first come over ours, min/min",
        "waiting_min_per_patient": round(statistics.mean(one.waiting for one in ours) / PATIENTS, 1),
        "peer_waiting_min_per_patient": round(statistics.mean(one.waiting for one in peers) / PATIENTS, 1),
        "worst_min": round(statistics.mean(one.worst for one in ours)),
        "peer_worst_min": round(statistics.mean(one.worst for one in peers)),
        "end_min": round(statistics.mean(one.end for one in ours)),
        "peer_end_min": round(statistics.mean(one.end for one in peers)),
        "changes": round(statistics.mean(one.changes for one in ours), 1),
        "peer_changes": round(statistics.mean(one.changes for one in peers), 1),
        "days": DAYS,
        "days_better": better,
        "sound": all(fine),
    }
    print(json.dumps(line))
    return 0 if all(fine) and max(seconds) <= LIMIT_S and 1 / ratio <= 1 - LEAST_GAIN else 1


if __name__ == "__main__":
    sys.exit(main())
