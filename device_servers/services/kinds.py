"""The device classes of this process by name, for services that look at what every class shows."""

from typing import Any

from common.errors import BadConfig
from device_servers.base import PtcsDevice


def class_named(name: str) -> Any:
    """The device class of that name: every server process has imported all of them. Raises BadConfig."""
    kinds: list[Any] = [PtcsDevice]
    for kind in kinds:
        if kind.__name__ == name:
            return kind
        kinds += kind.__subclasses__()
    raise BadConfig(f"no device class {name}")
