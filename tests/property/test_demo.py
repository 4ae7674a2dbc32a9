"""Whatever the seed, the length and the day: the demo company's bill keeps every promise of its ledger."""

from datetime import date, timedelta
from functools import cache

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.demo import ledger, model_apis
from connectors.demo.activity import QUANTITY, SKU, USUAL, WORKLOAD, daily_usage
from connectors.demo.api_truth import ROUNDING, residuals
from connectors.demo.bill import bill, missing_from_export, term_of
from connectors.demo.company import COMMITMENTS, SHORTEST_MONTHS, WORKLOADS, Calendar
from connectors.demo.finance import budgets, business_metrics, fx_rates
from connectors.demo.incidents import RAMP_RATIO, incidents
from connectors.demo.skus import MACHINES

COMPANIES = st.tuples(
    st.integers(SHORTEST_MONTHS, 5), st.integers(0, 2**32), st.dates(date(2024, 1, 1), date(2030, 12, 31))
)
FEW = settings(max_examples=4, deadline=None)


@cache
def _company(months: int, seed: int, today: date) -> tuple[Calendar, pl.DataFrame, pl.DataFrame]:
    calendar = Calendar.of(months=months, today=today)
    usage = daily_usage(calendar, seed)
    return calendar, usage, bill(usage, calendar)


@cache
def _apis(months: int, seed: int, today: date) -> model_apis.Apis:
    return model_apis.apis(Calendar.of(months=months, today=today), seed)


@FEW
@given(COMPANIES)
def test_commitments_move_cost_and_never_make_any(company: tuple[int, int, date]) -> None:
    """Each day a commitment's covered and unused rows sum to its daily fee; covering changes no quantity."""
    calendar, usage, charges = _company(*company)
    for commitment in COMMITMENTS:
        first, end = term_of(commitment, calendar)
        rows = charges.filter(pl.col("commitment") == commitment.key, pl.col("category") == "Usage")
        days = rows.group_by("first_day").agg(pl.col("effective_cost").sum())
        shown = (min(end, calendar.end + timedelta(days=1)) - max(first, calendar.start)).days
        assert days.height == max(shown, 0)
        assert ((days["effective_cost"] - commitment.per_hour * 24).abs() < 1e-6).all()
        assert rows["billed_cost"].sum() == 0
    metered = charges.filter(pl.col(QUANTITY).is_not_null())
    by = (WORKLOAD, SKU)
    both = usage.group_by(by).agg(pl.col(QUANTITY).sum()).join(
        metered.group_by(by).agg(pl.col(QUANTITY).sum().alias("billed")), on=by, how="full", coalesce=True
    )  # fmt: skip
    assert both.null_count().sum_horizontal().item() == 0
    assert both.select(((pl.col("billed") / pl.col(QUANTITY)) - 1).abs().max()).item() < 1e-9


@FEW
@given(COMPANIES)
def test_charges_are_whole_and_in_their_period(company: tuple[int, int, date]) -> None:
    """No cost is missing or not finite, usage is never negative, and only the refund lies outside its month."""
    calendar, _, charges = _company(*company)
    costs = charges.select(pl.col("^.*_cost$"))
    assert costs.null_count().sum_horizontal().item() == 0
    assert costs.select(pl.all().is_finite().all()).row(0) == (True,) * 4
    assert charges.filter(pl.col("billed_cost") < 0, pl.col("category") == "Usage")["charge_class"].to_list() == [
        "Correction"
    ]
    outside = charges.filter(pl.col("first_day").dt.month_start() != pl.col("month"))
    assert outside["charge_class"].to_list() == ["Correction"]
    assert set(charges["month"]) == set(calendar.months)
    assert charges.filter(missing_from_export(calendar)).height == 1
    azure = charges.filter(pl.col("source") == "azure").group_by("month").agg(
        (pl.col("billed_cost").cast(pl.Decimal(38, 10)).sum() * 100 % 1).alias("part_of_a_cent")
    )  # fmt: skip
    assert (azure["part_of_a_cent"] == 0).all(), "Azure rounds each month to whole cents"
    assert charges.filter(pl.col("category") == "Adjustment")["billed_cost"].abs().max() <= 0.005


