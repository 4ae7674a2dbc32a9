"""The views: sums, scopes, movements and words over rows of spend_daily."""

from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import schema as s
from finops.errors import CallError
from reports.views.budgets import budgets_of, same_scope, standing
from reports.views.movement import coverage, movers, trend, values
from reports.views.scope import Scope
from reports.views.spend import spend, summed
from reports.views.standing import Figure, figures
from reports.views.words import compact, headline, percent, period_name

D = Decimal
COLUMNS = {**s.DAILY_DIMENSIONS, **s.DAILY_MEASURES}


def daily(*rows: dict[str, object]) -> pl.LazyFrame:
    """Rows of spend_daily; what a row does not say is billed, in USD, on 5 October 2026, with equal costs."""
    full = []
    for row in rows:
        cost = row.get("cost", D(1))
        known = {
            s.CHARGE_DATE: date(2026, 10, 5), s.LEDGER_ROLE: s.BILLED, s.BILLING_CURRENCY: "USD", s.CHARGE_COUNT: 1,
            **dict.fromkeys(s.COSTS.values(), cost), **{k: v for k, v in row.items() if k != "cost"},
        }  # fmt: skip
        full.append({c: known.get(c) for c in COLUMNS})
    return pl.LazyFrame(full, schema=COLUMNS)


def rows_of(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    return list(frame.iter_rows())


# --- spend
def test_currencies_stay_apart() -> None:
    """Two currencies are never added, whatever the dimensions."""
    frame = daily({"cost": D(3)}, {"cost": D(5), s.BILLING_CURRENCY: "EUR"}, {"cost": D(4)})
    view = spend(frame)
    assert rows_of(view.totals) == [("EUR", D(5)), ("USD", D(7))]
    assert view.rows.equals(view.totals)
    with pytest.raises(CallError, match="EUR, USD in one sum"):
        summed(view.rows)


def test_derived_rows_are_not_summed() -> None:
    """A row of ledger role derived explains money that another row counts, and is left out."""
    frame = daily({"cost": D(3)}, {"cost": D(99), s.LEDGER_ROLE: s.DERIVED})
    assert rows_of(spend(frame).totals) == [("USD", D(3))]


def test_each_cost_is_its_own() -> None:
    """Each of the four costs sums its own column."""
    frame = daily({s.BILLED_COST: D(1), s.EFFECTIVE_COST: D(2), s.CONTRACTED_COST: D(3), s.LIST_COST: D(4)})
    assert [summed(spend(frame, cost=c).totals) for c in s.COSTS] == [D(1), D(2), D(3), D(4)]


def test_rows_carry_the_words_as_typed() -> None:
    """Rows name their columns as the caller did: short words and column names alike, the currency once."""
    frame = daily({s.TEAM: "Search", s.PURPOSE: "training"})
    assert spend(frame, by=["team", s.PURPOSE, "currency"]).rows.columns == ["team", s.PURPOSE, "currency", "cost"]


def test_where_matches_any_value_and_none() -> None:
    """Several values of a dimension are alternatives, and an empty one means charges without any."""
    frame = daily({s.TEAM: "A", "cost": D(1)}, {s.TEAM: "B", "cost": D(2)}, {s.TEAM: None, "cost": D(4)})
    assert summed(spend(frame, where={"team": ["A", "B"]}).rows) == D(3)
    assert summed(spend(frame, where={"team": ["A", ""]}).rows) == D(5)
    assert summed(spend(frame, where={"team": ""}).rows) == D(4)


def test_yes_or_no_is_read_from_words() -> None:
    """is_ai takes true and false as people write them, and refuses anything else."""
    frame = daily({s.IS_AI: True, "cost": D(1)}, {s.IS_AI: False, "cost": D(2)})
    assert summed(spend(frame, where={"is_ai": "true"}).rows) == D(1)
    assert summed(spend(frame, where={"is_ai": "No"}).rows) == D(2)
    with pytest.raises(CallError, match="is_ai=maybe"):
        spend(frame, where={"is_ai": "maybe"})


def test_both_ends_of_a_period_count() -> None:
    """The first and the last day are both inside."""
    frame = daily(*({s.CHARGE_DATE: date(2026, 10, n), "cost": D(n)} for n in range(1, 6)))
    assert summed(spend(frame, start=date(2026, 10, 2), end=date(2026, 10, 4)).rows) == D(9)


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ({"by": ["colour"]}, "no dimension 'colour'"),
        ({"where": {"colour": "red"}}, "no dimension 'colour'"),
        ({"by": [s.BILLED_COST]}, "no dimension 'BilledCost'"),
        ({"cost": "gross"}, "the cost 'gross'"),
        ({"start": date(2026, 2, 1), "end": date(2026, 1, 1)}, "a period from 2026-02-01 to 2026-01-01"),
        ({"where": {"day": "tomorrow"}}, "the day 'tomorrow'"),
    ],
)
def test_wrong_calls_say_what_is_known(call: dict[str, object], found: str) -> None:
    """A wrong call raises with what was found, what is expected, and what to do."""
    with pytest.raises(CallError, match=found) as raised:
        spend(daily({}), **call)  # type: ignore[arg-type]
    assert raised.value.expected
    assert raised.value.next_step


