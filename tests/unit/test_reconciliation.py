"""Reconciliation: each status and each cause fires on the books that it is for, and causes sum to the residual."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops.pipeline.run import _open, _tie_out
from finops.reconciliation import Books, Reconciliation, reconcile
from finops.residuals import NEXT_STEPS, Case, Exchange, Late, Usual, explain

TODAY = date(2026, 11, 21)
Row = dict[str, Any]


def table(name: str, *rows: Mapping[str, Any]) -> pl.LazyFrame:
    """Rows of a lake table; what they leave out is null."""
    columns = s.TABLES[name].columns
    return pl.LazyFrame([dict.fromkeys(columns) | dict(row) for row in rows], schema=columns)


def charge(cost: str, period: str = "2026-09", **other: object) -> Row:
    """A charge of the source `a`, in USD unless it says otherwise."""
    return {
        s.SOURCE_ID: "a", s.BILLING_PERIOD: period, s.BILLING_CURRENCY: "USD", s.LEDGER_ROLE: s.BILLED,
        s.BILLED_COST: Decimal(cost), s.SERVICE_NAME: "Compute", s.CHARGE_CATEGORY: "Usage", **other,
    }  # fmt: skip


def invoice(amount: str, period: str = "2026-09", **other: object) -> Row:
    """An invoice of the source `a` in USD."""
    return {
        "invoice_id": "I-1", "source_id": "a", "billing_period": period, "currency": "USD", "amount": Decimal(amount),
        **other,
    }  # fmt: skip


def held_back(cost: str, period: str = "2026-09", currency: str = "USD") -> Row:
    return {"source_id": "a", "billing_period": period, "currency": currency, "billed_cost": Decimal(cost)}


def compared(
    charges: list[Row] | None = None, invoices: list[Row] | None = None, *, lines: list[Row] | None = None,
    quarantine: list[Row] | None = None, rates: list[Row] | None = None,
    ends: Mapping[tuple[str, str], date] | None = None, today: date = TODAY,
) -> Reconciliation:  # fmt: skip
    """The books of these rows, reconciled; every row's causes sum to its residual."""
    found = reconcile(
        Books(
            table("charges", *charges or []), table("quarantine", *quarantine or []),
            table("invoices", *invoices or []), table("invoice_lines", *lines or []),
            table("fx_rates", *rates or []), ends or {}, today,
        )
    )  # fmt: skip
    keys = ["source_id", "billing_period", "issuer", "account_id", "currency"]
    sums = found.causes.group_by(keys).agg(pl.col("amount").sum())
    both = found.rows.join(sums, on=keys, how="left", nulls_equal=True)
    assert (both["residual"].fill_null(0) == both["amount"].fill_null(0)).all()
    assert set(found.causes["cause"]) <= set(NEXT_STEPS)
    return found


def causes(found: Reconciliation, period: str = "2026-09") -> list[tuple[str, Decimal]]:
    """Cause and amount of each part of a period's residual."""
    return list(found.of(period).causes.select("cause", "amount").iter_rows())


# ----------------------------------------------------------------------------------------------------------- statuses
@pytest.mark.parametrize(
    ("stored", "quarantined", "invoiced", "residual", "status"),
    [
        ("100", None, "100", "0", "tied_out"),
        ("99.5", None, "100", "0.5", "tied_out"),
        ("99.49", None, "100", "0.51", "residual"),
        ("101", None, "100", "-1", "residual"),
        ("90", "10", "100", "0", "quarantined"),
        ("80", "10", "100", "10", "residual"),
        ("-100", None, "-100", "0", "tied_out"),
        (None, None, "100", "100", "no_charges"),
        ("100", None, None, None, "no_invoice"),
    ],
)
def test_a_period_ties_out_or_its_residual_is_named(
    stored: str | None, quarantined: str | None, invoiced: str | None, residual: str | None, status: str
) -> None:
    """residual = invoice - stored - quarantined; up to 0.5 % of the invoice ties out, and nothing quarantined does."""
    found = compared(
        [charge(stored)] if stored else [], [invoice(invoiced)] if invoiced else [],
        quarantine=[held_back(quarantined)] if quarantined else [],
    )  # fmt: skip
    (row,) = found.rows.to_dicts()
    assert row["residual"] == (None if residual is None else Decimal(residual))
    assert row["status"] == status


