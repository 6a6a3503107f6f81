"""The manifest set right from the files, after a process was killed or the manifest was lost.

Every change makes a new file whole, then replaces the manifest, then removes what the new file replaces. A
process killed in between leaves files that the manifest does not list: what they hold tells what they are.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import h5py

from device_servers.services.archive.closed import check_closed, describe, load_closed, write_closed
from device_servers.services.archive.layout import CLOSED_PREFIX, DAMAGED_PREFIX, RAW_PREFIXES, ROLLUP_WIDTHS
from device_servers.services.archive.manifest import Listed, Manifest, Rollup, read_manifest, write_manifest

log = logging.getLogger(__name__)

UNREADABLE = (OSError, KeyError, RuntimeError, ValueError)
"""What h5py raises for a file that is none, or not ours."""


def reconcile(folder: Path) -> Manifest:
    """The manifest, after what is left of an unfinished change is gone. The caller is alone with the files.

    Without a readable manifest everything that the files hold is listed once. Raises OSError.
    """
    for leftover in folder.glob(".*.new"):
        leftover.unlink()
    present = {path.name for prefix in RAW_PREFIXES for path in folder.glob(f"{prefix}*.h5")}
    rollups = {path.name for prefix in ROLLUP_WIDTHS for path in folder.glob(f"{prefix}*.h5")}
    try:
        listed, torn = read_manifest(folder), False
    except (OSError, ValueError, TypeError, KeyError) as why:
        log.warning("manifest unreadable, made again from the files: %s", why)
        listed, torn = Manifest(), True
    lost = torn or listed.signature is None
    if listed.files() == present | rollups and not torn:
        return listed
    for name in sorted(listed.files() - present - rollups):
        log.error("%s is listed in the manifest and is gone", name)
    segments = _segments(folder, [entry for entry in listed.segments if entry.file in present], present)
    kept = [entry for entry in listed.rollups if entry.file in rollups]
    unlisted = rollups - {entry.file for entry in kept}
    found = _best(folder, unlisted) if lost else []
    for name in unlisted - {entry.file for entry in found}:
        (folder / name).unlink(missing_ok=True)
    manifest = Manifest(tuple(segments), (*kept, *found))
    write_manifest(folder, manifest)
    return manifest


def upgrade(folder: Path, manifest: Manifest) -> None:
    """Write again the segments whose channels are not in order of name, as earlier versions left them."""
    for entry in manifest.segments:
        path = folder / entry.file
        if not entry.merged and not _by_name(path):
            write_closed(path, load_closed(path))


def set_aside(path: Path, why: BaseException | str) -> None:
    """Rename a file that cannot be used, so that a person can look at it."""
    log.error("%s is set aside: %s", path.name, why)
    path.replace(path.with_name(DAMAGED_PREFIX + path.name))


def stems(path: Path) -> frozenset[bytes]:
    """The segments that a closed file holds, by what their names have in common. Raises OSError."""
    with h5py.File(path, "r", locking=False) as file:
        check_closed(file, path)
        if path.name.startswith(CLOSED_PREFIX):
            return frozenset([path.stem.removeprefix(CLOSED_PREFIX).encode()])
        return frozenset(file["sources"][:].tolist())


def _segments(folder: Path, kept: list[Listed], present: Iterable[str]) -> list[Listed]:
    """Listed files, and those unlisted ones that hold what no listed one does; the others are removed."""
    known = {entry.file for entry in kept}
    strangers: list[tuple[str, frozenset[bytes]]] = []
    for name in set(present) - known:
        try:
            strangers.append((name, stems(folder / name)))
        except UNREADABLE as why:
            set_aside(folder / name, why)
    held = {stem for entry in kept for stem in stems(folder / entry.file)} if strangers else set()
    for name, own in sorted(strangers, key=lambda stranger: (-len(stranger[1]), stranger[0])):
        if own <= held:
            (folder / name).unlink()
        elif own & held:
            set_aside(folder / name, "it holds in part what other files hold")
        else:
            kept = [*kept, describe(folder / name)]
            held |= own
    return kept


def _best(folder: Path, names: Iterable[str]) -> list[Rollup]:
    """Of roll-ups that hold the same days those that hold the most."""
    found: list[Rollup] = []
    for name in names:
        try:
            with h5py.File(folder / name, "r", locking=False) as file:
                check_closed(file, folder / name)
                days = tuple(day.decode() for day in file["sources"][:])
                found.append(Rollup(name, float(file.attrs["start"]), float(file.attrs["end"]), days))
        except UNREADABLE as why:
            set_aside(folder / name, why)
    best: list[Rollup] = []
    for rollup in sorted(found, key=lambda entry: (-len(entry.days), entry.file)):
        same_kind = (other for other in best if other.file.split("-")[0] == rollup.file.split("-")[0])
        if not any(set(other.days) & set(rollup.days) for other in same_kind):
            best.append(rollup)
    return best


def _by_name(path: Path) -> bool:
    with h5py.File(path, "r", locking=False) as file:
        return bool(file.attrs.get("by_name", False))
