"""Residuals for any books: causes sum to the residual to the last decimal, whatever order the evidence comes in."""

from datetime import UTC, date, datetime
from decimal import Decimal, localcontext

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import schema as s
from finops.freshness import delays
from finops.money import CONTEXT, FxRate
from finops.reconciliation import Books, reconcile
from finops.residuals import KINDS, ROUNDING, UNEXPLAINED, Case, Exchange, Late, Usual, explain
from finops.restatement import AMOUNTS, changes

MONEY = st.decimals(min_value=Decimal("-1e12"), max_value=Decimal("1e12"), places=18)
SMALL = st.decimals(min_value=-500, max_value=500, places=3)
DAY = date(2026, 9, 28)
KIND_AMOUNTS = st.dictionaries(st.sampled_from(KINDS), SMALL, max_size=4)


@st.composite
def usual(draw: st.DrawFn) -> Usual:
    low, high = sorted((draw(SMALL), draw(SMALL)))
    return Usual(draw(st.text("abc", max_size=2)), draw(st.sampled_from(["support", "missing_charge"])), low, high, 3)


@st.composite
def exchange(draw: st.DrawFn) -> Exchange:
    rate, amount = draw(st.decimals(min_value=Decimal("0.1"), max_value=10, places=6)), draw(SMALL)
    known = FxRate(DAY, "EUR", "USD", rate, "ECB") if draw(st.booleans()) else None
    return Exchange(amount, "EUR", known, min(amount, amount * rate), max(amount, amount * rate))


CASES = st.builds(
    Case, st.sampled_from(["USD", "JPY"]), MONEY | SMALL, MONEY | SMALL, SMALL, st.integers(0, 3), KIND_AMOUNTS,
    KIND_AMOUNTS, st.lists(usual(), max_size=4).map(tuple),
    st.none() | st.builds(Late, st.just(DAY) | st.none(), st.integers(1, 5), SMALL.map(abs)), SMALL,
    st.lists(exchange(), max_size=2).map(tuple), st.lists(st.text("12", min_size=1), max_size=2).map(tuple),
)  # fmt: skip


@given(CASES)
def test_causes_sum_to_the_residual_exactly(case: Case) -> None:
    """Whatever speaks for a residual, its parts are the residual, none is zero, and rounding stays below its limit."""
    causes = explain(case)
    with localcontext(CONTEXT):
        assert sum((c.amount for c in causes), Decimal(0)) == case.residual
        assert all(c.amount for c in causes)
        assert all(abs(c.amount) <= case.cents for c in causes if c.cause == ROUNDING)
    assert all(c.amount == c.amount.quantize(Decimal("1e-18"), context=CONTEXT) for c in causes)


@given(CASES)
def test_the_order_of_the_evidence_changes_nothing(case: Case) -> None:
    """Usual charges in another order, and kinds in another order of their mapping, give the same causes."""
    turned = Case(
        case.currency, case.invoice, case.stored, case.quarantined, case.documents,
        dict(reversed(case.charged.items())), dict(reversed(case.lines.items())), case.usual[::-1], case.late,
        case.unplaced, case.exchanges, case.other_accounts,
    )  # fmt: skip
    assert explain(turned) == explain(case)


@given(MONEY, SMALL)
def test_without_any_evidence_all_is_rounding_or_unexplained(invoice: Decimal, residual: Decimal) -> None:
    """A residual that nothing speaks for is one cause."""
    with localcontext(CONTEXT):
        case = Case("USD", invoice, invoice - residual)
    assert {c.cause for c in explain(case)} <= {UNEXPLAINED, ROUNDING}
    assert len(explain(case)) == (1 if residual else 0)


ACCOUNTS = st.sampled_from(["1", "2", None])
PERIODS = st.sampled_from(["2026-08", "2026-09", "2026-10"])
CURRENCIES = st.sampled_from(["USD", "EUR"])
Charge = tuple[str, str | None, str, str, Decimal]
Invoice = tuple[str, str | None, str, Decimal]
CHARGES = st.lists(st.tuples(PERIODS, ACCOUNTS, CURRENCIES, st.sampled_from(["Compute", "Support"]), SMALL), max_size=8)
INVOICES = st.lists(st.tuples(PERIODS, ACCOUNTS, CURRENCIES, SMALL), max_size=4)


