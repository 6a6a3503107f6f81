"""Alarms: rules as data, severities with hysteresis and delay, a table of states, a durable history."""
