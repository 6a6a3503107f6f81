"""`python -m simulation.messages --state DIR [--port N]`: the gateway as a process.

It writes `ois/messages.yaml` of the state directory, so that the OIS sends its messages here.
"""

import argparse
import asyncio
from pathlib import Path

import yaml

from common.files import write_atomic
from simulation.messages.gateway import FakeGateway
from simulation.process import Announced, run


async def serve(state: Path, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the port is taken."""
    announced = Announced(state, "messages")
    gateway = FakeGateway(port or announced.earlier_ports().get("port", 0))
    with announced:
        gateway.start()
        try:
            content = yaml.safe_dump(gateway.configuration()).encode()
            write_atomic(state / "ois" / "messages.yaml", content, mode=0o600)
            announced.write({"port": gateway.port})
            while not announced.stopping:
                await asyncio.sleep(0.1)
        finally:
            gateway.stop()


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="python -m simulation.messages", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    run("messages", serve(options.state, options.port))


if __name__ == "__main__":
    main()
