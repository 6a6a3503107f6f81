"""Admin modes and health of devices: the words, and the file that keeps admin modes over a restart."""

import logging
import threading
from enum import IntEnum
from pathlib import Path

from common.errors import Refused
from common.files import read_json, write_json
from common.text import _

log = logging.getLogger(__name__)


class Admin(IntEnum):
    """What people do with a device."""

    ONLINE = 0
    MAINTENANCE = 1
    NOT_FITTED = 2


class Health(IntEnum):
    """What a device's State means for whoever needs it."""

    OK = 0
    DEGRADED = 1
    FAILED = 2
    UNKNOWN = 3


class AdminModes:
    """The admin modes of one server's devices, kept in a file; devices that are ONLINE take no room."""

    def __init__(self, path: Path) -> None:
        """Reads the file if there is one. With an unreadable one every device starts in MAINTENANCE."""
        self._path = path
        self._lock = threading.Lock()
        self._fallback = Admin.ONLINE
        self._modes: dict[str, Admin] = {}
        try:
            self._modes = {name: Admin[word] for name, word in read_json(path).items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as why:
            log.error("%s cannot be used (%s): devices start in MAINTENANCE", path, why)
            self._fallback = Admin.MAINTENANCE

    def get(self, device: str) -> Admin:
        """The mode of a device."""
        return self._modes.get(device, self._fallback)

    def set(self, device: str, mode: Admin) -> None:
        """Keep the mode of a device. Raises Refused when it cannot be written."""
        with self._lock:
            modes = {**self._modes, device: mode}
            try:
                write_json(self._path, {name: kept.name for name, kept in modes.items()})
            except OSError as why:
                raise Refused(_("AdminMode cannot be kept ({why}); free disk space").format(why=why)) from why
            self._modes = modes
