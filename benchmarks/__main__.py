"""Run every benchmark, or those that are named: python -m benchmarks [ingest forecast landing drivers placement pricing]."""

import sys
from importlib import import_module

NAMES = ("ingest", "forecast", "landing", "drivers", "placement", "pricing")

for name in sys.argv[1:] or NAMES:
    print(f"== {name}")
    import_module(f"benchmarks.{name}").run()
