"""What the company knows of its series beside their cost: events, holidays, and what was used."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

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
_COST, _END, _KEY = "_cost", "_end", "_by "
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
    ends = pl.DataFrame(
        {SERIES: list(known), _END: [one.end for one in known.values()]}, schema={SERIES: pl.String, _END: pl.Date}
    )
    wholes = [_Whole(lake, selection, event) for event in config.events]
    for by in groupings:
        keys = {word: pl.col(column(word)).cast(pl.String).fill_null(NONE) for word in dict.fromkeys(by)}
        named = facts.with_columns(
            series_name(keys, selection.main_currency).alias(SERIES), **{_KEY + word: key for word, key in keys.items()}
        ).join(ends, on=SERIES)
        for whole in wholes:
            for name, event in _events(whole, named, tuple(keys), config.company.currency):
                known[name] = replace(known[name], events=(*known[name].events, event))
        for (name,), rows in _counted(named).partition_by(SERIES, as_dict=True).items():
            known[str(name)] = replace(known[str(name)], volume=_volume(known[str(name)], rows))
    return [known[one.name] for one in series]


class _Whole:
    """An event, and what its `where` cost on each day, whatever series are asked for."""

    def __init__(self, lake: Lake, selection: Selection, event: Stated) -> None:
        self.event = event
        self.inside = pl.all_horizontal(
            pl.lit(value=True),
            *(
                pl.col(s.SHORT_NAMES[word]).cast(pl.String).fill_null(NONE) == value
                for word, value in event.where.items()
            ),
        )
        self._daily = (
            lake.scan("spend_daily")
            .filter(pl.col(s.LEDGER_ROLE) == s.BILLED, self.inside)
            .group_by(s.BILLING_CURRENCY, pl.col(s.CHARGE_DATE).alias(DATE))
            .agg(pl.col(selection.scope.measure).sum().cast(pl.Float64).alias(_COST))
            .collect()
            if event.amount is not None or event.kind == "planned_run"
            else pl.DataFrame(schema={s.BILLING_CURRENCY: pl.String(), DATE: pl.Date(), _COST: pl.Float64()})
        )
        self.cost = cache(self._cost_of)

    def _cost_of(self, currency: str, start: date, end: date) -> float:
        """Its cost in a currency from start to before end."""
        days = pl.col(DATE).is_between(start, end, closed="left")
        return float(self._daily.filter(days, pl.col(s.BILLING_CURRENCY) == currency)[_COST].sum())


def _events(whole: _Whole, named: pl.DataFrame, words: tuple[str, ...], currency: str) -> Iterator[tuple[str, Event]]:
    """The series that an event reaches, with the event as it is for each of them."""
    stated = whole.event
    # a coming event that says no day of its announcement is known today, and was not before
    announced = pl.lit(stated.announced, pl.Date)
    known_from = pl.coalesce(announced, pl.min_horizontal(pl.lit(stated.date), _END))
    first, day, cost = pl.min_horizontal(pl.lit(stated.date), known_from), pl.col(DATE), pl.col(_COST)
    lately, before = day.is_between(first - pl.duration(days=BEFORE_DAYS), first, closed="left"), day < first
    last = stated.end or stated.date + timedelta(days=BEFORE_DAYS)
    around = (day >= first - pl.duration(days=BEFORE_DAYS)) & (day <= last)
    sums = {
        "own": cost.filter(lately), "inside": cost.filter(lately & whole.inside),
        "ever": cost.filter(before & whole.inside),
        "around": cost.filter(around), "around_inside": cost.filter(around & whole.inside),
    }  # fmt: skip
    parts = named.group_by(SERIES, maintain_order=True).agg(
        known_from.first().alias("known_from"), first.first().alias("first"), pl.col(_END, s.BILLING_CURRENCY).first(),
        pl.col([_KEY + word for word in words]).first(), **{name: part.sum() for name, part in sums.items()},
    )  # fmt: skip
    as_stated = Event(stated.name, stated.kind, stated.date, stated.end, stated.ratio, stated.amount)
    for part in parts.iter_rows(named=True):
        found = replace(as_stated, known_from=part["known_from"])
        if stated.ratio is not None:
            share = _ratio(part["inside"], part["own"])
            if share:
                yield part[SERIES], replace(found, ratio=1 + share * (stated.ratio - 1))
        elif stated.amount is not None:
            share = _share_of_event(whole, part, words) if part[s.BILLING_CURRENCY] == currency else 0.0
            if share:
                yield part[SERIES], replace(found, amount=stated.amount * share)
        elif stated.date <= part[_END]:
            if _ratio(part["around_inside"], part["around"]) >= MATERIAL_RATIO:
                yield part[SERIES], found
        elif stated.kind == "planned_run" and _share_of_event(whole, part, words):
            yield part[SERIES], found


def _share_of_event(whole: _Whole, part: Mapping[str, Any], words: tuple[str, ...]) -> float:
    """How much of the cost that an event is about is a series': lately, else ever before; without any cost before it,
    all where the series is wider than the event, else nothing."""
    first, currency = part["first"], part[s.BILLING_CURRENCY]
    for own, start in (("inside", first - timedelta(days=BEFORE_DAYS)), ("ever", date.min)):
        cost = whole.cost(currency, start, first)
        if cost > 0:
            return _ratio(part[own], cost)
    return float(all(whole.event.where.get(word) == part[_KEY + word] for word in words))


def _ratio(part: float, whole: float) -> float:
    return max(0.0, part / whole) if whole > 0 else 0.0


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


def _counted(named: pl.DataFrame) -> pl.DataFrame:
    """The cost of each series and day, and for each unit how much of it is counted (`cost UNIT`) and how many."""
    counted = {
        unit: pl.when((pl.col(s.DRIVER) == driver) & (pl.col(unit) > 0)).then(_COST) for driver, unit in _UNITS.items()
    }
    return named.group_by(SERIES, DATE, maintain_order=True).agg(
        pl.col(_COST).sum(),
        *(of.sum().alias(f"cost {unit}") for unit, of in counted.items()),
        *(pl.col(unit).filter(of.is_not_null()).sum() for unit, of in counted.items()),
    )


def _volume(series: DailySeries, rows: pl.DataFrame) -> Floats | None:
    """What was used on each day of a series, in the one unit that counts nearly all its cost; None without one.

    0 on days without cost, missing where too little of the cost is counted, or where it is estimated.
    """
    total = float(rows[_COST].sum())
    unit = next((u for u in _UNITS.values() if total > 0 and rows[f"cost {u}"].sum() >= COVERED_RATIO * total), None)
    if unit is None:
        return None
    found = pl.DataFrame({DATE: series.days()}).join(rows, on=DATE, how="left", maintain_order="left")
    enough = pl.col(f"cost {unit}") >= DAY_COVERED_RATIO * pl.col(_COST)
    nothing = pl.col(_COST).fill_null(0) == 0
    days = found.select(pl.when(nothing).then(0.0).when(enough).then(unit).alias(unit))[unit]
    volume: Floats = days.fill_null(np.nan).to_numpy().copy()
    volume[np.isnan(series.billed)] = np.nan
    return volume
