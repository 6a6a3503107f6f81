"""The OIS process: what it is made of, how it starts, how it stops."""

import json
import logging
import secrets
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
import yaml

from common import authority
from common.errors import BadConfig
from common.files import read_json, write_atomic
from common.links.dimse import ArchiveServer
from common.site import Site
from common.state import StateDir
from ois_bridge import application, chores
from ois_bridge.interfaces import dicom, record_links
from ois_bridge.interfaces.desk import open_desk
from ois_bridge.interfaces.file_store import DiskFiles
from ois_bridge.interfaces.messages import Gateways
from ois_bridge.interfaces.passwords import Argon2
from ois_bridge.interfaces.report import Pages
from ois_bridge.models.database import Database
from ois_bridge.services import accounts, diagnoses, intake, photos, reports
from ois_bridge.services.audit import Audit
from ois_bridge.services.context import Context
from ois_bridge.services.events import Hub

log = logging.getLogger(__name__)


def build(state: StateDir, site: Site) -> Context:
    """The means of an OIS in a state directory; made on first start, found again later.

    Raises Tampered for a broken audit chain, BadConfig for unusable roles, OSError.
    """
    root = state.root / "ois"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not state.signing_key.exists():
        authority.new_key(state.signing_key, state.public_key)
    with ExitStack() as undo:
        database = Database(place(state))
        undo.callback(database.close)
        audit = Audit(database, root / "audit.log")
        undo.callback(audit.close)
        gateways = Gateways(root / "messages.yaml")
        context = Context(
            database=database,
            audit=audit,
            files=DiskFiles(root / "dicom"),
            reports=DiskFiles(root / "reports"),
            hasher=Argon2(),
            composer=Pages(),
            signing_key=authority.load_private(state.signing_key),
            now=lambda: datetime.now(UTC),
            machine=site.machine,
            record=record_links.build(root),
            messenger=gateways,
            events=Hub(),
            desk=open_desk(root),
        )
        _make_ready(context, state, site)
        undo.pop_all()
    return context


def place(state: StateDir) -> Path | str:
    """Where the data lie: the URL in STATE/keys/ois-database where there is one, else a SQLite file."""
    url = state.ois_database
    return url.read_text(encoding="utf-8").strip() if url.exists() else state.root / "ois" / "ois.db"


def _make_ready(context: Context, state: StateDir, site: Site) -> None:
    removed = intake.sweep(context) + reports.sweep(context) + photos.sweep(context)
    if removed:
        log.warning("%d files of interrupted writes removed", removed)
    diagnoses.make_ready(context)
    if accounts.none_yet(context):
        rows = _account_rows(site.roles_path)
        accounts.create_accounts(context, rows, _passwords(state.demo_accounts, rows))


def _account_rows(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["accounts"]
        unknown = {role for row in rows for role in row["roles"]} - set(authority.ROLES)
        complete = all(row["user"] and row["full_name"] for row in rows)
    except (OSError, yaml.YAMLError, KeyError, TypeError) as why:
        raise BadConfig(f"{path.name}: accounts with user, full_name and roles are needed ({why})") from why
    if unknown or not complete:
        raise BadConfig(f"{path.name}: unknown role {', '.join(sorted(unknown))}, or an account without name")
    return list(rows)


def _passwords(path: Path, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """Generated passwords; the file is written before the accounts, so a first start may be repeated."""
    if path.exists():
        return dict(read_json(path))
    passwords = {str(row["user"]): secrets.token_urlsafe(12) for row in rows}
    write_atomic(path, (json.dumps(passwords, indent=2) + "\n").encode(), mode=0o600)
    return passwords


def bound(port: int) -> socket.socket:
    """A listening socket on the loopback interface. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener


def run(state: StateDir, site: Site, port: int, dicom_port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises what `build` raises, and OSError when a port is taken."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with bound(port) as listener, closing(build(state, site)) as context, chores.working(context):
        archive = dicom.server(context, dicom_port)
        archive.start()
        web = uvicorn.Server(
            uvicorn.Config(
                application.create(context),
                log_config=None,
                access_log=False,  # addresses may hold patient IDs
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        # outside the main thread uvicorn leaves the signals to us
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
        thread.start()
        try:
            _serve(state, archive, web, thread, listener.getsockname()[1], stopping)
        finally:
            _stop(context, archive, web, thread)


def _serve(
    state: StateDir,
    archive: ArchiveServer,
    web: uvicorn.Server,
    thread: threading.Thread,
    port: int,
    stopping: threading.Event,
) -> None:
    while not web.started and thread.is_alive() and not stopping.is_set():
        stopping.wait(0.02)
    try:
        if web.started:
            state.announce("ois", port=port, dicom_port=archive.port, aet=dicom.AET)
            log.info("serving on ports %d (HTTP) and %d (DICOM)", port, archive.port)
        while thread.is_alive() and not stopping.wait(0.5):
            pass
    finally:
        state.run_file("ois").unlink(missing_ok=True)


def _stop(context: Context, archive: ArchiveServer, web: uvicorn.Server, thread: threading.Thread) -> None:
    """Listeners first: the web server waits for their streams."""
    context.events.close()
    web.should_exit = True
    archive.stop()
    thread.join(1.5)
