"""Published throughputs of open models on accelerators, and one's own: what a workload gets where it states none."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from finops.errors import ConfigError
from optimizer.scenario import Scenario, Workload

COLUMNS: Final = ("model", "accelerator", "input_tokens", "output_tokens", "output_tokens_per_second", "source", "date")
DIGITS: Final = Decimal("0.000001")


@dataclass(frozen=True)
class Throughput:
    """Output tokens per second that one accelerator serves of a model at full load, for requests of one size."""

    model: str
    accelerator: str
    input_tokens: Decimal
    output_tokens: Decimal
    output_tokens_per_second: Decimal

    @property
    def million_tokens_per_hour(self) -> Decimal:
        """Million tokens in and out per accelerator-hour: output rate x (input + output) / output x 3600 / 1e6."""
        tokens = (self.input_tokens + self.output_tokens) / self.output_tokens
        return self.output_tokens_per_second * tokens * 3600 / 1_000_000

    def distance(self, workload: Workload) -> float:
        """How far the requests are from those of a workload, in size and shape."""
        pairs = ((self.input_tokens, workload.input_tokens), (self.output_tokens, workload.output_tokens))
        return sum(abs(math.log(float(mine) / float(theirs))) for mine, theirs in pairs)


def load_throughputs(own: Iterable[Path] = ()) -> list[Throughput]:
    """The shipped table, then one's own files, whose rows replace shipped ones of the same model and accelerator.

    Raises ConfigError for a file that cannot be read, lacks a column, or has a figure that is none above zero.
    """
    rows = [_row(r, "throughput.csv") for r in _read(files("finops") / "data" / "throughput.csv")]
    for path in own:
        mine = [_row(r, str(path)) for r in _read(path)]
        replaced = {(r.model, r.accelerator) for r in mine}
        rows = [r for r in rows if (r.model, r.accelerator) not in replaced] + mine
    return rows


def _read(file: Path | Traversable) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8") as opened:
            reader = csv.DictReader(opened)
            missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
            rows = [] if missing else list(reader)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read ({error.strerror})",
            expected=f"a CSV file with the columns {', '.join(COLUMNS)}",
            next_step="correct `throughputs` of the scenario",
        ) from error
    if missing:
        raise ConfigError(
            f"{file} has no column {', '.join(missing)}",
            expected=", ".join(COLUMNS),
            next_step="add the columns; one row says how many output tokens a second one accelerator serves",
        )
    return rows


def _row(row: Mapping[str, Any], file: str) -> Throughput:
    try:
        figures = [Decimal(row[c]) for c in COLUMNS[2:5]]
    except InvalidOperation:
        figures = []
    if not figures or min(figures) <= 0 or not all(row[c] for c in COLUMNS):
        raise ConfigError(
            f"{file}: {dict(row)} is no throughput",
            expected="figures above zero, with a source and a date",
            next_step="correct or remove the row",
        )
    return Throughput(row["model"], row["accelerator"], *figures)


def with_throughputs(scenario: Scenario, rows: Iterable[Throughput]) -> Scenario:
    """The scenario whose workloads that name a `model` know its throughput on each accelerator of the table.

    What a workload states itself stays. The row whose requests are nearest to the workload's is taken, times the
    workload's share of full load. Raises ConfigError for a model that no row is of, or a unit that is not tokens.
    """
    known = list(rows)
    workloads = tuple(w if w.model is None else _filled(w, known) for w in scenario.workloads)
    return scenario if workloads == scenario.workloads else scenario.model_copy(update={"workloads": workloads})


def _filled(workload: Workload, rows: list[Throughput]) -> Workload:
    mine = [r for r in rows if r.model == workload.model]
    if not mine or workload.unit != "million_tokens":
        models = ", ".join(sorted({r.model for r in rows}))
        raise ConfigError(
            f"workload {workload.name} names the model {workload.model} and is counted in {workload.unit}",
            expected=f"million_tokens, and a model of the table: {models}",
            next_step="correct `model`, state units_per_accelerator_hour, or add a file to `throughputs`",
        )
    found: dict[str, Decimal] = {}
    for accelerator in {r.accelerator for r in mine}:
        nearest = min((r for r in mine if r.accelerator == accelerator), key=lambda r: r.distance(workload))
        found[accelerator] = (nearest.million_tokens_per_hour * workload.full_load_ratio).quantize(DIGITS)
    return workload.model_copy(update={"units_per_accelerator_hour": found | workload.units_per_accelerator_hour})
