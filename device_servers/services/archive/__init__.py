"""The archive's files: one layout, a writer that a killed process cannot damage, a reader, an export."""