amounts = st.decimals(-(10**9), 10**9, places=18, allow_nan=False)
names = st.sampled_from(["a", "b", "c", None])


@given(
    st.lists(st.tuples(amounts, names, names, st.sampled_from(["USD", "EUR"])), max_size=30),
    st.sampled_from([["team"], ["purpose", "team"], []]),
)
def test_slices_sum_to_the_whole(charges: list[tuple[Decimal, str, str, str]], by: list[str]) -> None:
    """However spend is sliced, the rows of a currency sum to its total and to the input, to the last decimal."""
    frame = daily(*({"cost": c, s.TEAM: t, s.PURPOSE: p, s.BILLING_CURRENCY: m} for c, t, p, m in charges))
    view = spend(frame, by=by)
    for currency, total in view.totals.iter_rows():
        assert total == sum((c for c, _, _, m in charges if m == currency), D(0))
        assert total == summed(view.rows.filter(pl.col("currency") == currency))


# --- movement
def test_trend_cuts_time_into_steps() -> None:
    """Days fall into their week, from Monday, and into their month."""
    frame = daily(*({s.CHARGE_DATE: date(2026, 10, n), "cost": D(n)} for n in (1, 5, 11, 12)))
    assert trend(frame, Scope(), step="month")["cost"].to_list() == [D(29)]
    assert rows_of(trend(frame, Scope(), step="week").select("start", "cost")) == [
        (date(2026, 9, 28), D(1)), (date(2026, 10, 5), D(16)), (date(2026, 10, 12), D(12)),
    ]  # fmt: skip


def test_movers_meet_what_came_and_what_went() -> None:
    """A value of only one of the two periods moved by all of its cost; the largest change comes first."""
    then = {s.CHARGE_DATE: date(2026, 9, 5)}
    frame = daily(
        {s.TEAM: "grew", "cost": D(30)}, {s.TEAM: "grew", "cost": D(20), **then}, {s.TEAM: "came", "cost": D(7)},
        {s.TEAM: "went", "cost": D(50), **then}, {s.TEAM: None, "cost": D(2)}, {s.TEAM: None, "cost": D(1), **then},
    )  # fmt: skip
    moved = movers(frame, Scope(start=date(2026, 10, 1), end=date(2026, 10, 31)), "team")
    assert rows_of(moved.select("value", "change", "change_ratio")) == [
        ("went", D(-50), D(-1)), ("grew", D(10), D("0.5")), ("came", D(7), None), (None, D(1), D(1)),
    ]  # fmt: skip
    assert summed(moved, "change") == D(39) - D(71)


