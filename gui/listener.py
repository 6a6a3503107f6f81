"""Taurus attributes as Qt signals: one signal for every reading, None for a lost one."""

from typing import Any

import taurus
from PyQt5.QtCore import QObject, pyqtSignal
from taurus.core import TaurusEventType


class AttributeListener(QObject):
    """Listens to attributes of one device. `changed(name, value)` arrives in the GUI thread."""

    changed = pyqtSignal(str, object)

    def __init__(self, device: str, names: tuple[str, ...], parent: QObject | None = None) -> None:
        """`device` as DOMAIN/FAMILY/MEMBER; attributes of a device that is down report None."""
        super().__init__(parent)
        self._attributes = {taurus.Attribute(f"{device}/{name}"): name for name in names}

    def start(self) -> None:
        """Begin to listen. The first readings are emitted within this call: connect before."""
        for attribute in self._attributes:
            attribute.addListener(self._on_event)

    def close(self) -> None:
        """Stop listening; to be called before the application ends."""
        for attribute in self._attributes:
            attribute.removeListener(self._on_event)
        self._attributes.clear()

    def _on_event(self, source: Any, kind: Any, value: Any) -> None:
        name = self._attributes.get(source)
        if name is None or kind == TaurusEventType.Config:
            return
        if kind == TaurusEventType.Error or value is None:
            self.changed.emit(name, None)
            return
        reading = value.rvalue
        self.changed.emit(name, getattr(reading, "magnitude", reading))
