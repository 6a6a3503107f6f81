"""Programs that the dose is measured against, each run by the Python of .venv-peers (setup.sh)."""