def test_derived_charges_do_not_reconcile() -> None:
    """What only attributes money is no part of an invoice."""
    found = compared([charge("100", **{s.LEDGER_ROLE: s.DERIVED})], [invoice("100")])
    assert found.rows["status"].to_list() == ["no_charges"]


def test_quarantined_money_without_a_period_is_seen() -> None:
    """A refused row whose month nobody can read is a row of its own, and a cause where it is just what is missing."""
    found = compared([charge("90")], [invoice("100")], quarantine=[held_back("10", "unknown", "XXX")])
    assert causes(found) == [("quarantined", Decimal(10))]
    assert dict(found.rows.select("billing_period", "status").iter_rows()) == {
        "2026-09": "explained", "unknown": "no_invoice",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("today", "ends", "invoiced", "said"),
    [
        (date(2026, 9, 30), {}, True, "the month has not ended"),
        (date(2026, 10, 9), {("a", "2026-09"): date(2026, 9, 28)}, True, "billed to 28 September"),
        (date(2026, 12, 9), {("a", "2026-09"): date(2026, 9, 28)}, True, None),
        (TODAY, {("a", "2026-09"): date(2026, 9, 5), ("a", "2026-10"): date(2026, 10, 31)}, True, None),
        (TODAY, {}, False, "no invoice yet"),
        (TODAY, {("a", "2026-09"): date(2026, 9, 30)}, True, None),
    ],
)
def test_an_open_period_says_why(
    today: date, ends: dict[tuple[str, str], date], invoiced: bool, said: str | None
) -> None:
    """A month is open until it has ended and, where the source is invoiced, has its invoice; and for some weeks while
    the source has not reached its end. A source that bills on one day of a month is not open until the next one."""
    earlier = [invoice("1", "2026-08", invoice_id="I-0")]
    found = compared(
        [charge("1", "2026-08"), charge("100")], earlier + ([invoice("100")] if invoiced else []),
        ends=ends, today=today,
    )  # fmt: skip
    assert found.of("2026-09").rows["open"].to_list() == [said]


# -------------------------------------------------------------------------------------------------- whose invoice it is
def test_each_account_is_compared_with_its_own_invoice() -> None:
    """Charges go to the invoice that names their billing account, however it is written; the rest has no invoice."""
    charges = [charge(c, **{s.BILLING_ACCOUNT_ID: a}) for c, a in (("10", "001-2"), ("20", "34"), ("5", "56"))]
    found = compared(charges, [invoice("10", account_id="0012"), invoice("21", account_id="34", invoice_id="I-2")])
    rows = {r["account_id"]: (r["stored"], r["residual"], r["status"]) for r in found.rows.to_dicts()}
    assert rows == {
        "0012": (Decimal(10), Decimal(0), "tied_out"), "34": (Decimal(20), Decimal(1), "residual"),
        "56": (Decimal(5), None, "no_invoice"),
    }  # fmt: skip


def test_an_invoice_without_an_account_takes_all_of_the_source() -> None:
    """Where the invoice names no account, all charges of the source that no other invoice names are its."""
    charges = [charge(c, **{s.BILLING_ACCOUNT_ID: a}) for c, a in (("10", "12"), ("20", "34"), ("5", "56"))]
    found = compared(charges, [invoice("30"), invoice("5", account_id="56", invoice_id="I-2")])
    assert dict(found.rows.select("account_id", "stored").iter_rows()) == {None: Decimal(30), "56": Decimal(5)}


