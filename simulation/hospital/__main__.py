"""`python -m simulation.hospital --state DIR [--port N]`: a hospital's systems around the OIS, one process.

The HIS (HL7), the gateway of text messages and WeChat, the charging service, and the database of an earlier
ARIA. It writes `ois/his.yaml`, `ois/messages.yaml` and `ois/links.yaml` of the state directory before it
announces itself, and leaves files alone that somebody else wrote.
"""

import argparse
import logging
import signal
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import yaml

from common import logs
from common.files import read_json, write_atomic
from common.state import StateDir
from simulation.his.server import PERSONS, HisServer
from simulation.hospital import charging, people
from simulation.messages.gateway import FakeGateway

OURS = "# Written by the simulated hospital at each start. A file without this line is left alone.\n"

log = logging.getLogger("hospital")


def configure(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Write one file of the OIS's directory unless somebody else's lies there."""
    path = folder / name
    if path.exists() and not path.read_text(encoding="utf-8").startswith(OURS):
        log.warning("%s is not ours and stays as it is", path)
        return
    write_atomic(path, (OURS + yaml.safe_dump(content, allow_unicode=True)).encode(), mode=0o600)


def earlier_ports(state: StateDir) -> dict[str, int]:
    """Ports of a hospital that ended without removing its run file: the OIS knows those."""
    try:
        entry = read_json(state.run_file("hospital"))
    except (OSError, ValueError):
        return {}
    return {key: int(value) for key, value in entry.items() if key.endswith("port")}


def serve(state: StateDir, port: int, stopping: threading.Event) -> None:
    """Serve until `stopping`. `port`: of the HIS; 0: any free one. Raises OSError when it is taken."""
    folder = state.root / "ois"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ports = earlier_ports(state)
    with ExitStack() as stack:
        his = stack.enter_context(
            closing(HisServer((*PERSONS, *people.persons()), port or ports.get("port", 0)))
        )
        fees = stack.enter_context(charging.ChargingService(people.Charged(), ports.get("charging_port", 0)))
        gateway = FakeGateway(ports.get("messages_port", 0))
        gateway.start()
        stack.callback(gateway.stop)
        aria = people.earlier_treatments(folder / "simulated-aria.db")
        configure(folder, "his.yaml", {"host": "127.0.0.1", "port": his.port})
        configure(folder, "messages.yaml", gateway.configuration())
        configure(folder, "links.yaml", {"other_ois": [aria], "charging": {"url": fees.url}})
        state.announce("hospital", port=his.port, messages_port=gateway.port, charging_port=fees.port)
        stack.callback(lambda: state.run_file("hospital").unlink(missing_ok=True))
        log.info("HIS on port %d, messages on %s, charging on %s", his.port, gateway.url, fees.url)
        stopping.wait()


def main() -> int:
    """Serve until SIGTERM or SIGINT; exit status 2 when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m simulation.hospital", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--site", type=Path, help="not needed; every process of a facility is given it")
    parser.add_argument("--port", type=int, default=0, help="MLLP port of the HIS; 0: any free one")
    options = parser.parse_args()
    logs.set_up("hospital")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        serve(StateDir(options.state), options.port, stopping)
    except OSError as why:
        log.error("cannot start: %s", why)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
