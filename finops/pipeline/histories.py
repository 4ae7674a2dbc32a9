"""Daily cost by series, as forecasts and their track record read it from the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.errors import CallError
from finops.freshness import billed_to, running
from finops.store import Lake
from forecasting.series import DATE, SERIES, VALUE
from reports.views.scope import Scope, column

TOTAL: Final = "total"
CURRENCY: Final = "currency"
ACTUAL: Final = "actual"
_DAY: Final = pl.col(s.CHARGE_DATE).alias(DATE)


@dataclass(frozen=True)
class History:
    """Daily cost by series: rows `series, currency, date, value` (null where nothing is known), each up to its cutoff.

    A series ends at the last day that all its sources have billed in full. keys: its value of each dimension.
    """

    rows: pl.DataFrame
    cutoffs: Mapping[str, date]
    currencies: Mapping[str, str]
    keys: Mapping[str, Mapping[str, str]]


def daily_series(
    lake: Lake,
    *,
    by: Sequence[str] = (),
    where: Mapping[str, object] | None = None,
    cost: str = "effective",
    main_currency: str | None = None,
) -> History:
    """The lake's cost by day and by dimensions, as series named like `team=Support`; without dimensions, `total`.

    A day without a charge of a series counts as 0, unless the whole ledger is empty on it: then it is missing.
    Two currencies are never added: with main_currency, cost in another one is a series of its own that carries the
    currency in its name; without it, CallError is raised. So it is for an unknown dimension, value or cost.
    """
    selection = Selection(tuple(by), where or {}, cost, main_currency)
    return history(read_ledger(lake.scan("spend_daily"), selection), by, main_currency)


@dataclass(frozen=True)
class Selection:
    """Which cost is read, and the dimensions by which it can be told apart."""

    dimensions: tuple[str, ...]
    where: Mapping[str, object]
    cost: str
    main_currency: str | None

    @property
    def scope(self) -> Scope:
        """The charges that are meant."""
        return Scope.of(self.where, cost=self.cost)

    @property
    def columns(self) -> tuple[str, ...]:
        """The dimensions as columns of spend_daily; raises CallError for an unknown one."""
        return tuple(dict.fromkeys((*map(column, self.dimensions), s.BILLING_CURRENCY, s.SOURCE_ID)))


@dataclass(frozen=True)
class Ledger:
    """Selected cost of one version of spend_daily, and how far it was billed then.

    sums: the selection's dimensions, currency and source, `date`, `value`. all_cost: `currency, date, value` of all
    that is billed, selected or not. billed_to: the last full day of each source.
    """

    sums: pl.DataFrame
    all_cost: pl.DataFrame
    billed_to: Mapping[str, date]


def read_ledger(daily: pl.LazyFrame, selection: Selection) -> Ledger:
    """One version of spend_daily, summed as the selection says."""
    ledger = daily.filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
    all_cost = ledger.group_by(pl.col(s.BILLING_CURRENCY).alias(CURRENCY), _DAY).agg(_cost(selection))
    sums, whole = pl.collect_all([summed(daily, selection), all_cost])
    return Ledger(sums, whole, billed_to(ledger))


def summed(daily: pl.LazyFrame, selection: Selection) -> pl.LazyFrame:
    """Selected cost by the selection's columns and `date`."""
    return selection.scope.filter(daily).group_by(*selection.columns, _DAY).agg(_cost(selection))


def _cost(selection: Selection) -> pl.Expr:
    return pl.col(selection.scope.measure).sum().alias(VALUE)


def named(sums: pl.DataFrame, by: Sequence[str], main_currency: str | None) -> pl.DataFrame:
    """A ledger's sums as `series, currency, date, x_SourceId, value`, and a column `by WORD` for each dimension.

    Raises CallError where one series would hold two currencies.
    """
    keys = keys_of(by)
    found = (
        sums.group_by(
            series_name(keys, main_currency).alias(SERIES),
            pl.col(s.BILLING_CURRENCY).alias(CURRENCY),
            DATE,
            s.SOURCE_ID,
            *(value.alias(f"by {word}") for word, value in keys.items()),
        )
        .agg(pl.col(VALUE).sum())
    )  # fmt: skip
    _refuse_two_currencies(found)
    return found