def test_issuers_of_one_account_are_told_apart() -> None:
    """A marketplace's invoice takes the marketplace's charges, and the provider's the rest, under any of its names."""
    issuers = (("90", "Amazon Web Services, Inc."), ("10", "AWS Marketplace"))
    charges = [charge(c, **{s.INVOICE_ISSUER_NAME: i, s.BILLING_ACCOUNT_ID: "12"}) for c, i in issuers]
    both = [
        invoice("90", issuer="AWS EMEA SARL", account_id="12"),
        invoice("10", issuer="AWS Marketplace", account_id="12", invoice_id="I-2"),
    ]
    found = compared(charges, both)
    assert dict(found.rows.select("issuer", "residual").iter_rows()) == {
        "AWS EMEA SARL": Decimal(0), "AWS Marketplace": Decimal(0),
    }  # fmt: skip


def test_an_account_that_only_the_invoice_knows_is_the_only_one() -> None:
    """One invoiced account and other names in the charges: they are the same account under another name."""
    found = compared([charge("10", **{s.BILLING_ACCOUNT_ID: "OpenAI"})], [invoice("10", account_id="org-1")])
    assert found.rows["status"].to_list() == ["tied_out"]


def test_an_invoice_of_an_unknown_account_says_so() -> None:
    """An invoice of an account without charges, beside one that has some, names the accounts there are."""
    found = compared(
        [charge("10", **{s.BILLING_ACCOUNT_ID: "12"})],
        [invoice("10", account_id="12"), invoice("7", account_id="99", invoice_id="I-2")],
    )
    assert causes(found) == [("unmatched_account", Decimal(7))]
    assert found.causes["note"][0].endswith("its charges are of 12")


# --------------------------------------------------------------------------------------------------------------- causes
def months(*around: str, missing: str = "2026-09") -> list[Row]:
    """Compute of 1,000 in five months, and in all but one of them what is given."""
    every = ["2026-07", "2026-08", "2026-09", "2026-10"]
    return [charge("1000", month) for month in every] + [
        charge(cost, month, **other)
        for cost, other in [(c, {s.SERVICE_NAME: "Support", s.DRIVER: "support"}) for c in around]
        for month in every
        if month != missing
    ]


def test_a_support_fee_that_the_export_lacks_is_named_with_its_usual_amount() -> None:
    """A fee of all months around is missing from this one: the residual is the fee, and the period is not whole."""
    found = compared(months("30"), [invoice("1030")])
    assert causes(found) == [("support", Decimal(30))]
    assert found.of("2026-09").rows["status"].to_list() == ["explained"]
    assert found.causes["note"].to_list() == [
        "Support, usage, is missing from the export of this month; by the 3 months around it, 30.00"
    ]


def test_a_missing_fee_takes_no_more_than_it_usually_is() -> None:
    """What is left beyond the usual amount is unexplained; a residual far below the fee is not the fee."""
    assert causes(compared(months("30"), [invoice("1050")])) == [("support", Decimal(30)), ("unexplained", Decimal(20))]
    assert causes(compared(months("30"), [invoice("1012")])) == [("unexplained", Decimal(12))]


def test_a_charge_that_comes_and_goes_is_not_missed() -> None:
    """A service that one of the neighbours does not have is not usual."""
    charges = [
        row for row in months("30") if not (row[s.SERVICE_NAME] == "Support" and row[s.BILLING_PERIOD] > "2026-09")
    ]
    assert causes(compared(charges, [invoice("1030")])) == [("unexplained", Decimal(30))]


def test_an_account_that_is_absent_as_a_whole_is_named() -> None:
    """All charges of an account that the months around have are one cause."""
    charges = [charge("1000", m, **{s.SUB_ACCOUNT_ID: "1"}) for m in ("2026-07", "2026-08", "2026-09", "2026-10")]
    charges += [charge("70", m, **{s.SUB_ACCOUNT_ID: "2"}) for m in ("2026-07", "2026-08", "2026-10")]
    found = compared(charges, [invoice("1070")])
    assert causes(found) == [("missing_charge", Decimal(70))]
    assert found.causes["note"][0].startswith("all of account 2 is missing")


