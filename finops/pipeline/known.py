"""What the company knows of its series beside their cost: events, holidays, and what was used."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from finops import schema as s
from finops.config import Config
from finops.config import Event as Stated
from finops.pipeline.histories import Selection, series_name
from finops.scope import NONE
from finops.store import Lake
from forecasting.events import Event
from forecasting.series import DATE, SERIES, DailySeries, Floats
from reports.views.scope import column

BEFORE_DAYS: Final = 28
"""The share of a series that an event is about is that of so many days before it."""
MATERIAL_RATIO: Final = 0.1
"""An event that states no size is looked for in series of which it is about so much."""
COVERED_RATIO: Final = 0.95
"""A series has a volume where one unit counts what so much of its cost is for ..."""
DAY_COVERED_RATIO: Final = 0.5
"""... on the days on which it counts so much; on others it is not known."""
_COST, _INSIDE = "_cost", "_inside"
_UNITS: Final = {"accelerator": s.ACCELERATOR_HOURS, "model_api": s.TOKENS}
"""What is counted, by driver."""


def with_known(
    config: Config,
    lake: Lake,
    series: Sequence[DailySeries],
    *,
    selection: Selection,
    groupings: Sequence[Sequence[str]],
) -> list[DailySeries]:
    """The series of a selection with the configured events and countries, and their volume where they have one.

    groupings: the dimensions by which the series are named. An event applies as far as the cost of a series lies in its
    `where`: a ratio by its share of the series, an amount (in the company's currency) by the series' share of it.
    """
    facts = _facts(lake, selection, config.events)
    known = {one.name: replace(one, countries=config.company.countries) for one in series}
    for by in groupings:
        keys = {word: pl.col(column(word)).cast(pl.String).fill_null(NONE) for word in dict.fromkeys(by)}
        named = facts.with_columns(series_name(keys, selection.main_currency).alias(SERIES))
        mine = named.filter(pl.col(SERIES).is_in(list(known)))
        for rows in mine.partition_by(SERIES):
            one, first = known[rows[SERIES][0]], rows.head(1)
            values = {word: str(first.select(value).item()) for word, value in keys.items()}
            about = _About(one, rows, values, first[s.BILLING_CURRENCY][0] == config.company.currency)
            events = tuple(about.events(config.events, lake, selection))
            known[one.name] = replace(one, events=events, volume=_volume(one, rows))
    return [known[one.name] for one in series]


@dataclass(frozen=True)
class _About:
    """A series, its daily rows, its value of each dimension, and whether it is in the company's currency."""

    series: DailySeries
    rows: pl.DataFrame
    keys: Mapping[str, str]
    in_currency: bool

    def events(self, stated: Sequence[Stated], lake: Lake, selection: Selection) -> Iterator[Event]:
        for event in stated:
            # a coming event that says no day of its announcement is known today, and was not before
            known_from = event.announced or min(event.date, self.series.end)
            found = Event(event.name, event.kind, event.date, event.end, event.ratio, event.amount, known_from)
            where = _inside(event.where)
            first = min(event.date, known_from)
            if event.amount is not None:
                share = self._share_of_event(event, where, first, lake, selection) if self.in_currency else 0.0
                if share:
                    yield replace(found, amount=event.amount * share)
            elif event.ratio is not None:
                share = _ratio(self.rows, where, first - timedelta(days=BEFORE_DAYS), first)
                if share:
                    yield replace(found, ratio=1 + share * (event.ratio - 1))
            elif event.date <= self.series.end:
                after = (event.end or event.date + timedelta(days=BEFORE_DAYS)) + timedelta(days=1)
                if _ratio(self.rows, where, first - timedelta(days=BEFORE_DAYS), after) >= MATERIAL_RATIO:
                    yield found
            elif event.kind == "planned_run" and self._share_of_event(event, where, first, lake, selection):
                yield found

    def _share_of_event(self, event: Stated, where: pl.Expr, first: date, lake: Lake, selection: Selection) -> float:
        """How much of the cost that the event is about is this series': lately, else ever before; without any cost
        before it, all where the series is wider than the event, else nothing."""
        daily = lake.scan("spend_daily").filter(pl.col(s.LEDGER_ROLE) == s.BILLED, where)
        total = daily.group_by(pl.col(s.CHARGE_DATE).alias(DATE), s.BILLING_CURRENCY).agg(
            pl.col(selection.scope.measure).sum().cast(pl.Float64).alias(_COST)
        )
        own = pl.col(s.BILLING_CURRENCY) == self.rows[s.BILLING_CURRENCY][0]
        for start in (first - timedelta(days=BEFORE_DAYS), date.min):
            days = pl.col(DATE).is_between(start, first, closed="left")
            whole = _cost(total.filter(days, own).collect())
            if whole > 0:
                return max(0.0, _cost(self.rows.filter(days, where)) / whole)
        return float(all(event.where.get(word) == value for word, value in self.keys.items()))


def _inside(where: Mapping[str, str]) -> pl.Expr:
    values = ((pl.col(s.SHORT_NAMES[word]).cast(pl.String).fill_null(NONE), value) for word, value in where.items())
    return pl.all_horizontal(pl.lit(value=True), *(of == value for of, value in values))


def _ratio(rows: pl.DataFrame, where: pl.Expr, start: date, end: date) -> float:
    """The share of rows' cost that lies in the filter, from start to before end."""
    within = rows.filter(pl.col(DATE).is_between(start, end, closed="left"))
    total = _cost(within)
    return _cost(within.filter(where)) / total if total > 0 else 0.0


def _cost(rows: pl.DataFrame) -> float:
    return float(rows.select(pl.col(_COST).sum()).item())


def _facts(lake: Lake, selection: Selection, events: Sequence[Stated]) -> pl.DataFrame:
    """The selected cost by day and by every dimension that tells series or events apart, with what was counted."""
    words = {column(word) for event in events for word in event.where}
    needed = (*selection.columns, *sorted(words), s.DRIVER, s.MODEL_ID)
    summed = (
        selection.scope.filter(lake.scan("spend_daily"))
        .group_by(*dict.fromkeys(needed), pl.col(s.CHARGE_DATE).alias(DATE))
        .agg(
            pl.col(selection.scope.measure).sum().cast(pl.Float64).alias(_COST),
            pl.col(s.ACCELERATOR_HOURS, s.TOKENS).sum().cast(pl.Float64),
        )
        .collect(engine="streaming")
    )
    return _with_metered(summed, lake, selection.scope.measure)


def _with_metered(rows: pl.DataFrame, lake: Lake, measure: str) -> pl.DataFrame:
    """The rows with metered tokens where the bill of that source, model and day counts none, divided as its cost is."""
    cell = (s.SOURCE_ID, DATE, s.MODEL_ID)
    day, is_api = pl.col(s.CHARGE_DATE).alias(DATE), pl.col(s.DRIVER) == "model_api"
    bill = (
        lake.scan("spend_daily")
        .filter(pl.col(s.LEDGER_ROLE) == s.BILLED, is_api)
        .group_by(s.SOURCE_ID, day, s.MODEL_ID)
        .agg(pl.col(measure).sum().cast(pl.Float64).alias("_billed"), pl.col(s.TOKENS).sum())
        .filter(pl.col(s.TOKENS) == 0, pl.col("_billed") > 0)
    )
    tokens = pl.sum_horizontal(name for name in s.METER_COLUMNS if name.endswith("_tokens"))
    used = (
        lake.scan("token_usage")
        .filter(pl.col("ledger_role") == s.BILLED)
        .group_by(pl.col("source_id").alias(s.SOURCE_ID), pl.col("day").alias(DATE), pl.col("model").alias(s.MODEL_ID))
        .agg(tokens.sum().cast(pl.Float64).alias("_metered"))
    )
    rates = bill.join(used, on=cell).select(*cell, _rate=pl.col("_metered") / pl.col("_billed")).collect()
    metered = pl.when(is_api).then(pl.col(_COST) * pl.col("_rate"))
    return (
        rows.join(rates, on=cell, how="left").with_columns(pl.coalesce(metered, s.TOKENS).alias(s.TOKENS)).drop("_rate")
    )


def _volume(series: DailySeries, rows: pl.DataFrame) -> Floats | None:
    """What was used on each day of a series, in the one unit that counts nearly all its cost; None without one."""
    total = _cost(rows)
    for driver, unit in _UNITS.items():
        counted = rows.filter(pl.col(s.DRIVER) == driver, pl.col(unit) > 0)
        if total > 0 and _cost(counted) >= COVERED_RATIO * total:
            return _daily(series, rows, counted, unit)
    return None


def _daily(series: DailySeries, rows: pl.DataFrame, counted: pl.DataFrame, unit: str) -> Floats:
    """The unit by day: 0 on days without cost, missing where too little of the cost is counted or is estimated."""
    cost = rows.group_by(DATE).agg(pl.col(_COST).sum())
    used = counted.group_by(DATE).agg(pl.col(_COST).sum().alias(_INSIDE), pl.col(unit).sum())
    days = pl.DataFrame({DATE: series.days()})
    found = days.join(cost, on=DATE, how="left").join(used, on=DATE, how="left", maintain_order="left")
    enough = pl.col(_INSIDE) >= DAY_COVERED_RATIO * pl.col(_COST)
    nothing = pl.col(_COST).fill_null(0) == 0
    volume: Floats = found.select(
        pl.when(enough).then(unit).when(nothing).then(0.0).otherwise(None)
    ).to_series().fill_null(np.nan).to_numpy().copy()  # fmt: skip
    volume[np.isnan(series.billed)] = np.nan
    return volume
