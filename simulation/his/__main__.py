"""`python -m simulation.his [--port N]`: the simulated hospital system, until it is stopped."""

import argparse
import logging
import signal
import threading

from common import logs
from simulation.his.server import HisServer


def main() -> int:
    """Serve until SIGTERM or SIGINT; exit status 2 when the port is taken."""
    parser = argparse.ArgumentParser(prog="simulation.his", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="MLLP port; 0: any free one")
    options = parser.parse_args()
    log = logs.set_up("his")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        server = HisServer(port=options.port)
    except OSError as why:
        log.error("cannot start: %s", why)
        return 2
    logging.info("HL7 on port %d", server.port)
    stopping.wait()
    server.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
