"""A device server on in-memory drivers: `fake_server.py SERVER SITE STATE`.

Each line on stdin is Python to run with `drivers` (device name -> fake) in scope; one line answers it.
"""

import sys
import threading
from pathlib import Path

import numpy as np
from fakes import FakeDrivers

from common import logs
from common import site as sites
from device_servers.server import serve


def obey(drivers: FakeDrivers) -> None:
    scope = {"drivers": drivers.made, "np": np}
    for line in sys.stdin:
        try:
            exec(line, scope)
            answer = "done"
        except Exception as why:  # noqa: BLE001 - the test that sent the line shows it
            answer = repr(why)
        for driver in drivers.made.values():
            driver.wake()
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


def main() -> None:
    server, site, state = sys.argv[1:]
    logs.set_up(server)
    drivers = FakeDrivers()
    threading.Thread(target=obey, args=(drivers,), daemon=True).start()
    serve(server, sites.load(Path(site)), Path(state), drivers)


if __name__ == "__main__":
    main()
