"""One scan of the largest interlock table: ours against the plain evaluation with dicts and sets.

Ours gets its inputs as bit vectors, as the beam hardware gathers them; the plain one, the reference of the
tests, as a mapping by name. Inputs differ from scan to scan, so nothing is answered from memory. Both get the
same story with resets, and every permit and latch is compared.
"""

import json
import statistics
import time
from pathlib import Path
from random import Random

from interlock.bits import Value
from interlock.latch import Interlock
from interlock.matrix import Matrix, load
from tests.interlock.reference import Plain

TABLE = Path(__file__).resolve().parent.parent / "config" / "synchrotron" / "interlock.yaml"
SCANS = 3000
ROLES = ["therapist", "operator", "service"]
Scan = tuple[int, dict[str, Value], int, int]


def story(matrix: Matrix, interlock: Interlock) -> list[Scan]:
    """Scans (tick, inputs by name, first channels, second channels), with one to three inputs not good."""
    dice = Random(11)
    calm: dict[str, Value] = {row.name: (True, True) if row.paired else True for row in matrix.inputs}
    scans: list[Scan] = []
    for number in range(SCANS):
        inputs = dict(calm)
        for row in dice.sample(matrix.inputs, dice.choice([1, 2, 3])):
            inputs[row.name] = (True, False) if row.paired else False
        scans.append((1000 + 1250 * number, inputs, *interlock.names.gather(inputs)))
    return scans


def main() -> None:
    """Print the JSON line: medians of a scan, seconds."""
    matrix = load(TABLE)
    interlock, plain = Interlock(matrix), Plain(matrix)
    interlock.self_test("bench", ROLES)
    plain.tested_until = matrix.self_test_ticks
    names = matrix.output_names
    confirmed = {stage.confirm: True for stage in matrix.beam_off}
    every = (1 << len(matrix.beam_off)) - 1
    ours, theirs, differ = [], [], 0
    for number, (tick, inputs, first, second) in enumerate(story(matrix, interlock)):
        began = time.perf_counter()
        verdict = interlock.step_bits(tick, first, second, every)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        permits = plain.step(tick, inputs, confirmed)
        theirs.append(time.perf_counter() - began)
        given = {name: bool(verdict.permits >> k & 1) for k, name in enumerate(names)}
        differ += given != permits or set(interlock.names.of(verdict.latched)) != plain.latched
        if number % 3 == 0 and plain.reset(set(ROLES), inputs, True):
            interlock.reset_bits("bench", ROLES, first, second)
    took, peer = statistics.median(ours), statistics.median(theirs)
    print(
        json.dumps(
            {"name": "interlock-scan", "ours": round(took, 8), "peer": round(peer, 8), "unit": "s",
             "ratio": round(peer / took, 1), "n": SCANS, "p99": round(sorted(ours)[SCANS * 99 // 100], 8),
             "table": f"{len(matrix.inputs)} x {len(matrix.outputs)}",
             "peer_is": "plain dicts and sets", "scans_that_differ": differ}
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
