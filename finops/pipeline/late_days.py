"""Recent days of the lake's series that are billed in part, completed by how late their sources' cost came so far."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from finops import late_data as late
from finops import schema as s
from finops.freshness import ACTIVE_DAYS, usual_share
from finops.pipeline.histories import CURRENCY, History, keys_of, named, series_name
from finops.pipeline.loads import RECENT_DAYS, Load, Past
from forecasting.forecast import OUTPUT
from forecasting.series import DATE, MODEL, SERIES, VALUE, DailySeries

BILLED_IN_PART: Final = "billed_in_part"
"""The model of a row that is a day after the cutoff of which a part is billed."""
USUAL_DAYS: Final = 28
"""A part of a series that cost nothing in so many days before its cutoff need not cost anything on a late day."""
_DAY: Final = timedelta(days=1)
_SOURCE: Final = pl.col(s.SOURCE_ID).alias(late.SOURCE)
_MONEY: Final = pl.col(s.BILLING_CURRENCY).alias(CURRENCY)


@dataclass(frozen=True)
class Completed:
    """Series whose last days are estimated where that can be told, and these days as forecast rows.

    histories: as they were given, each series to the last day that is billed in full by its sources' lags, too.
    """

    series: tuple[DailySeries, ...] = ()
    histories: tuple[History, ...] = ()
    rows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OUTPUT))

    def before(self, forecast: pl.DataFrame) -> pl.DataFrame:
        """The estimated days and then a forecast that follows on them: as many rows a series as the forecast has."""
        days = forecast.group_by(SERIES).agg(pl.len().alias("_days"))
        both = pl.concat([self.rows.join(days, on=SERIES, how="semi"), forecast]).sort(SERIES, DATE)
        nth = pl.int_range(pl.len()).over(SERIES)
        return both.join(days, on=SERIES, maintain_order="left").filter(nth < pl.col("_days")).drop("_days")


def completed(past: Past, series: Sequence[DailySeries], histories: Iterable[History]) -> Completed:
    """The series with their recent days as they are expected to become; histories: one for each grouping of `past`.

    Only days that lie at the end are touched: those after the cutoff, up to the first that cannot be told, and those
    before it from the first that a source usually shows less than late_data.FULL_SHARE of at its age: a day with most
    of its charges, but not yet with its cost. There the cutoff moves back to the day before.
    """
    given, lags = tuple(histories), Lags(past)
    if lags.curves.is_empty():
        return Completed(tuple(series), given)
    found = pl.concat([lags.days(by, one) for by, one in zip(past.groupings, given, strict=True)])
    by_name = {str(name): part for (name,), part in found.group_by([SERIES], maintain_order=True)}
    longer = tuple(_longer(one, by_name[one.name]) if one.name in by_name else one for one in series)
    rows = found.filter(pl.col(SERIES).is_in([one.name for one in series])).with_columns(
        pl.lit(BILLED_IN_PART).alias(MODEL)
    )
    return Completed(longer, tuple(_until(one, by_name) for one in given), rows.select(*OUTPUT))


def _until(history: History, estimated: Mapping[str, pl.DataFrame]) -> History:
    """A history without the days from the first on that is estimated."""
    first = {name: min(cutoff + _DAY, *estimated[name][DATE]) if name in estimated else cutoff + _DAY
             for name, cutoff in history.cutoffs.items()}  # fmt: skip
    is_billed = pl.col(DATE) < pl.col(SERIES).replace_strict(first, return_dtype=pl.Date())
    cutoffs = {name: day - _DAY for name, day in first.items()}
    return replace(history, rows=history.rows.filter(is_billed), cutoffs=cutoffs)


def _longer(series: DailySeries, days: pl.DataFrame) -> DailySeries:
    """A series with estimated days put in or added at its end."""
    at = np.array([(day - series.start).days for day in days[DATE]])
    values = np.concatenate([series.values, np.full(max(0, at[-1] + 1 - len(series.values)), np.nan)])
    values[at] = days["mean"].to_numpy()
    volume = series.volume
    if volume is not None:
        volume = np.concatenate([volume, np.full(max(0, len(values) - len(volume)), np.nan)])
    return replace(series, values=values, volume=volume, estimated=len(values) - int(at[0]))


class Lags:
    """How late the cost of a selection came, by source and age, and what that says of the newest days."""

    def __init__(self, past: Past) -> None:
        self._past = past

    @cached_property
    def curves(self) -> pl.DataFrame:
        """The lag curve of each source; see late_data.lag_curves."""
        if len(self._recent) <= late.LEAST_DAYS:
            return pl.DataFrame()
        return late.lag_curves(self._by_source)

    def days(self, by: Sequence[str], history: History) -> pl.DataFrame:
        """The days of a grouping's series from the first on that is estimated: `series, date, mean` and quantiles."""
        main_currency = self._past.selection.main_currency
        own = _added(self._seen, series_name(keys_of(by), main_currency).alias(SERIES), _SOURCE, _MONEY)
        parts = self._late(named(self._newest_cost, by, main_currency), history)
        found = late.completed(parts, self.curves, late.scatter(own, self.curves, SERIES), self._scatter)
        return found.filter(pl.col("is_estimated").cum_max().over(SERIES, order_by=DATE))

    def _late(self, recent: pl.DataFrame, history: History) -> pl.DataFrame:
        """The last days of every series in each of its running sources, as late_data.completed takes them."""
        cost = recent.select(SERIES, CURRENCY, DATE, _SOURCE, pl.col(VALUE).cast(pl.Float64))
        cutoffs = pl.DataFrame(
            list(history.cutoffs.items()), schema={SERIES: pl.String(), "cutoff": pl.Date()}, orient="row"
        )
        before = (pl.col("cutoff") - pl.col(DATE)).dt.total_days().is_between(0, USUAL_DAYS - 1)
        parts = (
            cost.join(cutoffs, on=SERIES)
            .group_by(SERIES, CURRENCY, late.SOURCE, "cutoff")
            .agg(pl.col(VALUE).filter(before).sum().alias("usual"))
        )
        return (
            parts.join(self._source_days(), on=late.SOURCE)
            .filter(pl.col(DATE) > pl.col("cutoff") - pl.duration(days=late.OLDEST_DAYS))
            .join(cost, on=[SERIES, CURRENCY, late.SOURCE, DATE], how="left")
            .with_columns(pl.col(VALUE).fill_null(0.0).alias(late.VISIBLE))
        )

    def _source_days(self) -> pl.DataFrame:
        """Each running source's last days: `source, date, age, is_full`, and `charges` over those of its weekday."""
        newest, rows = self._newest, []
        for source, end in self._past.ends(newest).items():
            loaded, counts = newest.loaded.get(source), self._past.counts(newest)[source]
            for back in range(ACTIVE_DAYS + late.OLDEST_DAYS):
                day = newest.day - timedelta(days=back)
                age = None if loaded is None else (loaded - day).days
                rows.append((source, day, age, day <= end, usual_share(counts, day)))
        schema = {late.SOURCE: pl.String(), DATE: pl.Date(), late.AGE: pl.Int64(), "is_full": pl.Boolean()}
        return pl.DataFrame(rows, schema={**schema, late.CHARGES: pl.Float64()}, orient="row")

    # ------------------------------------------------------------------------------------------- what loads showed
    @property
    def _newest(self) -> Load:
        return self._past.loads[-1]

    @cached_property
    def _recent(self) -> list[Load]:
        """The loads that tell how late cost comes lately."""
        return [load for load in self._past.loads if (self._newest.day - load.day).days <= late.LOOKED_BACK_DAYS]

    @property
    def _newest_cost(self) -> pl.DataFrame:
        return self._past.cost(self._newest, RECENT_DAYS)

    @cached_property
    def _seen(self) -> pl.DataFrame:
        """What each load of a source showed of its days by their age, and what these cost in the end."""
        frames = [self._shown(load, self._recent[0].day) for load in self._recent]
        settled = {source: day - timedelta(days=late.OLDEST_DAYS) for source, day in self._newest.loaded.items()}
        is_settled = pl.col(DATE) <= pl.col(s.SOURCE_ID).replace_strict(settled, default=None, return_dtype=pl.Date())
        return pl.concat(frames).filter(is_settled)

    def _shown(self, load: Load, oldest: date) -> pl.DataFrame:
        """The recent days of the sources that were loaded on the day of a load, as seen then and as they are now."""
        sources = [source for source, day in load.loaded.items() if day == load.day]
        first = max(oldest, load.day - timedelta(days=late.OLDEST_DAYS - 1))
        then = self._past.cost(load, late.OLDEST_DAYS)
        nothing = pl.lit(0, s.MONEY)
        shown = [
            cost.filter(pl.col(s.SOURCE_ID).is_in(sources), pl.col(DATE).is_between(first, load.day)).select(
                *self._past.selection.columns, DATE, visible.alias(late.VISIBLE), final.alias(late.FINAL)
            )
            for cost, visible, final in ((then, pl.col(VALUE), nothing), (self._newest_cost, nothing, pl.col(VALUE)))
        ]
        return pl.concat(shown).with_columns((pl.lit(load.day) - pl.col(DATE)).dt.total_days().alias(late.AGE))

    @cached_property
    def _by_source(self) -> pl.DataFrame:
        """What each load showed by source alone, with the share of the day's final charges that were there."""
        final = self._past.counts(self._newest)
        charges = [
            (source, day, age, self._past.counts(load).get(source, {}).get(day, 0) / in_the_end)
            for load in self._recent
            for source in load.loaded
            for age in range(late.OLDEST_DAYS)
            if (in_the_end := final.get(source, {}).get(day := load.day - timedelta(days=age)))
        ]
        schema = {late.SOURCE: pl.String(), DATE: pl.Date(), late.AGE: pl.Int64(), late.CHARGES: pl.Float64()}
        shares = pl.DataFrame(charges, schema=schema, orient="row")
        return _added(self._seen, _SOURCE, _MONEY).join(shares, on=[late.SOURCE, DATE, late.AGE])

    @cached_property
    def _scatter(self) -> pl.DataFrame:
        return late.scatter(self._by_source, self.curves)


def _added(seen: pl.DataFrame, *keys: pl.Expr) -> pl.DataFrame:
    """What loads showed, summed by some keys, day and age."""
    amounts = pl.col(late.VISIBLE, late.FINAL)
    return seen.group_by(*keys, DATE, late.AGE).agg(amounts.sum().cast(pl.Float64))
