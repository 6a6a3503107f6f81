"""Which store an archive has: HDF5 files in the state directory, or PostgreSQL in the tables of HDB++.

The site's section `archive` says it: `store: hdf5` (also without the key), or `store: postgresql://...`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from common.errors import BadConfig
from common.text import _
from device_servers.services.archive.layout import Limits
from device_servers.services.archive.protocols import ArchiveReader, ArchiveWriter
from device_servers.services.archive.query import FolderReader
from device_servers.services.archive.store import Store

HDF5 = "hdf5"
FOLDER = "archive"
"""Name of the HDF5 store's folder in the state directory."""


class StoreWriter(ArchiveWriter, Protocol):
    """A writer as the recorder uses it."""

    @property
    def segment_name(self) -> str:
        """Where values go now."""


def place_of(archive: Mapping[str, Any]) -> str:
    """`hdf5` or a URL, from a site's section `archive`."""
    return str(archive.get("store", HDF5))


def open_writer(
    place: str, folder: Path, now: float, limits: Limits | None = None, control_system: str = "ptcs"
) -> StoreWriter:
    """The writer of an archive. Raises BadConfig, Refused (another process writes it), OSError.

    place: as `place_of` gives it. folder: of the HDF5 files. control_system: the site's name.
    """
    if place == HDF5:
        return Store(folder, now, limits)
    _check(place)
    # whoever keeps files needs no driver of PostgreSQL
    from device_servers.services.archive.hdbpp.writer import HdbWriter  # noqa: PLC0415

    return HdbWriter(place, control_system)


def open_reader(place: str, folder: Path) -> ArchiveReader:
    """The reader of an archive. Raises BadConfig; its methods raise OSError while the store is away."""
    if place == HDF5:
        return FolderReader(folder)
    _check(place)
    from device_servers.services.archive.hdbpp.reader import HdbReader  # noqa: PLC0415

    return HdbReader(place)


def _check(place: str) -> None:
    if not place.startswith(("postgresql://", "postgresql+psycopg://")):
        raise BadConfig(_("the archive's store is no PostgreSQL URL; write postgresql://USER@HOST/DATABASE"))