@pytest.mark.parametrize(
    ("cause", "row"),
    [
        ("tax", {s.CHARGE_CATEGORY: "Tax"}),
        ("credit", {s.CHARGE_CATEGORY: "Credit"}),
        ("refund", {s.CHARGE_CLASS: "Correction"}),
        ("support", {s.DRIVER: "support"}),
    ],
)
def test_a_kind_of_charge_that_the_invoice_is_without(cause: str, row: Row) -> None:
    """What the export has of a kind, and is just what the invoice has less, is that kind."""
    assert causes(compared([charge("100"), charge("19", **row)], [invoice("100")])) == [(cause, Decimal(-19))]


def test_lines_of_an_invoice_name_what_the_export_lacks() -> None:
    """Tax, credits, support and refunds that the lines have and the export has not are their own causes."""
    amounts = (("Usage", "100", None), ("Tax", "19", None), ("Credit", "-5", None), ("Usage", "8", "AWS Support"))
    lines = [
        invoice(a, category=c, description=d, line=str(n)) for n, (c, a, d) in enumerate(amounts)
    ]  # fmt: skip
    found = compared([charge("100")], [invoice("122")], lines=lines)
    assert causes(found) == [("tax", Decimal(19)), ("support", Decimal(8)), ("credit", Decimal(-5))]
    (row,) = found.rows.to_dicts()
    assert (row["status"], row["unexplained"]) == ("explained", Decimal(0))
    alone = compared([charge("100")], lines=lines)
    assert alone.rows["invoice"].to_list() == [Decimal(122)], "the lines of an invoice are the invoice"


def test_tax_that_the_export_leaves_out_ties_out() -> None:
    """A named tax is no missing charge: the period ties out."""
    lines = [invoice("100", category="Usage", line="1"), invoice("19", category="Tax", line="2")]
    assert compared([charge("100")], lines=lines).rows["status"].to_list() == ["tied_out"]


def test_days_that_have_not_come_are_late() -> None:
    """Missing last days explain up to twice what they usually cost, and no more."""
    ends = {("a", "2026-09"): date(2026, 9, 27)}
    assert causes(compared([charge("270")], [invoice("300")], ends=ends)) == [("late_data", Decimal(30))]
    assert causes(compared([charge("270")], [invoice("400")], ends=ends)) == [
        ("late_data", Decimal(60)), ("unexplained", Decimal(70)),
    ]  # fmt: skip
    gone = {("a", "2026-09"): date(2026, 8, 31)}
    assert causes(compared([charge("1", "2026-08")], [invoice("300")], ends=gone)) == [("late_data", Decimal(300))]


def rate(day: str, value: str, base: str = "USD", quote: str = "EUR") -> Row:
    return {"day": date.fromisoformat(day), "base": base, "quote": quote, "rate": Decimal(value), "source": "ECB"}


def test_an_invoice_in_another_currency_is_converted_with_a_dated_rate() -> None:
    """The latest rate up to the issue date converts; what another rate of those days makes is named with its date."""
    bill = invoice("905", currency="EUR", issue_date=date(2026, 10, 3))
    rates = [rate("2026-09-01", "0.90"), rate("2026-09-30", "0.91"), rate("2026-10-09", "0.5")]
    found = compared([charge("1000")], [bill], rates=rates)
    (row,) = found.rows.to_dicts()
    assert (row["currency"], row["stored"], row["status"]) == ("EUR", Decimal(910), "tied_out")
    assert causes(found) == [("currency", Decimal(-5))]
    assert "1,000.00 USD at 0.91 EUR/USD of 2026-09-30 (ECB)" in found.causes["note"][0]
    turned = compared([charge("1000")], [bill], rates=[rate("2026-09-30", "1.25", "EUR", "USD")])
    assert turned.rows["stored"].to_list() == [Decimal(800)]


