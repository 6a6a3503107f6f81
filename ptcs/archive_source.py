"""Where `ptcs archive` reads: from the archiver of a running facility, else from what it wrote."""

import difflib
import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import click
import tango

from common import site as sites
from common.errors import BadInput, LinkLost, Refused
from common.files import read_json
from common.site import Site
from common.state import StateDir
from common.text import _
from device_servers.services.archive.answer import from_json
from device_servers.services.archive.protocols import ArchiveReader, Overview
from device_servers.services.archive.stores import open_reader, place_of
from device_servers.sessions import address
from ptcs.running import running

PATIENCE_MS = 20_000
SUGGESTIONS = 3
STANDING = ("State", "Status", "Segment", "Rate", "Values", "Lost")


@runtime_checkable
class Closable(Protocol):
    """A reader that holds a connection."""

    def close(self) -> None:
        """Let go of it."""


class Source:
    """The archive of one state directory. Its facility may be up or down."""

    def __init__(self, state: Path, site_file: Path | None = None) -> None:
        """site_file: of a facility that is down; the one that ran last if None."""
        self.state = StateDir(state.resolve())
        self.facility = running(state)
        self.site = _site(self.state, self.facility, site_file)
        self.place = place_of(self.site.archive)

    @property
    def kind(self) -> str:
        """hdf5 or postgresql."""
        return self.place.partition(":")[0].partition("+")[0]

    def reader(self) -> ArchiveReader:
        """Reads what was written, as long as the command lasts. Raises Refused when nothing was yet."""
        if self.place == "hdf5" and not self.state.archive.is_dir():
            raise Refused(
                _("there is no archive in {folder}; `ptcs up` starts a facility that writes one").format(
                    folder=self.state.root
                )
            )
        reader = open_reader(self.place, self.state.archive)
        if isinstance(reader, Closable):
            click.get_current_context().call_on_close(reader.close)
        return reader

    def query(self, attribute: str, start: float, end: float, points: int) -> Overview:
        """From the archiver when it answers, else from what it wrote. Raises BadInput, Refused, OSError."""
        try:
            archiver = self.archiver()
            wish = {"attribute": attribute, "start": start, "end": end, "points": points}
            return from_json(archiver.command_inout("Query", json.dumps(wish)))
        except LinkLost:
            return self.reader().query(attribute, start, end, points)
        except tango.DevFailed as why:
            if why.args[0].reason == "Refused":
                raise Refused(why.args[0].desc) from why
            return self.reader().query(attribute, start, end, points)

    def archiver(self) -> tango.DeviceProxy:
        """The Archiver of the running facility. Raises LinkLost."""
        devices = self.site.of_class("Archiver")
        if self.facility is None or not devices:
            raise LinkLost(_("no archiver runs; start the facility with `ptcs up`"))
        try:
            proxy = tango.DeviceProxy(address(devices[0].name, self.facility["tango_host"]))
            proxy.set_timeout_millis(PATIENCE_MS)
            proxy.ping()
        except tango.DevFailed as why:
            raise LinkLost(_("the archiver does not answer; `ptcs status` shows the servers")) from why
        return proxy

    def standing(self) -> dict[str, Any]:
        """State, Status, Segment, Rate, Values, Lost of the archiver. Raises LinkLost."""
        proxy = self.archiver()
        try:
            found = {value.name: value.value for value in proxy.read_attributes(list(STANDING))}
        except tango.DevFailed as why:
            raise LinkLost(_("the archiver does not answer; `ptcs status` shows the servers")) from why
        return {name.lower(): str(found[name]) if name == "State" else found[name] for name in STANDING}


def _site(state: StateDir, facility: dict[str, Any] | None, site_file: Path | None) -> Site:
    """The site of the running facility, the one that is named, or the one that ran last."""
    if facility is not None:
        return sites.load(Path(facility["site_file"]))
    if site_file is not None:
        return sites.load(site_file)
    try:
        return sites.load(Path(read_json(state.facility)["site_file"]))
    except (OSError, ValueError, KeyError, TypeError):
        return sites.load()


def must_know(reader: ArchiveReader, attribute: str) -> None:
    """Raise BadInput, with what was perhaps meant, for an attribute that was never archived."""
    names = reader.names()
    if attribute in names:
        return
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(attribute.lower(), lower, SUGGESTIONS, 0.6)
    meant = (
        _("; did you mean {names}?").format(names=", ".join(lower[name] for name in near))
        if near
        else _("; `ptcs archive list` shows what is")
    )
    raise BadInput(_("{attribute} is not archived").format(attribute=attribute) + meant)