def history(ledger: Ledger, by: Sequence[str], main_currency: str | None) -> History:
    """The series of a ledger by some of its dimensions; see `daily_series`."""
    sums = named(ledger.sums, by, main_currency)
    complete = running(ledger.billed_to)
    days = ledger.all_cost.select(DATE).unique().with_columns(held=pl.lit(True))
    rows = pl.concat(
        [
            pl.DataFrame(schema={SERIES: pl.String(), CURRENCY: pl.String(), DATE: pl.Date(), VALUE: s.MONEY}),
            *(
                _to_cutoff(part, complete, days)
                for _, part in sums.sort(SERIES).group_by([SERIES], maintain_order=True)
            ),
        ]
    )
    ends = rows.group_by(SERIES).agg(pl.col(DATE).max(), pl.col(CURRENCY).first())
    kept = sums.unique(SERIES).join(ends, on=SERIES, how="semi").iter_rows(named=True)
    return History(
        rows,
        dict(zip(ends[SERIES], ends[DATE], strict=True)),
        dict(zip(ends[SERIES], ends[CURRENCY], strict=True)),
        {row[SERIES]: {word: row[f"by {word}"] for word in dict.fromkeys(by)} for row in kept},
    )


def ai_selection(config: Config, groupings: Sequence[Sequence[str]], cost: str) -> Selection:
    """All AI spend, told apart by whatever a grouping names."""
    dimensions = tuple(dict.fromkeys(word for by in groupings for word in by))
    return Selection(dimensions, {"is_ai": True}, cost, config.company.currency)


def ai_histories(config: Config, lake: Lake, groupings: Sequence[Sequence[str]], cost: str) -> dict[str, History]:
    """All AI spend under the grouping `total`, and each grouping under its own words."""
    selection = ai_selection(config, groupings, cost)
    ledger = read_ledger(lake.scan("spend_daily"), selection)
    return {",".join(by) or TOTAL: history(ledger, by, selection.main_currency) for by in ((), *groupings)}


def actuals(config: Config, lake: Lake, frozen: pl.DataFrame) -> pl.DataFrame:
    """What came for the series of frozen rows: `series, measure, date, actual`, to each series' cutoff of today."""
    frames = [
        daily_series(
            lake,
            by=() if grouping == TOTAL else grouping.split(","),
            where={"is_ai": True},
            cost=measure,
            main_currency=config.company.currency,
        ).rows.select(SERIES, pl.lit(measure).alias("measure"), DATE, pl.col(VALUE).alias(ACTUAL))
        for grouping, measure in frozen.select("grouping", "measure").unique().sort("grouping", "measure").iter_rows()
    ]
    empty = {SERIES: pl.String(), "measure": pl.String(), DATE: pl.Date(), ACTUAL: s.MONEY}
    return pl.concat([pl.DataFrame(schema=empty), *frames])


def keys_of(by: Sequence[str]) -> dict[str, pl.Expr]:
    """The value of each dimension in a row of spend_daily, as text."""
    return {word: pl.col(column(word)).cast(pl.String).fill_null("(none)") for word in dict.fromkeys(by)}


def series_name(keys: Mapping[str, pl.Expr], main_currency: str | None) -> pl.Expr:
    parts = [pl.format("{}={}", pl.lit(word), value) for word, value in keys.items()]
    name = pl.concat_str(parts, separator=",") if parts else pl.lit(TOTAL)
    if main_currency is None:
        return name
    currency = pl.col(s.BILLING_CURRENCY)
    return pl.when(currency == main_currency).then(name).otherwise(pl.format("{},currency={}", name, currency))


def _refuse_two_currencies(sums: pl.DataFrame) -> None:
    several = sums.group_by(SERIES).agg(pl.col(CURRENCY).unique().sort()).filter(pl.col(CURRENCY).list.len() > 1)
    if several.is_empty():
        return
    found = several.sort(SERIES).row(0, named=True)
    raise CallError(
        f"the series {found[SERIES]} holds charges in {' and '.join(found[CURRENCY])}",
        expected="one currency in a series: two are never added",
        next_step=f"add currency to --by, or narrow with --where currency={found[CURRENCY][0]}",
    )


def _to_cutoff(part: pl.DataFrame, complete: Mapping[str, date], held: pl.DataFrame) -> pl.DataFrame:
    """One series on every day from its first charge to the day up to which all its running sources are complete."""
    ends = [complete[source] for source in part[s.SOURCE_ID].unique() if source in complete]
    cutoff = min(ends or complete.values())
    days = pl.DataFrame({DATE: pl.date_range(part[DATE].sort()[0], cutoff, eager=True)})
    sums = part.group_by(DATE).agg(pl.col(VALUE).sum())
    zero = pl.when(pl.col("held")).then(pl.lit(0, s.MONEY))
    return (
        days.join(sums, on=DATE, how="left")
        .join(held, on=DATE, how="left")
        .select(
            pl.lit(part[SERIES][0]).alias(SERIES),
            pl.lit(part[CURRENCY][0]).alias(CURRENCY),
            DATE,
            pl.coalesce(VALUE, zero).cast(s.MONEY).alias(VALUE),
        )
        .sort(DATE)
    )
