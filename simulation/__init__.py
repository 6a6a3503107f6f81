"""The hardware that does not know Tango: plant (wall time), fpga (ticks), CT scanner."""
