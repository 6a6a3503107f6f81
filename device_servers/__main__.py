"""`python -m device_servers SERVER --state DIR --site FILE`: one device server process."""

import argparse
import os
import sys
from pathlib import Path

from common import site as sites
from common.errors import PtcsError
from common.files import read_json
from common.state import StateDir
from device_servers.server import run


def main() -> int:
    """Run until SIGTERM; 1 with a reason when it cannot start."""
    parser = argparse.ArgumentParser(prog="device_servers", description=__doc__)
    parser.add_argument("server", help="name of a server in the site file")
    parser.add_argument("--state", type=Path, required=True, help="state directory of the facility")
    parser.add_argument("--site", type=Path, default=sites.DEFAULT_SITE, help="site file")
    wish = parser.parse_args()
    try:
        site = sites.load(wish.site)
        if wish.server not in site.servers:
            parser.error(f"no server {wish.server}: allowed are {', '.join(site.servers)}")
        _find_database(wish.state)
        run(wish.server, site, wish.state)
    except (PtcsError, OSError) as why:
        sys.stderr.write(f"{wish.server}: {why}\n")
        return 1
    return 0


def _find_database(state: Path) -> None:
    """TANGO_HOST of the environment, else of the facility's run file. Raises OSError."""
    if "TANGO_HOST" not in os.environ:
        entry = read_json(StateDir(state).run_file("database"))
        os.environ["TANGO_HOST"] = f"{entry.get('host', '127.0.0.1')}:{entry['port']}"


if __name__ == "__main__":
    sys.exit(main())
