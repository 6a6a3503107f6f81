"""Interlock, timing, spot delivery and counters in integer ticks."""
