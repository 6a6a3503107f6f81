"""How names are made a treatment room's where a site has several."""

from collections.abc import Sequence


def in_room(rooms: Sequence[str], room: str, name: str) -> str:
    """`ROOM.name` where a site has several rooms, else the name itself: `session`, `nozzle.x`."""
    return f"{room}.{name}" if len(rooms) > 1 else name
