"""What panels need of the running facility. `ptcs` hands it in; tests hand in a small facility."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import tango


class Service(Protocol):
    """A service device, asked in JSON. Every call raises Refused (Unauthorised) or LinkLost."""

    def ask(self, command: str, argument: Any = None) -> Any:
        """The answer of a command, decoded where it is JSON."""

    def read(self, attribute: str) -> Any:
        """An attribute, decoded where it is JSON."""

    def job(self, command: str, argument: dict[str, Any]) -> Any:
        """The result of a command that takes time; waits for it."""


@dataclass(frozen=True)
class Facility:
    """A facility that runs, and who looks at it.

    service: the device of a Tango class (`Archiver`), raises Refused when the site has none.
    proxy: a Tango proxy of a device by its name. crates: names of all crates.
    user: "" for nobody, who only reads. sets: folder of this person's saved trends.
    """

    site: str
    service: Callable[[str], Service]
    proxy: Callable[[str], tango.DeviceProxy]
    crates: tuple[str, ...]
    sets: Path
    user: str = ""
    has: frozenset[str] = field(default_factory=frozenset)
    """Tango classes of services that the site has."""
