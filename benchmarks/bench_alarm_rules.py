"""50 000 alarm rules: time to load them, and what 1000 changed values cost, beside plain Python per value.

One JSON line `alarm-rules`. Half of the rules are levels, half are expressions over two attributes; each
attribute has one of each. `ours_us`: processor time of one step with 1000 changed values, of which 10 raise
an alarm; `plain_us`: the same rules as a loop over the changed values, each rule a compiled Python expression
over a dictionary. `file_s_of_10000`: a file of 10 000 of them, read and checked.
`python -m benchmarks.bench_alarm_rules [RULES]`.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import numpy as np
import yaml

from device_servers.services.alarms import rule_file
from device_servers.services.alarms.engine import Engine
from device_servers.services.alarms.inputs import Floats, Indices, Sample
from device_servers.services.alarms.rules import Rule, level_rule, truth_rule
from device_servers.services.alarms.severity import Severity, Status

CHANGED = 1000
RAISED = 10
ROUNDS = 200
PART = 10_000
"""Rules in one file; larger sites include several."""
LEVELS = (-20.0, -10.0, 10.0, 20.0)


def attribute(number: int) -> str:
    return f"bench/supply/s{number:05d}/Current"


def expression(number: int, count: int) -> str:
    return f"abs({attribute(number)} - {attribute((number + 1) % count)}) > 500 and {attribute(number)} > 900"


def rules(count: int) -> list[Rule]:
    half = count // 2
    made = [level_rule(attribute(i), attribute(i), LEVELS, hysteresis=0.5) for i in range(half)]
    return made + [
        truth_rule(f"rule/{i}", expression(i, half), Severity.MINOR, Status.STATE) for i in range(half)
    ]


def file_seconds(count: int) -> float:
    """Processor time to read the rules from a file."""
    words = {"en": "bench", "zh": "测试"}
    half = count // 2
    keys = ("lolo", "low", "high", "hihi")
    rows: list[dict[str, object]] = [
        {"name": attribute(i), "value": attribute(i), "levels": dict(zip(keys, LEVELS, strict=True)),
         "text": words, "guidance": words}
        for i in range(half)
    ]  # fmt: skip
    rows += [
        {"name": f"rule/{i}", "when": expression(i, half), "text": words, "guidance": words}
        for i in range(half)
    ]
    with tempfile.TemporaryDirectory() as folder:
        parts = [f"part-{start}.yaml" for start in range(0, count, PART)]
        for start, part in zip(range(0, count, PART), parts, strict=True):
            text = yaml.dump({"rules": rows[start : start + PART]}, Dumper=Dumper, allow_unicode=True)
            (Path(folder) / part).write_text(text)
        path = Path(folder) / "alarms.yaml"
        path.write_text(yaml.safe_dump({"include": parts}))
        began = time.process_time()
        rule_file.load(path)
        return time.process_time() - began


class Dumper(yaml.CSafeDumper):
    """Writes every row in full."""

    def ignore_aliases(self, _data: object) -> bool:
        """No aliases."""
        return True


def samples(inputs: int) -> tuple[list[Sample], list[tuple[Indices, Floats]]]:
    """Batches of changed values: a few beyond their levels, back inside the next time."""
    rng = np.random.default_rng(1)
    batches, plain = [], []
    for turn in range(ROUNDS):
        index = np.sort(rng.choice(inputs, CHANGED, replace=False)).astype(np.intp)
        values = rng.uniform(-5, 5, CHANGED)
        values[rng.choice(CHANGED, RAISED, replace=False)] = 15.0
        none, zeros = np.full(CHANGED, -1, dtype=np.int32), np.zeros(CHANGED, dtype=np.int32)
        batches.append(Sample(index, values, none, zeros, zeros.astype(bool), np.full(CHANGED, float(turn))))
        plain.append((index, values))
    return batches, plain


def ours(engine: Engine, batches: list[Sample]) -> tuple[float, int]:
    """Microseconds a step, and moves in all."""
    moves = 0
    began = time.process_time()
    for turn, sample in enumerate(batches):
        moves += len(engine.step(float(turn), float(turn), sample))
    return (time.process_time() - began) / len(batches) * 1e6, moves


def peer(count: int, batches: list[tuple[Indices, Floats]]) -> float:
    """Microseconds a batch of a plain evaluation: per value, per rule, a compiled Python expression."""
    half = count // 2
    codes: list[CodeType] = [
        compile(f"abs(v[{i}] - v[{(i + 1) % half}]) > 500 and v[{i}] > 900", "rule", "eval")
        for i in range(half)
    ]
    values = dict.fromkeys(range(half), 0.0)
    active: dict[int, str] = {}
    evaluate: Callable[..., object] = eval
    turns = batches[:20]
    began = time.process_time()
    for index, new in turns:
        for place, value in zip(index.tolist(), new.tolist(), strict=True):
            values[place] = value
            lolo, low, high, hihi = LEVELS
            if value > hihi:
                active[place] = "HIHI"
            elif value < lolo:
                active[place] = "LOLO"
            elif value > high:
                active[place] = "HIGH"
            elif value < low:
                active[place] = "LOW"
            elif place in active:
                del active[place]
            for code in (codes[place], codes[place - 1]):
                evaluate(code, {"abs": abs}, {"v": values})
    return (time.process_time() - began) / len(turns) * 1e6


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    began = time.process_time()
    made = rules(count)
    parsed = time.process_time()
    engine = Engine(made)
    ready = time.process_time()
    half = count // 2
    zeros = np.zeros(half, dtype=np.int32)
    everything = Sample(np.arange(half), np.zeros(half), zeros - 1, zeros, zeros.astype(bool), np.zeros(half))
    engine.step(0.0, 0.0, everything)
    first = time.process_time()
    batches, plain = samples(half)
    ours(engine, batches[:5])
    step_us, moves = ours(engine, batches)
    plain_us = peer(count, plain)
    line = {
        "name": "alarm-rules",
        "rules": count,
        "parse_s": round(parsed - began, 2),
        "build_s": round(ready - parsed, 2),
        "file_s_of_10000": round(file_seconds(min(count, PART)), 1),
        "first_step_s": round(first - ready, 3),
        "changed": CHANGED,
        "moves_a_step": round(moves / ROUNDS, 1),
        "ours_us": round(step_us),
        "plain_us": round(plain_us),
        "ratio": round(plain_us / step_us, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
