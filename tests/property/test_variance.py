"""Why cost changed: the steps sum to the change, whatever the order, and each answers for what it alone moved."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import schema as s
from finops.variance import (
    ACCELERATOR_HOURS,
    CALENDAR,
    CELL,
    COMMITTED,
    CREDIT,
    DIMENSIONS,
    FEE,
    PLAN,
    ROWS,
    SKU,
    STEPS,
    TOKENS,
    USAGE,
    bridge,
    summed,
    to_plan,
)

D = Decimal
USUAL: dict[str, Any] = {
    s.SOURCE_ID: "bill", s.SERVICE_PROVIDER_NAME: "AWS", s.SERVICE_NAME: "EC2", s.SUB_ACCOUNT_ID: "1",
    s.TEAM: "Ada", s.USE_CASE: "chat", s.PURPOSE: "inference", s.BILLING_CURRENCY: "USD", "part": USAGE, "spot": False,
}  # fmt: skip
Row = tuple[str, str, str, str, str | None, Decimal, Decimal, str]
"""Use case, service, SKU, part, unit, quantity, amount, currency."""

amounts = st.decimals(min_value=D(-(10**6)), max_value=D(10**7), places=18)
quantities = st.decimals(min_value=D(-5), max_value=D(10**10), places=4)
row = st.tuples(
    st.sampled_from(("chat", "mail")), st.sampled_from(("EC2", "S3")), st.sampled_from(("small", "large")),
    st.sampled_from((USAGE, USAGE, USAGE, COMMITTED, CREDIT, FEE)),
    st.sampled_from((TOKENS, TOKENS, ACCELERATOR_HOURS, "Hours", None)), quantities, amounts,
    st.sampled_from(("USD", "USD", "EUR")),
)  # fmt: skip
periods = st.lists(row, max_size=10)
rates = st.decimals(min_value=D("0.01"), max_value=D(100), places=5)


def cost(*given: dict[str, Any]) -> pl.DataFrame:
    """ROWS with the usual values of a charge, and what each dict changes; converted is the amount unless given."""
    full = [{**dict.fromkeys(ROWS), **USUAL, **one} for one in given]
    return pl.DataFrame(
        [{**one, "converted": one["amount"] if one["converted"] is None else one["converted"]} for one in full],
        schema=ROWS,
    )


ONE = D(1)


def of(period: list[Row], rate: Decimal = ONE) -> pl.DataFrame:
    """A period of drawn rows, its euros at one rate."""
    return cost(*(
        {s.USE_CASE: use_case, s.SERVICE_NAME: service, SKU: sku, "part": part, "unit": unit, "quantity": quantity,
         "amount": amount, s.BILLING_CURRENCY: currency,
         "converted": (amount * (rate if currency == "EUR" else 1)).quantize(D("1e-18"))}
        for use_case, service, sku, part, unit, quantity, amount, currency in period
    ))  # fmt: skip


def total(found: pl.DataFrame) -> dict[str, Decimal]:
    """The steps that are not zero."""
    return {step: amount for step in STEPS if (amount := sum(found[step], D(0)))}


@settings(deadline=None)
@given(periods, periods, rates, rates)
def test_the_steps_sum_to_the_change(before: list[Row], now: list[Row], rate: Decimal, later: Decimal) -> None:
    """Of every cell and every grouping the steps sum to cost - prior, to the 18th decimal, and nothing is lost."""
    prior, current = of(before, rate), of(now, later)
    found = bridge(prior, current, days=(30, 31))
    assert found.filter(pl.sum_horizontal(STEPS) != pl.col("change")).is_empty()
    assert sum(found["prior"], D(0)) == sum(prior["converted"], D(0))
    assert sum(found["cost"], D(0)) == sum(current["converted"], D(0))
    whole = total(found)
    for by in ([s.USE_CASE], [s.SERVICE_NAME, s.BILLING_CURRENCY], list(DIMENSIONS)):
        assert total(summed(found, by)) == whole


@settings(deadline=None)
@given(periods, periods, rates, rates, st.randoms(use_true_random=False))
def test_no_order_matters(before: list[Row], now: list[Row], rate: Decimal, later: Decimal, random: object) -> None:
    """Shuffled rows give the same cells with the same steps."""
    found = bridge(of(before, rate), of(now, later))
    random.shuffle(before)  # type: ignore[attr-defined]
    random.shuffle(now)  # type: ignore[attr-defined]
    assert bridge(of(before, rate), of(now, later)).equals(found)


@settings(deadline=None)
@given(periods, periods, rates, rates)
def test_swapping_the_periods_turns_every_sign(
    before: list[Row], now: list[Row], rate: Decimal, later: Decimal
) -> None:
    """Seen from the other end each step is the same amount with the other sign, and what is new has ended."""
    there = bridge(of(before, rate), of(now, later)).sort(CELL)
    back = bridge(of(now, later), of(before, rate)).sort(CELL)
    turned = {"new": "ended", "ended": "new"}
    assert there.select(*CELL, *STEPS).rows() == (
        back.select(*CELL, *(-pl.col(turned.get(step, step)).alias(step) for step in STEPS)).rows()
    )


@settings(deadline=None)
@given(periods)
def test_what_stays_moves_nothing(period: list[Row]) -> None:
    """A period against itself has no step."""
    assert total(bridge(of(period), of(period))) == {}


SPLIT = st.lists(st.integers(min_value=1, max_value=10**6).map(D), min_size=2, max_size=5)


@settings(deadline=None)
@given(SPLIT, SPLIT, st.sampled_from((TOKENS, ACCELERATOR_HOURS, "Hours")), st.sampled_from((s.REGION_ID, s.TEAM)))
def test_an_irrelevant_dimension_leaves_price_and_volume(
    before: list[Decimal], now: list[Decimal], unit: str, dimension: str
) -> None:
    """A cell that is cut by a dimension in which prices do not differ has the price and volume that it had whole."""
    parts = min(len(before), len(now))

    def period(quantities: list[Decimal], price: Decimal, *, cut: bool) -> pl.DataFrame:
        return cost(*(
            {"unit": unit, "quantity": q, "amount": q * price, SKU: "m7i", **({dimension: f"part {n}"} if cut else {})}
            for n, q in enumerate(quantities[:parts])
        ))  # fmt: skip

    whole, cut = (
        total(bridge(period(before, D(2), cut=c), period(now, D(3), cut=c))) for c in (False, True)
    )  # fmt: skip
    tolerance = D("1e-6")
    assert all(abs(whole.get(step, D(0)) - cut.get(step, D(0))) < tolerance for step in STEPS)
    assert set(whole) <= {"price", "volume"}


def used(unit: str, **changes: object) -> dict[str, Any]:
    """A hundred units of one SKU at 2."""
    return {"unit": unit, "quantity": D(100), "amount": D(200), SKU: "m7i", **changes}


ALONE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Decimal]]] = {
    "price": (used("Hours"), used("Hours", amount=D(250)), {"price": D(50)}),
    "volume": (used("Hours"), used("Hours", quantity=D(150), amount=D(300)), {"volume": D(100)}),
    "another SKU of the service": (used("Hours"), used("Hours", **{SKU: "m8i"}, amount=D(90)), {"mix": D(-110)}),
    "another machine": (
        used(ACCELERATOR_HOURS), used(ACCELERATOR_HOURS, **{SKU: "p5", s.ACCELERATOR_MODEL: "H100"}, amount=D(500)),
        {"mix": D(300)},
    ),
    "another provider of the model": (
        used(TOKENS), used(TOKENS, **{s.SERVICE_PROVIDER_NAME: "OpenAI", s.MODEL_ID: "gpt"}, amount=D(80)),
        {"mix": D(-120)},
    ),
    "a new service": (used("Hours"), used("Hours", **{s.SERVICE_NAME: "S3"}), {"new": D(200), "ended": D(-200)}),
    "a new use case": (used(TOKENS), used(TOKENS, **{s.USE_CASE: "mail"}), {"new": D(200), "ended": D(-200)}),
    "a commitment": (
        {"part": COMMITTED, "amount": D(-40)}, {"part": COMMITTED, "amount": D(-70)}, {"commitment": D(-30)},
    ),
    "a credit": ({"part": CREDIT, "amount": D(-40)}, {"part": CREDIT, "amount": D(0)}, {"credits": D(40)}),
    "a fee": ({"part": FEE, "amount": D(40)}, {"part": FEE, "amount": D(50)}, {"unexplained": D(10)}),
    "a rate": (
        used("Hours", converted=D(220), **{s.BILLING_CURRENCY: "EUR"}),
        used("Hours", converted=D(230), **{s.BILLING_CURRENCY: "EUR"}), {"currency": D(10)},
    ),
    "a rate and a volume": (
        used("Hours", converted=D(200), **{s.BILLING_CURRENCY: "EUR"}),
        used("Hours", quantity=D(200), amount=D(400), converted=D(600), **{s.BILLING_CURRENCY: "EUR"}),
        {"volume": D(250), "currency": D(150)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALONE)
def test_each_step_answers_for_what_it_alone_moves(case: str) -> None:
    """Where one thing changes, the whole change is its step's."""
    before, now, expected = ALONE[case]
    assert total(bridge(cost(before), cost(now))) == expected


