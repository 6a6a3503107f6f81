"""The authority's means: its key, its books."""

from collections.abc import Callable

from common import authority
from common.errors import Tampered
from common.state import StateDir
from device_servers.control_areas import Areas
from device_servers.services.control.book import Book
from device_servers.services.control.break_glass import BreakGlass
from device_servers.services.control.keeper import Keeper


def keeper_of(state: StateDir, areas: Areas, now: Callable[[], float]) -> Keeper:
    """The authority of a facility, as the last run left it. Raises Tampered, OSError."""
    if not state.machine_key.exists() or not state.machine_public_key.exists():
        authority.new_key(state.machine_key, state.machine_public_key)
    try:
        key = authority.load_private(state.machine_key)
    except ValueError as why:
        raise Tampered(f"{state.machine_key.name} cannot be read: {why}") from why
    book = Book(state.root / "control", state.holders, key, now)
    glass = BreakGlass(state.break_glass, state.audit("break-glass"), now)
    return Keeper(areas, book, glass, key, now)
