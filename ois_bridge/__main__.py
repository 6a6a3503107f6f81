"""`python -m ois_bridge --state DIR --site FILE [--port N] [--dicom-port N]`: the OIS process."""

import argparse
import logging
import os
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from common import logs, site
from common.errors import PtcsError
from common.state import StateDir
from ois_bridge import process

HELP = (
    "does its server run, and are address, name and password in STATE/ois/server.yaml right? "
    "A SQLite file that is damaged comes from the backup (docs/how-to/department-database.md)"
)


def main() -> int:
    """Exit status: 0 after a stop, 2 when it cannot start."""
    parser = argparse.ArgumentParser(prog="ois_bridge", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state directory")
    parser.add_argument("--site", type=Path, default=site.DEFAULT_SITE, help="site file")
    parser.add_argument("--port", type=int, default=0, help="HTTP port; 0: any free one")
    parser.add_argument("--dicom-port", type=int, default=0, help="DICOM port; 0: any free one")
    options = parser.parse_args()
    os.umask(0o077)
    log = logs.set_up("ois")
    try:
        process.run(StateDir(options.state), site.load(options.site), options.port, options.dicom_port)
    except OSError as why:
        log.error("cannot start: %s; is a port taken, or the disk full or read-only?", why)
        return 2
    except SQLAlchemyError as why:
        log.error("cannot start: the database cannot be used: %s; %s", _first_line(why), HELP)
        return 2
    except PtcsError as why:
        log.error("cannot start: %s", why)
        return 2
    return 0


def _first_line(why: SQLAlchemyError) -> str:
    """What the database said, without the addresses that follow it."""
    return str(getattr(why, "orig", None) or why).strip().splitlines()[0]


if __name__ == "__main__":
    exit_status = main()
    logging.shutdown()
    # everything is closed; taking the modules apart would last longer than the two seconds that a stop has
    os._exit(exit_status)