def test_a_worse_cache_is_cache() -> None:
    """The same tokens of the same model, fewer of them read from the cache, under SKUs of their own: all is cache."""

    def period(read: int) -> pl.DataFrame:
        kinds: tuple[tuple[str, int, Callable[[int], int]], ...] = (
            ("Read", read, lambda n: n), ("Uncached", 100 - read, lambda n: 10 * n),
        )  # fmt: skip
        return cost(*(
            {"unit": TOKENS, s.MODEL_ID: "gpt", SKU: f"gpt, {action}", s.TOKEN_DIRECTION: "Input",
             s.TOKEN_CACHE_ACTION: action, "quantity": D(n), "amount": D(price(n))}
            for action, n, price in kinds
        ))  # fmt: skip

    assert total(bridge(period(80), period(30))) == {"cache": D(450)}


def test_longer_contexts_are_cache() -> None:
    """The same tokens of one kind, more of them under the dearer SKU of long contexts: all is in the step of kinds."""

    def period(long: int) -> pl.DataFrame:
        skus = (("input", 100 - long, 100 - long), ("input, long", long, 2 * long))
        same = {"unit": TOKENS, s.MODEL_ID: "sonnet", s.TOKEN_DIRECTION: "Input", s.TOKEN_CACHE_ACTION: "Uncached"}
        return cost(*({**same, SKU: sku, "quantity": D(n), "amount": D(amount)} for sku, n, amount in skus))

    assert total(bridge(period(20), period(60))) == {"cache": D(40)}


