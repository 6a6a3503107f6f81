"""Snapshots of settings: what they hold, taking, comparing, restoring, rolling back."""
