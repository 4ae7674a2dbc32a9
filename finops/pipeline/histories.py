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
    scope = Scope.of(where, cost=cost)
    ledger = lake.scan("spend_daily").filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
    keys = {word: pl.col(column(word)).cast(pl.String).fill_null("(none)") for word in dict.fromkeys(by)}
    name = _series_name(keys, main_currency)
    sums = (
        scope.filter(ledger)
        .group_by(
            name.alias(SERIES),
            pl.col(s.BILLING_CURRENCY).alias(CURRENCY),
            pl.col(s.CHARGE_DATE).alias(DATE),
            s.SOURCE_ID,
            *(value.alias(f"by {word}") for word, value in keys.items()),
        )
        .agg(pl.col(scope.measure).sum().alias(VALUE))
        .collect()
    )
    _refuse_two_currencies(sums)
    complete = running(billed_to(ledger))
    days = ledger.select(pl.col(s.CHARGE_DATE).alias(DATE)).unique().with_columns(held=pl.lit(True)).collect()
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
    named = sums.unique(SERIES).join(ends, on=SERIES, how="semi").iter_rows(named=True)
    return History(
        rows,
        dict(zip(ends[SERIES], ends[DATE], strict=True)),
        dict(zip(ends[SERIES], ends[CURRENCY], strict=True)),
        {row[SERIES]: {word: row[f"by {word}"] for word in keys} for row in named},
    )


def ai_histories(config: Config, lake: Lake, groupings: Sequence[Sequence[str]], cost: str) -> dict[str, History]:
    """All AI spend under the grouping `total`, and each grouping under its own words."""
    return {
        ",".join(by) or TOTAL: daily_series(
            lake, by=by, where={"is_ai": True}, cost=cost, main_currency=config.company.currency
        )
        for by in ((), *groupings)
    }


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


def _series_name(keys: Mapping[str, pl.Expr], main_currency: str | None) -> pl.Expr:
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
