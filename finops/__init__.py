"""The core of the FinOps engine: the records everyone shares, and the composition root (pipeline, cli)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("finops-ai")
except PackageNotFoundError:  # run from a checkout that was not installed
    __version__ = "0.0.0"
