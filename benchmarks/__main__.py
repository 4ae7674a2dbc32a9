"""Run every benchmark, or those of NAMES that are named: python -m benchmarks [NAME ...]."""

import sys
from importlib import import_module

NAMES = (
    "ingest", "forecast", "levels", "landing", "late_days", "drivers", "reconciliation", "load", "placement", "pricing",
)  # fmt: skip

for name in sys.argv[1:] or NAMES:
    print(f"== {name}")
    import_module(f"benchmarks.{name}").run()
