"""The OIS process: what it is made of, how it starts, how it stops."""

import json
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from common import authority
from common.errors import BadConfig
from common.files import read_json, write_atomic
from common.links.dimse import ArchiveServer
from common.site import Site
from common.state import StateDir
from interlock import matrix
from ois_bridge import application, chores, settings
from ois_bridge.interfaces import dicom, record_links
from ois_bridge.interfaces.desk import open_desk
from ois_bridge.interfaces.features import HttpReaders
from ois_bridge.interfaces.file_store import DiskFiles
from ois_bridge.interfaces.messages import Gateways
from ois_bridge.interfaces.passwords import Argon2
from ois_bridge.interfaces.report import Pages
from ois_bridge.interfaces.voice import Espeak
from ois_bridge.models.database import Database
from ois_bridge.services import accounts, diagnoses, intake, photos, reports
from ois_bridge.services.appointments import settings as sheet
from ois_bridge.services.audit import Audit
from ois_bridge.services.context import Context
from ois_bridge.services.device_watch import Watch
from ois_bridge.services.events import Hub
from ois_bridge.services.workflow import ready as workflow
from ois_bridge.tango_client import TangoFacility
from ois_bridge.web_server import WebServer, bound

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
        own = settings.load(state)
        database = Database(own.database)
        undo.callback(database.close)
        audit = Audit(database, root / "audit.log")
        undo.callback(audit.close)
        trips = {
            row.name: {"en": row.text.en, "zh": row.text.zh}
            for row in matrix.load(site.interlock_path).inputs
        }
        gateways = Gateways(root / "messages.yaml")
        context = Context(
            database=database,
            audit=audit,
            files=DiskFiles(root / "dicom"),
            reports=DiskFiles(root / "reports"),
            hasher=Argon2(),
            composer=Pages(trips),
            signing_key=authority.load_private(state.signing_key),
            now=lambda: datetime.now(UTC),
            machine=site.machine,
            record=record_links.build(root, trips),
            messenger=gateways,
            events=Hub(),
            voice=Espeak(root / "voice"),
            readers=HttpReaders(root / "readers.yaml"),
            desk=open_desk(root),
            machines=Watch(TangoFacility(state, site)),
            keep_messages=own.keep_messages,
            machine_key=state.machine_public_key,
            trips=trips,
        )
        _make_ready(context, state, site)
        undo.pop_all()
    return context


def _make_ready(context: Context, state: StateDir, site: Site) -> None:
    removed = intake.sweep(context) + reports.sweep(context) + photos.sweep(context)
    if removed:
        log.warning("%d files of interrupted writes removed", removed)
    diagnoses.make_ready(context)
    workflow.make_ready(context)
    sheet.make_ready(context)
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


def _tell_the_time_of_the_sheet() -> None:
    """Pages, queues and messages of this process in the zone of the appointment sheet: a computer that runs
    in another one (a container, in UTC) must not tell patients a wrong hour.
    """
    zone = sheet.rules().zone
    if isinstance(zone, ZoneInfo) and zone.key:
        os.environ["TZ"] = zone.key
        time.tzset()


def run(state: StateDir, site: Site, port: int, dicom_port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises what `build` raises, and OSError when a port is taken."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _tell_the_time_of_the_sheet()
    with ExitStack() as stack:
        listener = stack.enter_context(bound("127.0.0.1", port))
        public = settings.load(state).public
        context = stack.enter_context(closing(build(state, site)))
        stack.enter_context(chores.working(context, stopping))
        app = application.create(context, frozenset({public.host}) if public else frozenset())
        webs = [WebServer(app, listener)]
        if public is not None:
            webs.append(WebServer(app, stack.enter_context(bound("", public.port)), public))
        archive = dicom.server(context, dicom_port)
        archive.start()
        try:
            _serve(state, archive, webs, stopping)
        finally:
            _stop(context, archive, webs)


def _serve(
    state: StateDir, archive: ArchiveServer, webs: Sequence[WebServer], stopping: threading.Event
) -> None:
    for web in webs:
        web.start(stopping)
    try:
        if all(web.alive for web in webs) and not stopping.is_set():
            more = {"public_port": webs[1].port} if len(webs) > 1 else {}
            state.announce("ois", port=webs[0].port, dicom_port=archive.port, aet=dicom.AET, **more)
            log.info("serving on ports %s (HTTP) and %d (DICOM)", [web.port for web in webs], archive.port)
        while all(web.alive for web in webs) and not stopping.wait(0.5):
            pass
    finally:
        state.run_file("ois").unlink(missing_ok=True)


def _stop(context: Context, archive: ArchiveServer, webs: Sequence[WebServer]) -> None:
    """Listeners first: the web servers wait for their streams."""
    context.events.close()
    for web in webs:
        web.stop()
    archive.stop()
    for web in webs:
        web.join()
