"""One small Protocol per device kind, and its wire drivers."""
