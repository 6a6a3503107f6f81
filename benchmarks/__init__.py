"""Benchmarks: each prints one JSON line {"name", "ours", "peer", "unit", "ratio", "n", "warm"}."""
