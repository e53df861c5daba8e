"""Runs every benchmark of this folder in turn: `python -m benchmarks [--json FILE]`."""

import importlib
import pkgutil
import sys

import benchmarks
from benchmarks import harness

NOT_BENCHMARKS = (
    "__main__",
    "contenders",
    "failures",
    "foreign",
    "harness",
    "past",
    "pictures",
    "quality_tables",
    "scoring",
)

if __name__ == "__main__":
    names = sorted(found.name for found in pkgutil.iter_modules(benchmarks.__path__))
    modules = [importlib.import_module(f"benchmarks.{name}") for name in names if name not in NOT_BENCHMARKS]
    sys.exit(harness.run_all([module.run for module in modules]))
