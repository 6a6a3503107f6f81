"""One request to the beam hardware, and what it needs to be answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.clock import ClockRate
from common.errors import Refused
from common.wire.frame import Frame
from simulation.fpga.core import Core, check_room


@dataclass(frozen=True)
class Call:
    """One request and what it needs to be answered."""

    core: Core
    rate: ClockRate
    frame: Frame
    wall_ns: Callable[[int], int]

    @property
    def body(self) -> Mapping[str, Any]:
        """The request's body."""
        return self.frame.body

    def room(self) -> str:
        """The room that a request speaks for; empty for one that names none. Raises Refused."""
        room = self.body.get("room", "")
        if room:
            check_room(room, self.core.rooms)
        return str(room)

    def roles(self) -> list[str]:
        """The roles that a request names. Raises Refused."""
        roles = self.body.get("roles")
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise Refused(f"{self.body.get('do')}: 'roles' must be a list of texts")
        return roles
