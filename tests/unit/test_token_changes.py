"""A price change is found on its day, with its yearly effect; what only looks like one is not."""

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops import token_changes as changing
from finops import token_ledger as ledger
from finops.token_changes import Day, steps

FIRST = date(2026, 7, 1)
END = date(2026, 11, 20)
DAYS = [FIRST + timedelta(days=n) for n in range((END - FIRST).days + 1)]
CHANGED = date(2026, 10, 1)


def series(price: dict[date, str] | None = None, *, volume: float = 1000, cents: bool = False) -> list[Day]:
    """A day's volume that moves by a fifth, at 2.00 a unit, or what `price` says from a day on."""
    noise, days, now = random.Random(7), [], Decimal(2)
    for day in DAYS:
        now = Decimal((price or {}).get(day, now))
        quantity = Decimal(str(round(volume * noise.uniform(0.8, 1.2), 3)))
        cost = now * quantity
        days.append(Day(day, round(cost, 2) if cents else cost, quantity, quantity))
    return days


@pytest.mark.parametrize("after", ["2.50", "1.60", "2.03"])
def test_a_step_is_found_on_its_day(after: str) -> None:
    """Up, down, and by little more than the tolerance."""
    (step,) = steps(series({CHANGED: after}))
    assert (step.since, step.before, step.after) == (CHANGED, Decimal(2), Decimal(after))


def test_a_step_is_found_through_cents_and_glitches() -> None:
    """Costs rounded to cents and a day at twice the price hide no step."""
    days = series({CHANGED: "2.5", date(2026, 9, 10): "4", date(2026, 9, 11): "2"}, volume=8, cents=True)
    (step,) = steps(days)
    assert step.since == CHANGED
    assert round(step.before, 2) == 2
    assert round(step.after, 2) == Decimal("2.5")


def test_a_new_price_is_known_after_five_days_and_not_before() -> None:
    """Four days are not yet a price."""
    days = series({CHANGED: "2.5"})
    until = DAYS.index(CHANGED)
    assert steps(days[: until + 4]) == []
    assert [step.since for step in steps(days[: until + 5])] == [CHANGED]


@pytest.mark.parametrize(
    "price",
    [
        {},
        {CHANGED: "3", CHANGED + timedelta(days=1): "2"},
        {CHANGED: "3", CHANGED + timedelta(days=3): "2"},
        {CHANGED: "2.01"},
        {CHANGED: "2.5", date(2026, 11, 1): "2"},
    ],
    ids=["none", "one day", "three days", "within tolerance", "taken back"],
)
def test_what_does_not_last_is_no_change(price: dict[date, str]) -> None:
    """No change, a slip of a day or three, less than the tolerance, and a price that is back where it was."""
    assert steps(series(price)) == []


def test_days_of_tiny_volume_say_nothing() -> None:
    """A few units a day, each rounded up to a cent, are no price: the model was left, and did not get dearer."""
    days = [
        Day(d.day, Decimal("0.01"), Decimal("0.001"), Decimal("0.001")) if d.day >= CHANGED else d for d in series()
    ]
    assert steps(days) == []


def test_a_gradual_drift_is_no_step() -> None:
    """A price that creeps up over two months has no day."""
    days = [Day(d.day, d.quantity * (2 + Decimal(n) / 140), d.base, d.quantity) for n, d in enumerate(series())]
    assert steps(days) == []


def test_volume_tiers_that_return_are_no_change() -> None:
    """A price that falls in the middle of each month and is back on the first is a tier."""
    tiers = {date(2026, month, day): price for month in range(7, 12) for day, price in ((1, "2"), (12, "1.8"))}
    assert steps(series(tiers)) == []


