"""`python -m benchmarks.service_kills [KILLS [READS [NAME ...]]]`: stores killed (-9) at random moments.

Each line is one kind of process, killed KILLS times (50) by the test that the suite runs with a few kills:
after each kill everything that was acknowledged is there, readable, and the next start needs nobody.
`archive-reads`: READS (10 000) reads of closed segments, of the open one and of overviews by four threads,
beside the writer and while segments are closed and merged; `archiver-reads`: as many by eight threads through
the Archiver, after it was killed. A line says "whole" only when the test has passed;
with "whole": false `why` is what it said. Exit status 1 when one is not whole.
"""

import json
import os
import subprocess
import sys
import time

HERE = "tests/device_servers"
ALARMS, POSTGRES = f"{HERE}/test_alarm_service.py", f"{HERE}/test_hdbpp_kills.py"
CASES = {
    "archive-kills": f"{HERE}/test_archive_kills.py::test_kill_9_loses_nothing_committed",
    "alarm-kills": f"{ALARMS}::test_killed_at_random_moments_nothing_acknowledged_is_lost",
    "settings-logbook-catalogue-kills": f"{HERE}/test_settings_kill.py",
    "archive-postgresql-writer-kills": f"{POSTGRES}::test_a_killed_writer_loses_nothing_acknowledged",
    "archive-postgresql-database-kills": f"{POSTGRES}::test_a_killed_database_loses_nothing",
    "archiver-reads": f"{HERE}/test_archive_device.py",
    "archive-reads": f"{HERE}/test_archive_kills.py::test_readers_beside_the_writer",
}
READING = ("archiver-reads", "archive-reads")


def case(name: str, test: str, kills: int, reads: int) -> bool:
    """Run one test with these counts and print its line; whether it has passed."""
    counts = {"PTCS_KILLS": str(kills), "PTCS_ALARM_KILLS": str(kills), "PTCS_READS": str(reads)}
    began = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--timeout=0",
            "--show-capture=no",
            test,
        ],
        env={**os.environ, **counts},
        capture_output=True,
        text=True,
        check=False,
    )
    # a test that was skipped has shown nothing
    whole = done.returncode == 0 and " passed" in done.stdout and " skipped" not in done.stdout
    told = {"name": name, "whole": whole, "seconds": round(time.monotonic() - began, 1)}
    told |= {"reads": reads, "errors": 0} if name in READING and whole else {}
    told |= {"kills": kills, "lost": 0} if name not in READING and whole else {}
    if not whole:
        told["why"] = done.stdout[-2000:]
    print(json.dumps(told), flush=True)
    return whole


def main() -> int:
    """Every case, or those that are named, one after the other."""
    numbers = [int(word) for word in sys.argv[1:3]]
    kills, reads = [*numbers, *(50, 10_000)[len(numbers) :]]
    names = sys.argv[3:] or list(CASES)
    if unknown := set(names) - CASES.keys():
        print(f"no case {', '.join(sorted(unknown))}; allowed are {', '.join(CASES)}", file=sys.stderr)
        return 2
    done = [case(name, CASES[name], kills, reads) for name in names]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
