"""Price changes of model APIs: the day from which a unit costs something else than before, and what that is a year.

A step is looked for in the daily price of one SKU (or, where the bill counts nothing, in its cost over what the price
book of one fixed day asks for the metered usage). So neither a shift between SKUs nor one between cached and other
tokens is a price change; nor is a day's slip, or a volume tier that comes back every month.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from statistics import median
from typing import Any, Final

import polars as pl

from finops import schema as s
from finops.schema import MONEY
from finops.token_ledger import ATTRIBUTED, OTHER, billed_kind, canonical
from finops.token_prices import service_tier

LAST_MONTH, PRICE_BOOK = "last month", "price book"
TOLERANCE: Final = Decimal("0.01")
"""Prices that differ by less are one price."""
WINDOW, MIN_DAYS = 14, 5
"""A step is judged by so many days before and after it, at least."""
NOISE_RATIO: Final = 6
"""A step is so many times the usual deviation of the days around it: gradual drift is no step."""
TINY_RATIO: Final = Decimal("0.02")
"""Days with a smaller part of the usual volume say nothing of the price."""
YEAR_DAYS, RATE_DAYS = 365, 30
MILLION: Final = Decimal(1_000_000)
DECIMALS: Final = Decimal("1e-12")
PRICE_DIGITS: Final = Context(prec=9, rounding=ROUND_HALF_EVEN)
"""More digits of a price that costs are divided for are the rounding of those costs."""
VOLUME_TIER: Final = "falls within a month: a volume tier, if it is back on the 1st"

_SERIES: Final = (
    "source_id", "provider", "account_id", "account_name", "service", "sku", "model", "kind", "service_tier", "region",
    "unit", "currency",
)  # fmt: skip
CHANGES: Final[dict[str, pl.DataType]] = {
    **{name: pl.String() for name in _SERIES if name not in ("service_tier", "region")},
    "since": pl.Date(), "before": MONEY, "after": MONEY, "ratio": pl.Float64(), "quantity_per_year": MONEY,
    "yearly_effect": MONEY, "against": pl.String(), "note": pl.String(), "service_tier": pl.String(),
    "region": pl.String(),
}  # fmt: skip


@dataclass(frozen=True)
class Day:
    """One day of a series: its cost, what it is divided by, and the quantity in the unit of the price."""

    day: date
    cost: Decimal
    base: Decimal
    quantity: Decimal

    @property
    def price(self) -> Decimal:
        """Cost of one unit of the base."""
        return self.cost / self.base


@dataclass(frozen=True)
class Series:
    """The days of one SKU in order, up to `last`, the last day that is billed in full; name: _SERIES with values."""

    name: dict[str, Any]
    last: date
    days: list[Day]


@dataclass(frozen=True)
class Step:
    """A price that changed: the first day of the new one, and both, a unit of the base."""

    since: date
    before: Decimal
    after: Decimal


# -------------------------------------------------------------------------------------------------------------- steps
def steps(days: Sequence[Day]) -> list[Step]:
    """The changes of price that last, oldest first.

    days: ascending, with a base above zero. A step that is taken back is none, and neither is one to a price that was
    there before: volume tiers return every month.
    """
    usual = median(d.base for d in days) if days else Decimal(0)
    days = [d for d in days if d.base >= usual * TINY_RATIO]
    if len(days) < 2 * MIN_DAYS:
        return []
    prices = [d.price for d in days]
    if _same(min(prices), max(prices)):
        return []
    found: list[tuple[int, Step]] = []
    for at in range(MIN_DAYS, len(days) - MIN_DAYS + 1):
        step = _step_at(days, prices, at)
        if step and (not found or at - found[-1][0] >= MIN_DAYS):
            found.append((at, step))
    return _lasting([step for _, step in found])


def _step_at(days: Sequence[Day], prices: Sequence[Decimal], at: int) -> Step | None:
    left, right = prices[max(0, at - WINDOW) : at], prices[at : at + WINDOW]
    before, after = median(left), median(right)
    rise = abs(after - before)
    deviation = max(median(abs(p - before) for p in left), median(abs(p - after) for p in right))
    # the day itself and the one before it stand on either side
    is_first = abs(prices[at] - after) < abs(prices[at] - before) and (
        abs(prices[at - 1] - before) < abs(prices[at - 1] - after)
    )
    if _same(before, after) or rise <= deviation * NOISE_RATIO or not is_first:
        return None
    return Step(days[at].day, before, after)


def _lasting(found: Sequence[Step]) -> list[Step]:
    """Those steps whose new price was not there before, and that no later one takes back."""
    lasting: list[Step] = []
    seen = [found[0].before] if found else []
    for step in found:
        if any(_same(step.after, level) for level in seen):
            while lasting and not _same(lasting[-1].after, step.after):
                lasting.pop()
        else:
            lasting.append(step)
        seen.append(step.after)
    return lasting


def _same(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= TOLERANCE * max(abs(one), abs(other))


# ------------------------------------------------------------------------------------------------------------- series
def unit_prices(charges: pl.LazyFrame) -> pl.DataFrame:
    """What model APIs billed for usage, by day and _SERIES: cost and quantity, which is empty where the bill counts
    nothing.

    charges: rows of that table. Corrections and what a commitment pays are left out. quantity: millions of tokens,
    else the pricing quantity, else the consumed one.
    """
    tokens = pl.col(s.TOKENS).is_not_null()
    priced = pl.col(s.PRICING_QUANTITY).is_not_null()
    names: dict[str, pl.Expr | str] = {
        "day": pl.col(s.CHARGE_PERIOD_START).dt.date(), "source_id": s.SOURCE_ID, "provider": s.SERVICE_PROVIDER_NAME,
        "account_id": s.SUB_ACCOUNT_ID, "account_name": s.SUB_ACCOUNT_NAME, "service": s.SERVICE_NAME,
        "sku": pl.coalesce(s.SKU_METER, s.SKU_ID), "_sku_id": s.SKU_ID, "model": s.MODEL_ID, "kind": billed_kind(),
        "service_tier": service_tier(pl.col(s.SERVICE_TIER)), "region": s.REGION_ID, "currency": s.BILLING_CURRENCY,
        "unit": pl.when(tokens).then(pl.lit("1M tokens")).when(priced).then(s.PRICING_UNIT).otherwise(s.CONSUMED_UNIT),
        "cost": s.EFFECTIVE_COST,
        "quantity": pl.when(tokens).then(pl.col(s.TOKENS) / pl.lit(MILLION, MONEY)).when(priced)
        .then(s.PRICING_QUANTITY).otherwise(s.CONSUMED_QUANTITY),
    }  # fmt: skip
    daily = (
        charges.filter(
            pl.col(s.DRIVER) == "model_api", pl.col(s.LEDGER_ROLE) == s.BILLED, pl.col(s.CHARGE_CATEGORY) == "Usage",
            pl.col(s.CHARGE_CLASS).is_null(), pl.col(s.COMMITMENT_DISCOUNT_ID).is_null(),
        )
        .select((pl.col(value) if isinstance(value, str) else value).alias(name) for name, value in names.items())
        .group_by(*_SERIES, "_sku_id", "day")
        .agg(pl.col("cost").sum(), pl.when(pl.col("quantity").is_not_null().all()).then(pl.col("quantity").sum()))
        .collect(engine="streaming")
    )  # fmt: skip
    return canonical(daily)


def _metered(facts: pl.DataFrame, billed: pl.DataFrame) -> pl.DataFrame:
    """Cost, book cost and million tokens of metered cells, by day and _SERIES; service and SKU where they are one."""
    by = ("source_id", "model", "kind", "service_tier")
    only = {name: pl.when(pl.col(name).n_unique() == 1).then(pl.col(name).first()) for name in ("service", "sku")}
    names = billed.group_by(by).agg(**only)
    place = ("day", "source_id", "provider", "account_id", "account_name", "model", "kind", "service_tier", "currency")
    return (
        facts.filter(pl.col("basis") == ATTRIBUTED, pl.col("kind") != OTHER)
        .group_by(place)
        .agg(
            pl.col("cost").sum(), pl.col("tokens").sum(),
            pl.when(pl.col("list_cost").is_not_null().all()).then(pl.col("list_cost").sum()).alias("base"),
        )
        .with_columns(
            quantity=pl.col("tokens") / pl.lit(MILLION, MONEY), unit=pl.lit("1M tokens"),
            region=pl.lit(None, pl.String), _sku_id=pl.lit(None, pl.String),
        )
        .join(names, on=by, how="left", nulls_equal=True)
        .filter(pl.col("base") > 0)
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ changes
def changes(
    billed: pl.DataFrame,
    *,
    facts: pl.DataFrame,
    constant: pl.DataFrame,
    full_until: Mapping[str, date],
    since: date,
) -> pl.DataFrame:
    """Prices that changed, and prices that are not the book's: CHANGES, the dearest first.

    billed: of unit_prices. facts: with the book's prices of each day. constant: the same with the book's prices of one
    day, so that their cost moves with the bill's price only. full_until: the last day that each source has billed in
    full. since: changes from that day on are listed. yearly_effect = (after - before) x quantity of the last 30 full
    days x 365 / 30. note: what else it may be.
    """
    counted = billed.filter(pl.col("quantity") > 0).with_columns(base=pl.col("quantity"))
    rebased = list(_series(_metered(constant, billed), full_until))
    found = [
        (series, step)
        for series in (*_series(counted, full_until), *_uncounted(rebased, counted))
        for step in steps(series.days)
        if step.since >= since and _agrees(step, series, rebased)
    ]
    rows = [change for series, step in found if (change := _change(series, step, LAST_MONTH))]
    rows += [
        change
        for series in _series(_metered(facts, billed), full_until)
        if (off := _off_the_book(series.days)) and (change := _change(series, off, PRICE_BOOK))
    ]
    order = pl.col("yearly_effect").abs()
    return pl.DataFrame(rows, schema=CHANGES).sort(order, *_SERIES, descending=[True] + [False] * len(_SERIES))


def _series(rows: pl.DataFrame, full_until: Mapping[str, date]) -> Iterator[Series]:
    """Each series of a frame, up to the last day that is billed in full."""
    columns = [field.name for field in fields(Day)]
    for _, daily in rows.sort("day").group_by(*_SERIES, "_sku_id", maintain_order=True):
        days = [Day(*row) for row in daily.select(columns).iter_rows()]
        name = daily.select(_SERIES).row(0, named=True)
        last = full_until.get(name["source_id"], days[-1].day)
        yield Series(name, last, [d for d in days if d.day <= last])


def _uncounted(rebased: Iterable[Series], counted: pl.DataFrame) -> list[Series]:
    """Metered series of what the bill gives no quantity for."""
    known = set(counted.select("source_id", "model", "kind").iter_rows())
    return [one for one in rebased if (one.name["source_id"], one.name["model"], one.name["kind"]) not in known]


def _agrees(step: Step, series: Series, rebased: Iterable[Series]) -> bool:
    """Whether metered usage of the model, where there is any, sees the step too.

    A SKU of a bill that does not part tiers moves with the share of batches; its cost over the book's does not.
    """
    same = [one for one in rebased if all(one.name[key] == series.name[key] for key in ("source_id", "model"))]
    near = timedelta(days=MIN_DAYS)
    return not same or any(abs(other.since - step.since) <= near for one in same for other in steps(one.days))


def _off_the_book(days: Sequence[Day]) -> Step | None:
    """The price as a ratio of the book's, where the last days are not at 1; `since` the day from which they are not."""
    recent = days[-WINDOW:]
    if len(recent) < MIN_DAYS:
        return None
    ratio = median(d.price for d in recent)
    overall = _sum(d.cost for d in recent) / _sum(d.base for d in recent)
    if _same(ratio, Decimal(1)) or _same(overall, Decimal(1)):
        return None
    found = steps(days)
    return Step(found[-1].since if found else days[0].day, Decimal(1), ratio)


def _change(series: Series, step: Step, against: str) -> dict[str, Any] | None:
    """The row of a step; None where nothing was bought in the last month, or its price before was nothing."""
    after_days = [d for d in series.days if d.day >= step.since][:WINDOW]
    if against == PRICE_BOOK:
        after_days = series.days[-WINDOW:]
    first = series.last - timedelta(days=RATE_DAYS - 1)
    month = _sum(d.quantity for d in series.days if d.day >= first)
    if not month or not step.before:
        return None
    per_unit = _sum(d.base for d in after_days) / _sum(d.quantity for d in after_days)
    before, after = step.before * per_unit, step.after * per_unit
    yearly = month * YEAR_DAYS / RATE_DAYS
    is_fall_in_month = against == LAST_MONTH and step.since.day != 1 and after < before
    amounts = {"quantity_per_year": yearly, "yearly_effect": (after - before) * yearly}
    return {
        **series.name,
        **{name: amount.quantize(DECIMALS) for name, amount in amounts.items()},
        "before": PRICE_DIGITS.plus(before), "after": PRICE_DIGITS.plus(after),
        "since": step.since, "ratio": float(step.after / step.before), "against": against,
        "note": VOLUME_TIER if is_fall_in_month else None,
    }  # fmt: skip


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))