def test_two_changes_are_two() -> None:
    """Each new price is a change of its own."""
    found = steps(series({date(2026, 9, 1): "2.5", CHANGED: "3"}))
    assert [(step.since, step.before, step.after) for step in found] == [
        (date(2026, 9, 1), 2, Decimal("2.5")), (CHANGED, Decimal("2.5"), 3),
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- bills
def charges(*skus: dict[str, Any], price: dict[date, str] | None = None) -> pl.LazyFrame:
    """Charges of one SKU a dict, a day each, with the prices of `series`."""
    usual = {
        s.SOURCE_ID: "azure", s.LEDGER_ROLE: s.BILLED, s.SERVICE_PROVIDER_NAME: "Microsoft", s.DRIVER: "model_api",
        s.SERVICE_NAME: "Azure OpenAI", s.SUB_ACCOUNT_ID: "sub1", s.CHARGE_CATEGORY: "Usage", s.MODEL_ID: "gpt-4.1",
        s.TOKEN_DIRECTION: "Input", s.SKU_METER: "gpt 4.1 Inp", s.PRICING_UNIT: "1K", s.BILLING_CURRENCY: "USD",
    }  # fmt: skip
    rows = [
        usual
        | {
            s.CHARGE_PERIOD_START: day.day,
            s.EFFECTIVE_COST: day.cost,
            s.PRICING_QUANTITY: day.quantity,
        }
        | sku
        for sku in skus
        for day in series(price)
    ]
    columns = s.TABLES["charges"].columns
    frame = pl.DataFrame(
        rows, schema={name: columns[name] for row in rows for name in row} | {s.CHARGE_PERIOD_START: pl.Date()}
    )
    return frame.select(
        pl.col(name).cast(kind) if name in frame.columns else pl.lit(None, kind).alias(name)
        for name, kind in columns.items()
    ).lazy()


NO_FACTS = pl.DataFrame(schema=ledger.FACTS)


def changes(lazy: pl.LazyFrame, facts: pl.DataFrame = NO_FACTS, constant: pl.DataFrame = NO_FACTS) -> pl.DataFrame:
    """The price changes of charges."""
    return changing.changes(
        changing.unit_prices(lazy), facts=facts, constant=constant, full_until={"azure": END}, since=date(2026, 8, 1)
    )


def test_a_change_says_its_yearly_effect() -> None:
    """Before, after, and the difference times the last 30 days' quantity, for a year."""
    (row,) = changes(charges({}, price={CHANGED: "2.5"})).to_dicts()
    quantity = sum(d.quantity for d in series()[-30:]) * 365 / 30
    assert (row["sku"], row["since"], row["before"], row["after"]) == ("gpt 4.1 Inp", CHANGED, 2, Decimal("2.5"))
    assert row["quantity_per_year"] == round(quantity, 12)
    assert row["yearly_effect"] == pytest.approx(quantity / 2, abs=Decimal("1e-9"))
    assert (row["ratio"], row["unit"], row["against"], row["note"]) == (1.25, "1K", "last month", None)


def test_a_fall_within_the_month_says_that_it_may_be_a_volume_tier() -> None:
    """The first time that a tier is reached cannot be told from a price cut."""
    (row,) = changes(charges({}, price={date(2026, 10, 12): "1.8"})).to_dicts()
    assert row["note"] == changing.VOLUME_TIER


def test_a_shift_between_skus_is_no_change() -> None:
    """Usage that moves from a dear SKU to a cheap one changes the mean, and no price."""
    dear, cheap = charges({s.SKU_ID: "a"}), charges({s.SKU_ID: "b"}, price={FIRST: "0.5"})
    moved = pl.col(s.CHARGE_PERIOD_START).dt.date() >= CHANGED
    both = pl.concat([
        dear.with_columns(pl.when(moved).then(pl.col(name) / 5).otherwise(name).alias(name) for name in AMOUNTS),
        cheap.with_columns(pl.when(moved).then(pl.col(name) * 5).otherwise(name).alias(name) for name in AMOUNTS),
    ])  # fmt: skip
    assert changes(both).is_empty()


AMOUNTS = (s.EFFECTIVE_COST, s.PRICING_QUANTITY)


def test_corrections_credits_and_commitments_set_no_price() -> None:
    """Only usage at its price is judged."""
    other = (
        {s.CHARGE_CLASS: "Correction"},
        {s.CHARGE_CATEGORY: "Credit"},
        {s.COMMITMENT_DISCOUNT_ID: "r1"},
        {s.LEDGER_ROLE: s.DERIVED},
    )
    assert changes(pl.concat(charges(row, price={CHANGED: "2.5"}) for row in other)).is_empty()


# ------------------------------------------------------------------------------------------------------------ metered
def metered(price: dict[date, str] | None = None, *, write_share: dict[date, str] | None = None) -> pl.DataFrame:
    """Facts of a bill without quantities: cost at `price` times the book's, whose own cost moves with the mix."""
    share, rows = Decimal("0.5"), []
    for day in series(price):
        share = Decimal((write_share or {}).get(day.day, share))
        book = day.quantity * (1 + share)
        rows.append({
            "day": day.day, "source_id": "anthropic", "provider": "Anthropic", "model": "claude-opus-5-5",
            "kind": "cache_write", "service_tier": "standard", "currency": "USD", "tokens": day.quantity * 1_000_000,
            "cost": book * day.price / 2, "list_cost": book, "basis": "attributed",
        })  # fmt: skip
    return pl.DataFrame(rows, schema=ledger.FACTS)


UNCOUNTED = {
    s.SOURCE_ID: "anthropic", s.SERVICE_PROVIDER_NAME: "Anthropic", s.MODEL_ID: "claude-opus-5-5",
    s.TOKEN_CACHE_ACTION: "Write", s.SKU_METER: "Cache write", s.PRICING_QUANTITY: None,
}  # fmt: skip


def test_a_bill_without_quantities_is_judged_by_its_metered_tokens() -> None:
    """The step is in the bill over what the book of one day asks, in USD per million tokens."""
    facts = metered({CHANGED: "2.5"})
    found = changes(charges(UNCOUNTED), metered(), facts)
    (row,) = found.to_dicts()
    assert (row["since"], row["ratio"], row["unit"], row["sku"]) == (CHANGED, 1.25, "1M tokens", "Cache write")
    assert (row["before"], row["after"], row["against"]) == (Decimal("1.5"), Decimal("1.875"), "last month")


def test_a_shift_to_dearer_cache_writes_is_no_change() -> None:
    """The mean price of a token rises, and so does what the book asks for it."""
    facts = metered(write_share={CHANGED: "1"})
    assert changes(charges(UNCOUNTED), facts, facts).is_empty()


def test_a_shift_to_batches_within_one_sku_is_no_change() -> None:
    """A bill that counts tokens and does not part tiers gets cheaper with batches; the metered usage says why."""
    counted = {name: value for name, value in UNCOUNTED.items() if name != s.PRICING_QUANTITY}
    cheaper = charges(counted, price={CHANGED: "1"})
    assert changes(cheaper).height == 1
    assert changes(cheaper, metered(), metered()).is_empty()
    assert changes(cheaper, metered(), metered({CHANGED: "1"})).height == 1


def test_a_price_beside_the_book_is_found_with_its_first_day() -> None:
    """The bill left the book's price on a day and stays beside it."""
    facts = metered({CHANGED: "1.8"})
    (row,) = changes(charges(UNCOUNTED), facts, metered()).to_dicts()
    assert (row["against"], row["since"], row["before"], row["after"]) == (
        "price book", CHANGED, Decimal("1.5"), Decimal("1.35"),
    )  # fmt: skip
    assert row["yearly_effect"] < 0
