"""What-ifs as people read them: what they come to beside the forecast, which lever moves most, month by month."""

from datetime import date
from decimal import Decimal
from typing import Final

import polars as pl

from finops.scope import parse_period
from reports.views.words import compact, percent, period_name

AMOUNT: Final = "amount"
DIFFERENCE: Final = "difference"


def headline(name: str, months: pl.DataFrame, parts: pl.DataFrame) -> str:
    """What one series comes to over its months, in one sentence.

    months, parts: rows of one series in one currency, as an outcome has them.
    """
    base, difference = (sum(months[column], Decimal(0)) for column in ("base", DIFFERENCE))
    when = period_name(*span(months))
    currency = months["currency"][0]
    if not difference:
        return f"{name}: nothing changes beside the {compact(base)} {currency} of the forecast for {when}."
    way = "more" if difference > 0 else "less"
    ratio = f" ({percent(abs(difference / base))})" if base else ""
    than = f"the {compact(base)} of the forecast for {when}"
    text = f"{name}: {compact(abs(difference))} {currency}{ratio} {way} than {than}"
    levers = by_lever(parts)
    if len(levers) > 1:
        text += f"; the largest lever makes {compact(levers[AMOUNT][0], signed=True)} of it: {levers['what'][0]}"
    return f"{text}."


def by_lever(parts: pl.DataFrame) -> pl.DataFrame:
    """What each lever makes over all months: lever, what, currency, amount; the largest first."""
    sums = parts.group_by("lever", "what", "currency").agg(pl.col(AMOUNT).sum())
    return sums.sort(pl.col(AMOUNT).abs(), "lever", descending=[True, False])


def by_series(months: pl.DataFrame, grouping: str) -> pl.DataFrame:
    """A grouping's series over all months, most moved first: series, currency, base, what_if, difference, ratio."""
    sums = (
        months.filter(grouping=grouping).group_by("series", "currency").agg(pl.col("base", "what_if", DIFFERENCE).sum())
    )
    ratio = pl.when(pl.col("base") != 0).then(pl.col(DIFFERENCE).cast(pl.Float64) / pl.col("base").cast(pl.Float64))
    return sums.with_columns(ratio=ratio).sort(pl.col(DIFFERENCE).abs(), "series", descending=[True, False])


def span(months: pl.DataFrame) -> tuple[date, date]:
    """The first and the last day that months are known or forecast for."""
    period, days = months.sort("period").select("period", "days").row(-1)
    return parse_period(months["period"].min()).start, parse_period(period).start.replace(day=days)  # type: ignore[arg-type]


def month_names(months: pl.DataFrame) -> list[str]:
    """Each row's month; one that is not whole names its days."""
    return [
        period_name(parse_period(period).start, parse_period(period).start.replace(day=days))
        for period, days in months.select("period", "days").iter_rows()
    ]