def test_a_longer_month_is_named() -> None:
    """Of the same pace over 31 days for 30, all of the volume is the calendar's; what counts by the month has none."""
    before = cost(used("Hours", quantity=D(300), amount=D(600)), used("GB-Months", **{SKU: "gp3"}))
    now = cost(used("Hours", quantity=D(310), amount=D(620)), used("GB-Months", quantity=D(110), **{SKU: "gp3"}))
    found = bridge(before, now, days=(30, 31))
    by_unit = {unit: round(amount, 9) for unit, amount in found.select("unit", CALENDAR).iter_rows()}
    assert by_unit == {"Hours": D(20), "GB-Months": D(0)}


# --------------------------------------------------------------------------------------------------------------- plans
@settings(deadline=None)
@given(periods, st.decimals(min_value=D(-(10**7)), max_value=D(10**8), places=2))
def test_a_plan_is_met_to_the_last_decimal(period: list[Row], plan: Decimal) -> None:
    """Whatever a period holds, grown to a plan it sums to it, and the bridge from it to anything is exact."""
    grown = to_plan(of(period), plan)
    assert sum(grown["converted"], D(0)) == plan
    found = bridge(grown, of(period))
    assert found.filter(pl.sum_horizontal(STEPS) != pl.col("change")).is_empty()
    assert sum(found["prior"], D(0)) == plan


def test_a_plan_grows_usage_and_leaves_the_rest() -> None:
    """The plan's usage is a multiple of the period's at the same price; fees, credits and commitments stay."""
    period = cost(used("Hours"), {"part": FEE, "amount": D(50)}, {"part": CREDIT, "amount": D(-10)})
    found = bridge(to_plan(period, D(340)), period)
    assert total(found) == {"volume": D(-100)}
    assert total(bridge(to_plan(period, D(340)), to_plan(period, D(640)))) == {"volume": D(300)}


def test_what_no_usage_can_stand_for_is_unexplained() -> None:
    """A plan over a period without quantities, or below its fees, differs from it without an explanation."""
    for period in (cost({"part": FEE, "amount": D(50)}), cost(used("Hours"), {"part": FEE, "amount": D(400)}), cost()):
        grown = to_plan(period, D(300))
        assert (grown["part"] == PLAN).sum() == 1
        assert set(total(bridge(grown, period))) == {"unexplained"}
