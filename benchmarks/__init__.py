"""Measured claims, each a command: `python -m benchmarks.<name>`; `python -m benchmarks` runs all of them."""
