"""The embedded Tango database: its file is made whole or not at all, and works in memory.

The database writes to disk at each of its many small commits; on a memory file system hundreds of devices
start twice as fast. What it holds is derived from the site file, except for properties that somebody
set by hand: a clean stop keeps them in the state directory.
"""

import hashlib
import os
import random
import shutil
import socket
import stat
import sys
from pathlib import Path

from databaseds.db_access.sqlite3 import SqlDatabase

from common.errors import LinkLost

PORTS = range(20_000, 32_000)
DATABASE_NUMBER = "2"
"""Instance name that PyDatabaseds exports itself under (sys/database/2)."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own there, checked for its owner


def prepare(path: Path) -> None:
    """Create the database file unless it exists.

    PyDatabaseds that dies during its own first start leaves a broken file; here the tables are made
    in a file of another name, which is renamed when it is complete.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    database = SqlDatabase(DATABASE_NUMBER, db_name=str(unfinished))
    database.close_db()
    unfinished.rename(path)


def working_file(kept: Path) -> Path:
    """The file that the database works on: in memory where the system offers that, else `kept`."""
    mark = hashlib.sha256(str(kept.resolve()).encode()).hexdigest()[:16]
    folder = MEMORY / f"ptcs-{os.getuid()}-{mark}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        entry = folder.lstat()
    except OSError:
        return kept
    ours = stat.S_ISDIR(entry.st_mode) and entry.st_uid == os.getuid()
    return folder / kept.name if ours else kept


def open_working(kept: Path) -> Path:
    """The working file, ready: as a killed facility left it, or as a clean stop kept it, or new."""
    working = working_file(kept)
    if working != kept and not working.exists() and kept.exists():
        _copy(kept, working)
    prepare(working)
    return working


def keep(kept: Path) -> None:
    """After the database has ended: keep its working file in the state directory, and free the memory."""
    working = working_file(kept)
    if working == kept or not working.exists():
        return
    _copy(working, kept)
    shutil.rmtree(working.parent)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, unfinished)
    unfinished.rename(target)


def free_port() -> int:
    """A port that nobody has now, below the range of outgoing connections.

    The database needs a port named to it from the start: only then does it mark its sockets for reuse, and
    a database that was killed gets the port back while connections to its forerunner linger.

    Raises LinkLost when no port of the range is free.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LinkLost(f"no free port for the Tango database from {PORTS.start} to {PORTS.stop - 1}")


def command(port: int) -> list[str]:
    """Command line of the database server."""
    server = [sys.executable, "-m", "ptcs.database_server"]
    return [*server, "--host", "127.0.0.1", "--port", str(port), "--print-host-port", DATABASE_NUMBER]
