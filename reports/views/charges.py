"""The charges behind a number, a page at a time, each with the file and row it came from and the rule that read it."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from finops import schema as s
from finops.store import Lake
from reports.views.scope import Scope
from reports.views.spend import COST, CURRENCY, daily

PAGE_ROWS: Final = 50
WHOLE: Final = "whole_cost"
FIRST_DAY: Final = "first_day"

_SHOWN: Final = {
    "provider": s.SERVICE_PROVIDER_NAME, "service": s.SERVICE_NAME, "description": s.CHARGE_DESCRIPTION,
    "resource": s.RESOURCE_ID, "category": s.CHARGE_CATEGORY, "team": s.TEAM, "use_case": s.USE_CASE,
    "driver": s.DRIVER, "purpose": s.PURPOSE, "classified_by": s.CLASSIFIED_BY, "source": s.SOURCE_ID,
    "period": s.BILLING_PERIOD, "source_file": s.SOURCE_FILE, "source_row": s.SOURCE_ROW, "charge_id": s.CHARGE_ID,
}  # fmt: skip
"""The columns of a charge as its page shows them."""
BRIEF: Final = (FIRST_DAY, COST, "service", "description", "source_file", "source_row", "classified_by", "resource")
"""What a page shows of a charge; its file has the rest."""


@dataclass(frozen=True)
class ChargePage:
    """One page of charges, the largest first, with what all of them come to per currency and how many there are."""

    rows: pl.DataFrame
    totals: pl.DataFrame
    count: int

    @property
    def pages(self) -> int:
        """How many pages there are; at least one."""
        return max(1, -(-self.count // PAGE_ROWS))


def charges(lake: Lake, scope: Scope, *, page: int = 0) -> ChargePage:
    """The charges behind what `spend_in` says for the scope, read only from the partitions that hold any of them.

    cost is the part of a charge that falls into the scope's days, as spend_daily spreads it: cost x days inside / days
    of the charge, a one-time charge whole on its first day; whole_cost is the charge itself.
    """
    behind = _behind(lake, scope)
    summary = behind.group_by(CURRENCY).agg(pl.col(COST).sum(), pl.len().alias("charges")).sort(CURRENCY).collect()
    rows = behind.sort(pl.col(COST).abs(), "charge_id", descending=[True, False]).slice(page * PAGE_ROWS, PAGE_ROWS)
    return ChargePage(rows.collect(), summary.select(CURRENCY, COST), int(summary["charges"].sum()))


def all_charges(lake: Lake, scope: Scope) -> pl.DataFrame:
    """Every charge behind the scope, for a file; its cost column sums to the number."""
    return _behind(lake, scope).sort(pl.col(COST).abs(), "charge_id", descending=[True, False]).collect()


def _behind(lake: Lake, scope: Scope) -> pl.LazyFrame:
    days, inside = _days(), _days_inside(scope)
    share = pl.when(inside == days).then(pl.col(scope.measure)).otherwise(pl.col(scope.measure) * inside / days)
    partitioned = set(s.TABLES["charges"].columns)
    return (
        lake.scan("charges")
        .filter(partitions(lake, scope))
        .filter(*(c for c in scope.conditions() if set(c.meta.root_names()) <= partitioned))
        .filter(inside > 0)
        .select(
            pl.col(s.CHARGE_PERIOD_START).dt.date().alias(FIRST_DAY),
            *(pl.col(name).alias(shown) for shown, name in _SHOWN.items()),
            pl.col(s.BILLING_CURRENCY).alias(CURRENCY),
            pl.col(scope.measure).alias(WHOLE),
            share.cast(s.MONEY).alias(COST),
        )
    )


def partitions(lake: Lake, scope: Scope) -> pl.Expr:
    """The sources and billing periods that hold anything of the scope, from the daily sums."""
    pairs = scope.filter(daily(lake)).select(s.SOURCE_ID, s.BILLING_PERIOD).unique().collect()
    periods: dict[str, list[str]] = {}
    for source, period in pairs.iter_rows():
        periods.setdefault(source, []).append(period)
    return pl.any_horizontal(
        pl.lit(False),
        *((pl.col(s.SOURCE_ID) == k) & pl.col(s.BILLING_PERIOD).is_in(sorted(v)) for k, v in sorted(periods.items())),
    )


def _first() -> pl.Expr:
    return pl.col(s.CHARGE_PERIOD_START).dt.date()


def _last() -> pl.Expr:
    whole = (pl.col(s.CHARGE_PERIOD_END) - pl.duration(microseconds=1)).dt.date()
    one_time = pl.col(s.CHARGE_FREQUENCY).fill_null("") == "One-Time"
    return pl.when(one_time).then(_first()).otherwise(pl.max_horizontal(whole, _first()))


def _days() -> pl.Expr:
    return (_last() - _first()).dt.total_days() + 1


def _days_inside(scope: Scope) -> pl.Expr:
    first = _first() if scope.start is None else pl.max_horizontal(_first(), pl.lit(scope.start))
    last = _last() if scope.end is None else pl.min_horizontal(_last(), pl.lit(scope.end))
    return (last - first).dt.total_days() + 1
