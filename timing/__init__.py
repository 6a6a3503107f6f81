"""The central timing system as pure logic in integer ticks: events, sequences, machine cycle."""