@pytest.mark.parametrize(
    ("start", "end", "before"),
    [
        ((2026, 10, 1), (2026, 10, 31), ((2026, 9, 1), (2026, 9, 30))),
        ((2026, 1, 1), (2026, 3, 31), ((2025, 10, 1), (2025, 12, 31))),
        ((2026, 3, 1), (2026, 3, 30), ((2026, 2, 1), (2026, 2, 28))),
        ((2026, 10, 1), (2026, 10, 7), ((2026, 9, 1), (2026, 9, 7))),
        ((2026, 10, 5), (2026, 10, 9), ((2026, 9, 30), (2026, 10, 4))),
    ],
)
def test_the_period_before(start: tuple[int, int, int], end: tuple[int, int, int], before: object) -> None:
    """Months are compared with months, a month so far with the same days of the month before, days with as many."""
    prior = Scope(start=date(*start), end=date(*end)).prior()
    assert (prior.start, prior.end) == tuple(date(*day) for day in before)  # type: ignore[attr-defined]


@given(st.dates(date(2000, 1, 1), date(2040, 1, 1)), st.integers(0, 800))
def test_the_period_before_ends_before(start: date, days: int) -> None:
    """No day is in both periods, whatever the period."""
    scope = Scope(start=start, end=start + timedelta(days=days))
    prior = scope.prior()
    assert prior.start is not None
    assert prior.end is not None
    assert prior.start <= prior.end < start


def test_an_open_period_has_none_before() -> None:
    """A scope without both ends has no period before it, and says so."""
    with pytest.raises(CallError, match="without a first or a last day"):
        Scope(start=date(2026, 1, 1)).prior()


def test_coverage_of_nothing_is_none() -> None:
    """An empty ledger, or one that is only derived, covers nothing."""
    assert coverage(daily()) is None
    assert coverage(daily({s.LEDGER_ROLE: s.DERIVED})) is None


def test_coverage_ends_where_all_bills_end() -> None:
    """A month's fee that lies on days to come bills nothing there; the slowest running bill says how far all are in."""
    day = date(2026, 10, 1)
    frame = daily(
        *({s.SOURCE_ID: "aws", s.CHARGE_DATE: day + timedelta(n), s.CHARGE_COUNT: int(n < 20)} for n in range(31)),
        *({s.SOURCE_ID: "servers", s.CHARGE_DATE: day + timedelta(n)} for n in range(25)),
        {s.SOURCE_ID: "ended", s.CHARGE_DATE: date(2026, 3, 1), s.BILLING_CURRENCY: "EUR"},
    )
    found = coverage(frame)
    assert found is not None
    assert (found.first, found.last, found.through) == (date(2026, 3, 1), date(2026, 10, 31), date(2026, 10, 20))
    assert found.currencies == ("USD", "EUR")


def test_values_come_costliest_first() -> None:
    """The values of a dimension stand in the order of their cost, which colours follow."""
    frame = daily({s.TEAM: "small", "cost": D(1)}, {s.TEAM: None, "cost": D(5)}, {s.TEAM: "large", "cost": D(9)})
    assert values(frame, "team") == ["large", None, "small"]


# --- figures and words
def test_rates_divide_only_the_cost_that_has_the_quantity() -> None:
    """Cost per accelerator-hour leaves out the charges that have none."""
    frame = daily(
        {"cost": D(30), s.ACCELERATOR_HOURS: D(10)}, {"cost": D(8)},
        {"cost": D(100), s.OWNER_STATUS: "none"},
        {"cost": D(15), s.ACCELERATOR_HOURS: D(10), s.CHARGE_DATE: date(2026, 9, 3)},
    )  # fmt: skip
    spent, hour, unowned = figures(frame, Scope(start=date(2026, 10, 1), end=date(2026, 10, 31)), "USD")
    assert (spent.value, hour.value, unowned.value) == (D(138), D(3), D(100))
    assert (hour.prior, hour.change_ratio) == (D("1.5"), D(1))


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1243000", "1.24 M"), ("999600", "1.00 M"), ("318400", "318 k"), ("0", "0.00"), ("-4.6", "−4.60"),
     ("99.96", "100"), ("12345678901", "12.3 bn")],
)  # fmt: skip
def test_compact_keeps_three_figures(amount: str, text: str) -> None:
    """An amount in a headline has three figures and its size."""
    assert compact(D(amount)) == text


