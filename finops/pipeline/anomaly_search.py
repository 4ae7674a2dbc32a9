"""Anomalies of daily spend: which part of it began to cost more or less, since when, how much, why, and what to do."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

import numpy as np
import polars as pl

from finops import schema as s
from finops.config import Event
from finops.freshness import billed_to, running
from finops.pipeline.anomaly_causes import Change, Explanation, explain
from finops.scope import NONE, Scope
from forecasting.incidents import Costs, Incident, Kind, find

DIMENSIONS: Final = (
    "source", "provider", "account", "service", "driver", "purpose", "team", "use_case", "model", "accelerator",
    "direction", "cache", "commitment_status",
)  # fmt: skip
"""What the finest parts of spend are told apart by."""
GROUPINGS: Final = (
    ("use_case",), ("account",), ("team",), ("service",), ("model",), ("accelerator",), ("purpose",), ("driver",),
    ("provider",), ("accelerator", "commitment_status"), ("use_case", "model"), ("use_case", "accelerator"),
    ("use_case", "driver"), ("team", "driver"), ("account", "service"), ("account", "model"),
    ("use_case", "model", "direction", "cache"), ("account", "accelerator", "commitment_status"),
)  # fmt: skip
"""The parts that are watched; of equal ones the first is named."""
APIS: Final = "apis"
HOMES: Final = ((("use_case",), ("account",)), ((APIS,),))
"""Within these cost may move without being an anomaly: from one model or machine to another."""
UNUSED: Final = "Unused"
FEE_RATIO: Final = 0.2
"""A part on fewer of whose days a charge begins is charged by the month."""
CENTS: Final = Decimal("0.01")
_DAY, _COST, _TOKENS, _PART, _BEGINS = "__day", "__cost", "__tokens", "__part", "__begins"


@dataclass(frozen=True)
class Anomaly:
    """One anomaly, with its money from the first day to the last one so far.

    told_on: the day whose cost told it. sign: 1 above, -1 below what was expected. known: the event, price change or
    commitment that explains it, which makes it no surprise. excess = actual - expected; daily_excess is that of the
    day on which it was told.
    """

    scope: Scope
    currency: str
    kind: Kind
    first_day: date
    told_on: date
    last_day: date
    ongoing: bool
    sign: int
    score: float
    expected: Decimal
    actual: Decimal
    daily_excess: Decimal
    cause: str
    next_step: str
    known: str | None

    @property
    def anomaly_id(self) -> str:
        """Ten hex digits that the same anomaly has in every run."""
        text = "\n".join((str(self.scope), self.told_on.isoformat(), str(self.sign), self.currency))
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def excess(self) -> Decimal:
        """Cost above what was expected, to date."""
        return self.actual - self.expected


def search(
    daily: pl.DataFrame, *, events: Sequence[Event] = (), idle: pl.DataFrame | None = None,
    usage: pl.DataFrame | None = None,
) -> list[Anomaly]:  # fmt: skip
    """All anomalies of spend, oldest first.

    daily: rows of spend_daily, of which billed usage at effective cost counts, up to the last day that each source has
    billed in full. events: what is known to move cost. idle, usage: see explain. An anomaly's scope, first day and
    telling day are the same whatever came later.
    """
    ends = running(billed_to(daily.lazy()))
    if not ends:
        return []
    named = (pl.col(s.SHORT_NAMES[name]).fill_null(NONE).alias(name) for name in DIMENSIONS)
    billed = daily.filter(
        pl.col(s.LEDGER_ROLE) == s.BILLED,
        pl.col(s.CHARGE_CATEGORY) == "Usage",
        pl.col(s.CHARGE_DATE) <= pl.col(s.SOURCE_ID).replace_strict(ends, default=max(ends.values())),
    ).with_columns(named)
    found: list[Anomaly] = []
    for currency in sorted(billed[s.BILLING_CURRENCY].unique()):
        rows = billed.filter(pl.col(s.BILLING_CURRENCY) == currency)
        costs = portfolio(rows, ends)
        incidents = find(costs, GROUPINGS, HOMES)
        found += [_anomaly(one, costs, rows, str(currency), events, idle, usage) for one in incidents]
    return sorted(found, key=lambda a: (a.told_on, a.anomaly_id))


def portfolio(rows: pl.DataFrame, ends: dict[str, date]) -> Costs:
    """Daily costs by finest part; rows: of one currency with DIMENSIONS, ends: the last full day of running sources."""
    watched = pl.when(pl.col("commitment_status") == UNUSED).then("commitment_status").otherwise(pl.lit(NONE))
    tokens = pl.col(s.TOKENS).fill_null(0).sum().cast(pl.Float64).alias(_TOKENS)
    summed = (
        rows.with_columns(watched.alias("commitment_status"))
        .group_by(*DIMENSIONS, pl.col(s.CHARGE_DATE).alias(_DAY))
        .agg(
            pl.col(s.EFFECTIVE_COST).sum().cast(pl.Float64).alias(_COST),
            tokens,
            pl.col(s.CHARGE_COUNT).sum().alias(_BEGINS),
        )
    )
    parts = summed.group_by(DIMENSIONS).agg((pl.col(_BEGINS) > 0).mean()).sort(DIMENSIONS).with_row_index(_PART)
    placed = summed.join(parts.drop(_BEGINS), on=DIMENSIONS)
    first, last = placed.select(pl.col(_DAY).min().alias("first"), pl.col(_DAY).max().alias("last")).row(0)
    at = (placed[_DAY] - first).dt.total_days().to_numpy(), placed[_PART].to_numpy()
    values, quantities = np.zeros((2, (last - first).days + 1, parts.height))
    values[at], quantities[at] = placed[_COST].to_numpy(), placed[_TOKENS].to_numpy()
    labels = [{**row, APIS: row["provider"] if row["driver"] == "model_api" else NONE} for row in parts.to_dicts()]
    return Costs(
        days=np.datetime64(first, "D") + np.arange(len(values)),
        values=values,
        labels=labels,
        known_until=np.array([(ends.get(label["source"], last) - first).days for label in labels]),
        waste=(parts["commitment_status"] == UNUSED).to_numpy(),
        fees=(parts[_BEGINS] < FEE_RATIO).to_numpy(),
        quantities=quantities,
    )


def _anomaly(
    incident: Incident, costs: Costs, rows: pl.DataFrame, currency: str, events: Sequence[Event],
    idle: pl.DataFrame | None, usage: pl.DataFrame | None,
) -> Anomaly:  # fmt: skip
    first, told, last = (costs.days[i].item() for i in (incident.first, incident.told, incident.last))
    scope = Scope.of(dict(_terms(incident)))
    own = rows.filter(scope.holds())
    within = own.filter(pl.col(s.CHARGE_DATE).is_between(first, last))
    expected = incident.expected(costs)
    usual = float(expected[told.toordinal() - first.toordinal()])
    on_the_day = float(costs.values[incident.told, incident.part.members].sum())
    change = Change(scope, incident.kind, first, last, incident.sign)
    explanation: Explanation = explain(change, own, rows, events=events, idle=idle, usage=usage)
    return Anomaly(
        scope=scope, currency=currency, kind=incident.kind, first_day=first, told_on=told, last_day=last,
        ongoing=incident.ongoing, sign=incident.sign, score=round(incident.score, 3),
        expected=Decimal(float(expected.sum())).quantize(CENTS),
        actual=Decimal(within[s.EFFECTIVE_COST].sum()),
        daily_excess=Decimal(on_the_day - usual).quantize(CENTS),
        cause=explanation.cause, next_step=explanation.next_step, known=explanation.known,
    )  # fmt: skip


def _terms(incident: Incident) -> Iterator[tuple[str, str]]:
    for name, value in incident.part.terms:
        if name == APIS:
            yield from (("provider", value), ("driver", "model_api"))
        else:
            yield name, value