def test_currencies_without_a_rate_are_not_added() -> None:
    """Without a rate nothing is converted: the residual is the currency's, and the period does not tie out."""
    found = compared([charge("1000")], [invoice("905", currency="EUR")])
    assert causes(found) == [("currency", Decimal(905))]
    assert found.rows["status"].to_list() == ["explained"]
    both = compared([charge("1000"), charge("7", **{s.BILLING_CURRENCY: "EUR"})], [invoice("7", currency="EUR")])
    rows = {r["currency"]: (r["stored"], r["status"]) for r in both.rows.to_dicts()}
    assert rows == {"EUR": (Decimal(7), "tied_out"), "USD": (Decimal(1000), "no_invoice")}


@pytest.mark.parametrize(("currency", "residual", "cause"), [("USD", "0.5", "unexplained"), ("JPY", "0.5", "rounding")])
def test_rounding_is_what_the_currency_can_make(currency: str, residual: str, cause: str) -> None:
    """Half a dollar is no rounding; half a yen is, because there are no cents."""
    (found,) = explain(Case(currency, Decimal(100), Decimal(100) - Decimal(residual)))
    assert found.cause == cause


def test_each_evidence_takes_what_it_speaks_for() -> None:
    """Causes of one case stand in the order of the evidence and sum to the residual."""
    case = Case(
        "USD", Decimal("150.004"), Decimal(100),
        usual=(Usual("Support, usage,", "support", Decimal(10), Decimal(12), 4),),
        late=Late(date(2026, 9, 29), 1, Decimal(4)),
    )  # fmt: skip
    assert [(c.cause, c.amount) for c in explain(case)] == [
        ("support", Decimal(12)), ("late_data", Decimal(8)), ("unexplained", Decimal("30.004")),
    ]  # fmt: skip
    euro = Case("EUR", Decimal(90), exchanges=(Exchange(Decimal(100), "USD", None),))
    assert [c.cause for c in explain(euro)] == ["currency"]


def test_an_account_that_nobody_invoices_stays_apart() -> None:
    """Beside the invoice of one account, the charges of another one have no invoice."""
    charges = [charge(c, **{s.BILLING_ACCOUNT_ID: a}) for c, a in (("10", "12"), ("5", "56"))]
    found = compared(charges, [invoice("10", account_id="12")])
    assert dict(found.rows.select("account_id", "status").iter_rows()) == {"12": "tied_out", "56": "no_invoice"}


def test_a_kind_that_lies_in_other_lines_is_not_missed() -> None:
    """Tax that the invoice has within its usage lines is no cause where that would only part the two more."""
    charges = [charge("100"), charge("19", **{s.CHARGE_CATEGORY: "Tax"})]
    assert causes(compared(charges, lines=[invoice("120", category="Usage")])) == [("unexplained", Decimal(1))]


def test_of_two_charges_that_fit_alike_the_first_by_name_is_taken() -> None:
    """Which of two equal fees is named does not depend on the order that they come in."""
    two = [Usual(name, "missing_charge", Decimal(10), Decimal(10), 2) for name in ("A", "B")]
    (one,), (other,) = (explain(Case("USD", Decimal(10), usual=tuple(usual))) for usual in (two, two[::-1]))
    assert one == other
    assert one.note.startswith("A is missing")


def test_a_run_tells_what_does_not_tie_out_and_what_is_open() -> None:
    """A run's summary has the months that tie out, each that does not with its cause and next step, and open months."""
    charges = [*months("30"), charge("500", "2026-11")]
    bills = [invoice("1030", m, invoice_id=m) for m in ("2026-07", "2026-08", "2026-09", "2026-10")]
    found = compared(charges, bills)
    told = list(_tie_out(found, 0, ()))
    assert told[0] == "3 of 4 invoiced months tie out to the invoice."
    assert told[1].startswith("a 2026-09: the invoice is 30.00 USD (2.9 %) above what the bill shows: Support, usage,")
    assert told[2].startswith("Next: ask the provider to refresh the export")
    assert list(_open(found.rows, date(2026, 11, 19))) == [
        "2026-11 is open (a: the month has not ended).",
        "Forecasts and alerts take days up to 18 November as billed in full.",
    ]
    assert list(_open(found.of("2026-10").rows, date(2026, 11, 19))) == []