def _books(charges: list[Charge], invoices: list[Invoice], rate: Decimal | None) -> Books:
    def table(name: str, rows: list[dict[str, object]]) -> pl.LazyFrame:
        columns = s.TABLES[name].columns
        return pl.LazyFrame([dict.fromkeys(columns) | row for row in rows], schema=columns)

    rates = [{"day": DAY, "base": "USD", "quote": "EUR", "rate": rate, "source": "ECB"}] if rate else []
    return Books(
        table("charges", [
            {s.SOURCE_ID: "a", s.LEDGER_ROLE: s.BILLED, s.BILLING_PERIOD: p, s.BILLING_ACCOUNT_ID: a,
             s.BILLING_CURRENCY: c, s.SERVICE_NAME: v, s.BILLED_COST: cost} for p, a, c, v, cost in charges
        ]),
        table("quarantine", []),
        table("invoices", [
            {"invoice_id": f"{n}", "source_id": "a", "billing_period": p, "account_id": a, "currency": c, "amount": x}
            for n, (p, a, c, x) in enumerate(sorted(invoices, key=str))
        ]),
        table("invoice_lines", []), table("fx_rates", rates), {}, date(2026, 11, 21),
    )  # fmt: skip


@settings(max_examples=40)
@given(CHARGES, INVOICES, st.none() | st.just(Decimal("0.9")))
def test_every_charge_and_every_invoice_is_in_one_row(
    charges: list[Charge], invoices: list[Invoice], rate: Decimal | None
) -> None:
    """However invoices name accounts and currencies: no invoice is lost, no row is there twice, causes sum, and rows in
    another order give the same. Charges that meet no other currency are all stored."""
    found = reconcile(_books(charges, invoices, rate))
    keys = ["source_id", "billing_period", "issuer", "account_id", "currency"]
    assert not found.rows.select(keys).is_duplicated().any()
    assert sum(found.rows["invoice"].drop_nulls().to_list(), Decimal(0)) == sum((i[-1] for i in invoices), Decimal(0))
    sums = found.causes.group_by(keys).agg(pl.col("amount").sum())
    both = found.rows.join(sums, on=keys, how="left", nulls_equal=True)
    assert (both["residual"].fill_null(0) == both["amount"].fill_null(0)).all()
    if {c for _, _, c, _, _ in charges} | {c for _, _, c, _ in invoices} <= {"USD"}:
        assert sum(found.rows["stored"].drop_nulls().to_list(), Decimal(0)) == sum((c[-1] for c in charges), Decimal(0))
    again = reconcile(_books(charges[::-1], invoices, rate))
    assert again.rows.equals(found.rows)
    assert again.causes.equals(found.causes)


VERSION = st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["A", "B"]), SMALL), max_size=6)


@settings(max_examples=40)
@given(VERSION, VERSION, st.none() | st.integers(1, 30))
def test_changes_sum_to_the_difference_of_two_versions(
    old: list[tuple[int, str, Decimal]], new: list[tuple[int, str, Decimal]], complete: int | None
) -> None:
    """change = new - old = new_days + restated, in all and in each row."""

    def version(rows: list[tuple[int, str, Decimal]]) -> pl.LazyFrame:
        columns = s.TABLES["spend_daily"].columns
        return pl.LazyFrame(
            [
                dict.fromkeys(columns) | {s.CHARGE_DATE: date(2026, 9, d), s.SERVICE_NAME: v, s.BILLED_COST: c}
                for d, v, c in rows
            ],
            schema=columns,
        )

    at = datetime(2026, 10, 1, tzinfo=UTC)
    rows = changes(
        version(new), version(old), measure=s.BILLED_COST,
        complete_to=date(2026, 9, complete) if complete else None, loaded_at=(at, at),
    )  # fmt: skip
    total = {name: sum(rows[name].to_list(), Decimal(0)) for name in AMOUNTS}
    assert total["change"] == sum((c for *_, c in new), Decimal(0)) - sum((c for *_, c in old), Decimal(0))
    assert (rows["change"] == rows["new"] - rows["old"]).all()
    assert (rows["change"] == rows["new_days"] + rows["restated"]).all()
    if complete is None:
        assert not total["restated"]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6))
def test_each_day_becomes_complete_once(loads: list[tuple[int, int]]) -> None:
    """Of all loads, each day after the first one's newest has one delay, and none is below zero."""
    seen = sorted((date.fromordinal(739_000 + a), date.fromordinal(739_000 + min(a, b))) for a, b in loads)
    found = delays(seen)
    reached = max((last for _, last in seen), default=None)
    assert len(found) == (0 if reached is None else (reached - seen[0][1]).days + 1)
    assert all(n >= 0 for n in found)
