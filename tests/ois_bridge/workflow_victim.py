"""A process that works on tasks until it is killed: `python workflow_victim.py STATE FIRST_COURSE ...`."""

import os
import sys
from itertools import cycle
from pathlib import Path

from common import site
from common.state import StateDir
from ois_bridge import process
from tests.ois_bridge.workflow_steps import do, open_tasks


def main() -> None:
    """Finish the steps of courses in turn, for ever; each course's end begins nothing new."""
    built = process.build(StateDir(Path(sys.argv[1])), site.load())
    print("ready", flush=True)
    for key in cycle(sys.argv[2:]):
        waiting = open_tasks(built, key)
        if not waiting:
            os.write(1, b"over\n")
            continue
        name = min(waiting)
        outcome = "again" if name == "weekly-review" else ""
        do(built, key, name, outcome)
        os.write(1, b".")


if __name__ == "__main__":
    main()
