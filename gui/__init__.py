"""Panels of the control room and the treatment rooms (Taurus, PyQt5, pyqtgraph)."""
