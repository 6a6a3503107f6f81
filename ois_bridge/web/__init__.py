"""Pages and REST API of the OIS."""
