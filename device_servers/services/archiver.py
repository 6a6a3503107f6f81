"""Archiver: every block of the site into HDF5 segments, and a range of time out again."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tango import DevState
from tango.server import command

from common.errors import BadInput, Refused
from common.text import _
from device_servers.base import JobDevice, derived, rule
from device_servers.parse import json_object, number_field, text_field
from device_servers.services.archive.answer import to_json
from device_servers.services.archive.export import export
from device_servers.services.archive.keeper import retention
from device_servers.services.archive.keeping import Keeping
from device_servers.services.archive.recorder import Recorder
from device_servers.services.archive.stores import (
    FOLDER,
    HDF5,
    StoreWriter,
    open_reader,
    open_writer,
    place_of,
)
from device_servers.services.archive_sources import ArchiveSources

log = logging.getLogger(__name__)

MOST_POINTS = 20_000
"""Rows of one answer."""


class Archiver(JobDevice):
    """Subscribes to the blocks named by the site's section `archive` and writes them."""

    eager = True

    def init_device(self) -> None:
        """Begin to write, and to look for the sources."""
        super().init_device()
        archive = self.context.site.archive
        self._folder = self.context.state / FOLDER
        self._place = place_of(archive)
        self._reader = open_reader(self._place, self._folder)
        self._keeping = Keeping(self._folder, retention(archive)) if self._place == HDF5 else None
        self._recorder = Recorder(
            self._folder, on_change=self.refresh, keeping=self._keeping, open_store=self._opener()
        )
        self._sources = ArchiveSources(self.context.site, self._recorder)
        self._recorder.start()
        self._sources.start()

    def delete_device(self) -> None:
        """Unsubscribe, write what has arrived, and let go of the files."""
        self._sources.stop()
        self._recorder.stop()
        super().delete_device()

    # --- Attributes

    @derived(dtype=str)
    def Segment(self) -> str:
        """File name of the segment being written."""
        return self._recorder.segment

    @derived(dtype=float, unit="1/s", format="%.1f")
    def Rate(self) -> float:
        """Values written per second, over the last five seconds."""
        return self._recorder.rate

    @derived(dtype=int)
    def Values(self) -> int:
        """Samples and spots written since the start."""
        return self._recorder.values

    @derived(dtype=int)
    def Lost(self) -> int:
        """Samples that found no room, and events that Tango reported as missed."""
        return self._recorder.lost

    # --- Commands

    @command
    def Flush(self) -> None:
        """Write and commit everything that has arrived. Refused when the disk does not take it."""
        self._flush()

    @rule(read=True)
    @command(
        dtype_in=str,
        doc_in='JSON {"attribute": "device/attribute", "start", "end": s since the epoch, "points"}',
        dtype_out=str,
        doc_out="JSON: width of the bins (0: samples), arrays of times and values; see archive.md",
    )
    def Query(self, wish: str) -> str:
        """One attribute over any range in at most `points` rows (2000 without it)."""
        start, end, values = _range(wish)
        attribute = text_field(values, "attribute")
        points = int(number_field({"points": 2000} | values, "points"))
        if not 2 <= points <= MOST_POINTS:
            raise Refused(
                _("{points} points: allowed are 2 to {most}").format(points=points, most=MOST_POINTS)
            )
        try:
            return to_json(self._reader.query(attribute, start, end, points), attribute, start, end)
        except (OSError, BadInput) as why:
            raise Refused(_("the archive cannot be read ({why})").format(why=why)) from why

    @rule(read=True)
    @command(
        dtype_in=str,
        doc_in="pattern: * and ? as in file names, no case",
        dtype_out=(str,),
        doc_out="names of archived attributes, device/attribute, in order",
    )
    def Names(self, pattern: str) -> list[str]:
        """Which attributes are archived."""
        try:
            return self._reader.names(pattern or "*")
        except (OSError, BadInput) as why:
            raise Refused(_("the archive cannot be read ({why})").format(why=why)) from why

    @command(
        dtype_in=str,
        doc_in='JSON {"start", "end": s since the epoch, "path": absolute, ending in .h5}',
        dtype_out=str,
        doc_out="job id",
    )
    def Export(self, wish: str) -> str:
        """Write what the archive holds between two times into one HDF5 file."""
        start, end, values = _range(wish)
        path = Path(text_field(values, "path"))
        if not path.is_absolute() or path.suffix != ".h5":
            raise Refused(_("path {path}: it must be absolute and end in .h5").format(path=path))
        if path.parent.resolve() == self._folder.resolve():
            raise Refused(_("an export does not go into the archive itself; choose another folder"))
        return self.start_job(lambda _cancel: self._export(start, end, path))

    # --- Inner

    def _state(self) -> tuple[DevState, str]:
        if self._recorder.trouble:
            return DevState.FAULT, _("cannot write: {why}").format(why=self._recorder.trouble)
        if not self._recorder.segment:
            return DevState.INIT, _("opening the archive")
        if self._keeping is not None and self._keeping.trouble:
            return DevState.ALARM, self._keeping.trouble
        if self._keeping is not None and self._keeping.low:
            return DevState.ALARM, _("the disk is nearly full: the oldest days are removed before their time")
        missing = self._sources.missing()
        if missing:
            return DevState.ALARM, _("no data from {devices}").format(devices=", ".join(missing))
        return DevState.RUNNING, _("archiving {count} sources").format(count=len(self._sources))

    def _opener(self) -> Callable[[float], StoreWriter] | None:
        """How to open a store that is no folder of HDF5 files."""
        if self._place == HDF5:
            return None
        return lambda now: open_writer(self._place, self._folder, now, control_system=self.context.site.name)

    def _flush(self) -> None:
        try:
            self._recorder.flush()
        except OSError as why:
            raise Refused(
                _("the archive cannot be written ({why}); free disk space").format(why=why)
            ) from why

    def _export(self, start: float, end: float, path: Path) -> None:
        self._flush()
        try:
            found = export(self._reader, start, end, path)
        except OSError as why:
            raise Refused(_("export to {path} failed: {why}").format(path=path, why=why)) from why
        log.info(
            "exported %d attributes, %d spots, %d texts",
            len(found.series),
            len(found.spots),
            len(found.texts),
        )


def _range(wish: str) -> tuple[float, float, dict[str, Any]]:
    """Start and end of a wish, and all of it. Raises Refused."""
    values = json_object(wish)
    start, end = number_field(values, "start"), number_field(values, "end")
    if start > end:
        raise Refused(_("the range ends before it starts"))
    return start, end, values