def test_percent_and_periods_read_well() -> None:
    """Ratios and periods are said as people say them."""
    assert [percent(r, signed=True) for r in (D("0.08"), D("-0.4"), D("0.004"), D("1.12"))] == [
        "+8 %",
        "−40 %",
        "+0.4 %",
        "+112 %",
    ]
    assert period_name(date(2026, 10, 1), date(2026, 10, 31)) == "October 2026"
    assert period_name(date(2026, 8, 1), date(2026, 10, 31)) == "August to October 2026"
    assert period_name(date(2026, 11, 1), date(2026, 11, 20)) == "1–20 November 2026"


def test_the_headline_names_what_moved() -> None:
    """The headline says amount, budget, change, and the value that made most of the change."""
    scope = Scope(start=date(2026, 10, 1), end=date(2026, 10, 31))
    frame = daily(
        {s.TEAM: "Support", "cost": D(80)}, {s.TEAM: "Search", "cost": D(45)},
        {s.TEAM: "Support", "cost": D(60), s.CHARGE_DATE: date(2026, 9, 5)},
        {s.TEAM: "Search", "cost": D(40), s.CHARGE_DATE: date(2026, 9, 5)},
    )  # fmt: skip
    moved = movers(frame, scope, "team")
    text = headline(scope, Figure("spend", "USD", D(125), D(100)), moved, kind="team", against_budget="8 % over budget")
    amount, why = text.split("; ")
    assert amount == "October 2026: 125 USD, 8 % over budget, up 25 % on September 2026"
    assert why == "four fifths of the rise comes from team Support."


def test_the_headline_without_a_past_says_so() -> None:
    """A first period is not compared with nothing."""
    scope = Scope(start=date(2026, 10, 1), end=date(2026, 10, 31))
    text = headline(scope, Figure("spend", "USD", D(125), D(0)), movers(daily(), scope, "team"), kind="team")
    assert text == "October 2026: 125 USD; there is nothing before it to compare with."


# --- budgets
def _status(**changes: object) -> dict[str, object]:
    row = {
        "scope": "team=A", "owner": "Ada", "currency": "USD", "cost": "effective", "period": "2026-10",
        "budget": D(100), "actual": D(90), "landing": D(108), "basis": "forecast",
    }  # fmt: skip
    return {**row, **changes}


def _statuses(*rows: dict[str, object]) -> pl.DataFrame:
    money = ("budget", "actual", "landing")
    return pl.DataFrame(rows, schema={c: s.MONEY if c in money else pl.String() for c in rows[0]})


def test_a_quarter_budget_counts_once() -> None:
    """Where a scope has monthly budgets its quarter is left out; months outside the period never count."""
    rows = _statuses(
        _status(),
        _status(period="2026-Q4", budget=D(300)),
        _status(period="2026-11"),
        _status(scope="team=B", period="2026-Q4"),
    )
    found = budgets_of(rows, Scope(start=date(2026, 10, 1), end=date(2026, 10, 31)), "USD")
    assert rows_of(found.select("scope", "budget", "ratio", "standing")) == [
        ("team=A", D(100), D("0.08"), "heading for 8 % over"), ("team=B", D(100), D("0.08"), "heading for 8 % over"),
    ]  # fmt: skip


def test_filters_find_the_budget_of_the_same_scope() -> None:
    """Only filters that mean exactly a budget's scope are held against it."""
    assert same_scope(Scope({s.BILLING_CURRENCY: ("USD",)})) == "all"
    assert same_scope(Scope({s.IS_AI: (True,), s.TEAM: ("A",)})) == "is_ai=true;team=A"
    assert standing(D("-0.03"), is_open=False) == "3 % under"
    assert same_scope(Scope({s.TEAM: ("A", "B")})) != "team=A"
