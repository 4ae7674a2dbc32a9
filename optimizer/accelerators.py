"""What accelerators can do: peaks of their datasheets, links between them, and slices that one can be divided into."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

Throughput = Mapping[tuple[str, str], float]
"""(accelerator, other) -> work of the other in the time in which the first does one; measured, so better than peaks."""


@dataclass(frozen=True)
class Accelerator:
    """One accelerator's peaks, dense: TFLOPS at half and 8-bit precision, GB/s of memory and of its link to others.

    software: cuda, rocm, tpu; work does not move between them without porting. unlinked: patterns of the instance
    types that have it as a card without the link.
    """

    name: str
    software: str
    half_tflops: float
    has_bf16: bool
    fp8_tflops: float | None
    memory_gb_per_s: float
    link_gb_per_s: float | None
    unlinked: tuple[str, ...]


@dataclass(frozen=True)
class Slice:
    """A part of an accelerator that stands for itself: how many there can be, its sevenths of the cores, its memory."""

    profile: str
    most: int
    sevenths: int
    memory_gb: float

    @property
    def ratio(self) -> float:
        """The slice's share of the accelerator's cores."""
        return self.sevenths / 7


@cache
def accelerators() -> Mapping[str, Accelerator]:
    """Accelerators by name; finops/data/accelerator_specs.csv has source and date of each."""
    return {
        row["accelerator"]: Accelerator(
            name=row["accelerator"],
            software=row["software"],
            half_tflops=float(row["half_tflops"]),
            has_bf16=row["has_bf16"] == "true",
            fp8_tflops=float(row["fp8_tflops"]) if row["fp8_tflops"] else None,
            memory_gb_per_s=float(row["memory_gb_per_s"]),
            link_gb_per_s=float(row["link_gb_per_s"]) if row["link_gb_per_s"] else None,
            unlinked=tuple(row["unlinked"].split(";")) if row["unlinked"] else (),
        )
        for row in _rows("accelerator_specs.csv")
    }


@cache
def slices() -> Mapping[str, tuple[Slice, ...]]:
    """The slices (MIG profiles) of each accelerator that has them, the smallest first."""
    found: dict[str, tuple[Slice, ...]] = {}
    for row in _rows("mig_profiles.csv"):
        part = Slice(row["profile"], int(row["most_per_accelerator"]), int(row["sevenths"]), float(row["memory_gb"]))
        found[row["accelerator"]] = (*found.get(row["accelerator"], ()), part)
    return found


def relative_throughput(current: str, other: str, measured: Throughput) -> float | None:
    """Work of the other accelerator in the time in which the current one does one; None where nobody knows.

    Without a measured figure it is the least of the ratios of memory bandwidth, of half-precision peaks, and, where
    the current one computes in 8 bits, of 8-bit peaks (the other's half-precision peak where it cannot): nobody knows
    which of them bounds the work, so the worst is taken.
    """
    if current == other:
        return 1.0
    if (current, other) in measured:
        return measured[current, other]
    known = accelerators()
    if current not in known or other not in known:
        return None
    a, b = known[current], known[other]
    if a.software != b.software:
        return None
    ratios = [b.memory_gb_per_s / a.memory_gb_per_s, b.half_tflops / a.half_tflops]
    if a.fp8_tflops is not None:
        ratios.append((b.fp8_tflops or b.half_tflops) / a.fp8_tflops)
    return min(ratios)


def link_gb_per_s(accelerator: str, instance_type: str) -> float:
    """Bandwidth of the link between the accelerators of a machine; 0 without one, or where nobody knows of one."""
    spec = accelerators().get(accelerator)
    if spec is None or any(re.fullmatch(pattern, instance_type) for pattern in spec.unlinked):
        return 0.0
    return spec.link_gb_per_s or 0.0


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((files("finops") / "data" / name).read_text(encoding="utf-8").splitlines()))