@FEW
@given(COMPANIES)
def test_machines_run_at_most_a_day_a_day(company: tuple[int, int, date]) -> None:
    """A machine of a fleet has more than 0 and at most 24 hours a day, and its workload's incident at most triples."""
    calendar, usage, _ = _company(*company)
    fleets = usage.filter(pl.col(WORKLOAD).is_in([w.name for w in WORKLOADS if w.fleet]))
    sizes = {meter: float(size) for meters in MACHINES.values() for meter, size in meters.items()}
    hours = pl.col(QUANTITY) / pl.col(SKU).replace_strict(sizes, default=1.0)
    assert fleets.select(hours.round(9).is_between(0, 24, closed="right").all()).item()
    above = usage[QUANTITY] / usage[USUAL]
    assert above.min() >= 1 - 1e-12
    assert above.max() <= RAMP_RATIO + 1e-9
    assert {i.kind for i in incidents(calendar)} >= {"inference_cost_tripled", "unowned_account"}


@FEW
@given(COMPANIES)
def test_finance_tables_cover_every_month(company: tuple[int, int, date]) -> None:
    """Budgets reach from the first month to three months ahead, rates and metrics have every day, all above zero."""
    calendar, _, charges = _company(*company)
    seed = company[1]
    rates = fx_rates(calendar, seed)
    planned = budgets(charges, _apis(*company), rates, calendar)
    assert planned["period"].min() == f"{calendar.start:%Y-%m}"
    assert planned.group_by("scope").len()["len"].n_unique() == 1
    assert planned.height / planned["scope"].n_unique() >= len(calendar.months) + 3 - 1
    assert planned["amount"].min() > 0
    assert rates["day"].to_list() == pl.date_range(calendar.start, calendar.today, eager=True).to_list()
    assert rates["rate"].cast(pl.Float64).is_between(1.0, 1.35).all()
    metrics = business_metrics(calendar, seed)
    assert metrics["value"].min() > 0
    assert metrics.group_by("use_case").len()["len"].unique().to_list() == [(calendar.end - calendar.start).days + 1]


@FEW
@given(COMPANIES)
def test_the_ledger_starts_with_the_exports(company: tuple[int, int, date]) -> None:
    """Assets are bought within the company's months, retired after they were bought, and cost something each month."""
    calendar, _, _ = _company(*company)
    assets = ledger.assets(calendar)
    assert assets.height >= 6
    assert assets["in_service_date"].min() >= calendar.start.isoformat()
    assert assets.filter(pl.col("retired_date") <= pl.col("in_service_date")).is_empty()
    assert all(cost.effective > 0 for cost in ledger.monthly_costs(calendar))


@FEW
@given(COMPANIES)
@example((3, 1, date(2027, 6, 3)))  # the only day of the open month has come without its costs
def test_model_apis_bill_what_the_book_says(company: tuple[int, int, date]) -> None:
    """Every cost but credits, searches and fees is its usage at the book's price; no count is below zero."""
    calendar = Calendar.of(months=company[0], today=company[2])
    apis = _apis(*company)
    assert apis.usage.select((pl.col(*model_apis.COUNTS) >= 0).all()).row(0) == (True,) * len(model_apis.COUNTS)
    assert apis.costs["cost"].null_count() == apis.costs["usual"].null_count() == 0
    assert apis.costs.filter(pl.col("cost") <= 0)["item"].to_list() in ([], [model_apis.CREDIT])
    moved = apis.costs.filter(pl.col("cost") != pl.col("usual"))
    assert set(moved["key"]) <= {"chat"}
    assert apis.costs.filter(model_apis.is_late(calendar)).is_empty()
    causes = residuals(apis, calendar)
    for source, period in {(c["source"], c["period"]) for c in causes}:
        mine = [c for c in causes if (c["source"], c["period"]) == (source, period)]
        rounding = sum(abs(c["amount"]) for c in mine if c["cause"] == ROUNDING)
        assert rounding < 1e-3, "what no cause explains is rounding to a millionth of a dollar"
        assert sum(c["amount"] for c in mine) == mine[0]["billed"] - mine[0]["priced"]
