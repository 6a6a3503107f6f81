"""Foreign beam-model tables to the format of `docs/reference/beam-model.md`."""
