"""Alert rules say what is wrong in words, keep their ids, and keep what people decided."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from finops import alerts
from finops import schema as s
from finops.alerts import Alert
from finops.errors import CallError

WARN, BREACH = Decimal("0.05"), Decimal("0.10")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
NONE = pl.DataFrame(schema=s.TABLES["alerts"].columns)


def status(**changed: object) -> pl.DataFrame:
    row = {
        "scope": "team=Support", "owner": "Ana", "currency": "USD", "period": "2026-10", "budget": Decimal(1000),
        "actual": Decimal(900), "landing": Decimal(1200), "ratio": 0.2, "status": "breach", "basis": "forecast",
        "cost": "effective", "not_counted": None, "converted": None, "over_probability": None, "run_out": None,
    }  # fmt: skip
    return pl.DataFrame([{**row, **changed}])


def daily(**changed: object) -> pl.DataFrame:
    row = {
        s.CHARGE_DATE: date(2026, 10, 5), s.SERVICE_PROVIDER_NAME: "AWS", s.SUB_ACCOUNT_ID: "123",
        s.SUB_ACCOUNT_NAME: "lab", s.REGION_ID: "eu-west-1", s.IS_AI: True, s.TEAM: None, s.OWNER_STATUS: "none",
        s.COMMITMENT_DISCOUNT_STATUS: None, s.ACCELERATOR_MODEL: "H100-80GB", s.DRIVER: "accelerator",
        s.BILLING_CURRENCY: "USD", s.EFFECTIVE_COST: Decimal(1500),
    }  # fmt: skip
    kinds = {name: s.DAILY_DIMENSIONS.get(name, s.MONEY) for name in row}
    return pl.DataFrame([{**row, **changed}], schema=kinds)


def raised() -> Alert:
    return alerts.budget_alerts(status())[0]


def merged(
    held: pl.DataFrame, *found: Alert, days: int = 1, judged: frozenset[str] = frozenset({"2026-10"})
) -> pl.DataFrame:
    return alerts.merge(held, found, judged=judged, now=NOW + timedelta(days=days), run_id=f"run{days}")


@pytest.mark.parametrize(
    ("budget", "expected", "closed", "verdict"),
    [
        (100, "104.99", True, "on_track"), (100, 105, True, "warn"), (100, "109.99", False, "warn"),
        (100, 110, False, "breach"), (100, 90, True, "under"), (100, 90, False, "on_track"),
        (100, "90.01", True, "on_track"),
        (0, 0, True, "on_track"), (0, 1, True, "breach"),
    ],
)  # fmt: skip
def test_budget_is_judged_at_its_thresholds(budget: int, expected: str | int, closed: bool, verdict: str) -> None:
    """A budget warns from 5 %, breaches from 10 %, and only a closed period can be under it."""
    found = alerts.budget_verdict(
        budget=Decimal(budget), expected=Decimal(expected), closed=closed, warn_ratio=WARN, breach_ratio=BREACH
    )
    assert found == verdict


def test_budget_alert_says_money_scope_and_next_step() -> None:
    """A breach names scope, period, landing and its basis, difference, budget, owner and what to do."""
    alert = raised()
    assert alert.message == (
        "Team Support: 2026-10 is heading for USD 1,200.00 by the forecast (USD 900.00 so far), "
        "USD 200.00 (20.0%) over the budget of USD 1,000.00."
    )
    assert (alert.severity, alert.owner, alert.variance_ratio) == ("breach", "Ana", 0.2)
    assert "Explore" in alert.next_step
    closed = alerts.budget_alerts(
        status(scope="all", status="under", basis="actual", actual=Decimal(800), landing=Decimal(800), ratio=-0.2)
    )[0]
    assert closed.message == "All spend: 2026-10 cost USD 800.00, USD 200.00 (20.0%) under the budget of USD 1,000.00."
    billed = alerts.budget_alerts(status(cost="billed", not_counted="CHF 7.00"))[0]
    assert billed.message.startswith("Team Support (billed cost): 2026-10 is heading for")
    assert billed.message.endswith("budget of USD 1,000.00. Not counted, for want of a rate: CHF 7.00.")
    assert billed.alert_id != alert.alert_id
    converted = alerts.budget_alerts(status(converted="EUR at 1.16 of 2026-10-30 (ECB)"))[0]
    assert converted.message.endswith(" Converted at the rate of each day, last EUR at 1.16 of 2026-10-30 (ECB).")
    assert alerts.budget_alerts(status(status="on_track")) == alerts.budget_alerts(status(status="planned")) == []


def test_budget_alert_says_how_likely_and_when_the_budget_is_passed() -> None:
    """The probability and the day follow the money; what drawn courses cannot tell from certain is said so."""
    sure = alerts.budget_alerts(status(over_probability=1.0, run_out=date(2026, 10, 24)))[0]
    assert sure.message.endswith(" The budget is passed with a probability of over 99%, around 2026-10-24.")
    even = alerts.budget_alerts(status(over_probability=0.46))[0]
    assert even.message.endswith(" The budget is passed with a probability of 46%.")


def test_unowned_spend_is_told_with_its_account_and_first_day() -> None:
    """AI spend without team above the amount is an alert; owned, small, older or other spend is none."""
    rows = pl.concat([daily(), daily(**{s.CHARGE_DATE: date(2026, 9, 3), s.EFFECTIVE_COST: Decimal(1)})])
    found = alerts.unowned_alerts(rows, months={"2026-10"}, amount=Decimal(1000))
    assert [a.message for a in found] == [
        "USD 1,500.00 of AI spend in 2026-10 belongs to no team: account lab of AWS, first seen on 2026-09-03."
    ]
    assert found[0].scope == "provider=AWS;account=123"
    for changed in (
        {s.TEAM: "Search"},
        {s.OWNER_STATUS: "inferred"},
        {s.IS_AI: False},
        {s.EFFECTIVE_COST: Decimal(1000)},
    ):
        assert alerts.unowned_alerts(daily(**changed), months={"2026-10"}, amount=Decimal(1000)) == []
    assert alerts.unowned_alerts(daily(), months={"2026-11"}, amount=Decimal(1000)) == []


def test_idle_commitment_is_told_with_what_it_cost() -> None:
    """Unused committed accelerators above the amount are an alert; used ones are none."""
    found = alerts.idle_alerts(
        daily(**{s.COMMITMENT_DISCOUNT_STATUS: "Unused"}), months={"2026-10"}, amount=Decimal(1000)
    )
    assert found[0].message == (
        "USD 1,500.00 was paid in 2026-10 for committed H100-80GB at AWS in eu-west-1 that nobody used."
    )
    used = daily(**{s.COMMITMENT_DISCOUNT_STATUS: "Used"})
    assert alerts.idle_alerts(used, months={"2026-10"}, amount=Decimal(1000)) == []


def test_same_cause_is_the_same_record() -> None:
    """A cause that is found again keeps its id, its first time and, when nothing changed, its whole record."""
    first = merged(NONE, raised())
    again = merged(first, raised(), days=2)
    assert again.equals(first)
    grown = merged(first, alerts.budget_alerts(status(landing=Decimal(1300)))[0], days=2)
    assert (grown["alert_id"].to_list(), grown["first_seen_at"].to_list()) == (
        first["alert_id"].to_list(), first["first_seen_at"].to_list(),
    )  # fmt: skip
    assert grown["updated_at"][0] == NOW + timedelta(days=2)


@pytest.mark.parametrize("state", ["acknowledged", "resolved"])
def test_decision_of_a_person_stays(state: alerts.State) -> None:
    """What a person acknowledged or resolved stays so on later runs, until the cause grows graver."""
    mild = alerts.budget_alerts(status(status="warn", ratio=0.06))[0]
    decided = alerts.with_state(merged(NONE, mild), mild.alert_id, state, now=NOW)
    assert merged(decided, mild, days=3)["state"].to_list() == [state]
    assert merged(decided, raised(), days=3)["state"].to_list() == ["open"]


def test_cause_that_is_gone_is_cleared_and_can_return() -> None:
    """An alert whose cause is gone is cleared, in judged periods only, and opens again when the cause returns."""
    first = merged(NONE, raised())
    assert merged(first, judged=frozenset({"2026-11"}))["state"].to_list() == ["open"]
    cleared = merged(first, days=2)
    assert cleared["state"].to_list() == ["cleared"]
    assert merged(cleared, raised(), days=3)["state"].to_list() == ["open"]


def test_unknown_alert_cannot_be_changed() -> None:
    """Acknowledging an id that is not there raises."""
    with pytest.raises(CallError, match="no alert abc"):
        alerts.with_state(NONE, "abc", "resolved", now=NOW)


def test_open_and_grave_alerts_come_first() -> None:
    """Records are listed open before decided, breach before warning, new before old."""
    rows = [
        alerts.budget_alerts(status(scope=f"team={name}", status=verdict, period=period))[0]
        for name, verdict, period in (("A", "warn", "2026-10"), ("B", "breach", "2026-09"), ("C", "breach", "2026-10"))
    ]
    assert merged(NONE, *rows)["scope"].to_list() == ["team=C", "team=B", "team=A"]


# --------------------------------------------------------------------------------------------------------- model APIs
def unpriced(*rows: dict[str, object]) -> pl.DataFrame:
    row = {
        "month": "2026-10", "source_id": "openai", "provider": "openai", "model": "gpt-new", "reason": "unknown model",
        "tokens": Decimal(1_000_000), "requests": Decimal(20),
    }  # fmt: skip
    return pl.DataFrame([row | changed for changed in rows or ({},)])


def test_usage_without_a_price_is_told_with_its_tokens_and_no_money() -> None:
    """Its cost is unknown, so none is named; the id does not change with the count."""
    (alert,) = alerts.unpriced_alerts(unpriced(), currency="USD")
    assert (
        alert.message
        == "1,000,000 tokens in 20 requests of gpt-new at openai in 2026-10 have no price (unknown model)."
    )
    assert (alert.kind, alert.severity, alert.expected, alert.actual) == ("unpriced_usage", "warn", 0, 0)
    (later,) = alerts.unpriced_alerts(unpriced({"tokens": Decimal(5), "requests": None}), currency="USD")
    assert later.message.startswith("5 tokens of gpt-new")
    assert later.alert_id == alert.alert_id


def test_calls_that_a_gateway_metered_too_are_told_once() -> None:
    """The provider and a gateway in front of it count the same tokens; they are not added."""
    (alert,) = alerts.unpriced_alerts(unpriced({}, {"source_id": "litellm", "tokens": Decimal(900)}), currency="USD")
    assert alert.message.startswith("1,000,000 tokens")


def changes(*rows: dict[str, object]) -> pl.DataFrame:
    row = {
        "source_id": "azure", "provider": "Microsoft", "account_id": "a", "region": "eu", "model": "gpt-4.1",
        "kind": "uncached_input", "service_tier": "standard", "sku": "gpt 4.1 Inp", "unit": "1K", "currency": "USD",
        "since": date(2026, 9, 1), "before": Decimal("0.002"), "after": Decimal("0.0025"), "ratio": 1.25,
        "quantity_per_year": Decimal(1_000_000), "yearly_effect": Decimal(500), "against": "last month",
    }  # fmt: skip
    return pl.DataFrame([row | changed for changed in rows or ({},)])


def test_a_price_change_says_what_it_is_a_year() -> None:
    """Before, after and the yearly effect; a rise warns, a fall is news."""
    (rise,) = alerts.price_alerts(changes())
    assert rise.message == (
        "gpt 4.1 Inp of Microsoft: USD 0.002 -> 0.0025 a unit (1K), 25.0% up, from 2026-09-01; USD 500.00 more a year "
        "at the last month's volume."
    )
    assert (rise.severity, rise.period, rise.expected, rise.actual) == ("warn", "2026-09", 2000, 2500)
    (fall,) = alerts.price_alerts(changes({"yearly_effect": Decimal(-500), "ratio": 0.8}))
    assert (fall.severity, "20.0% down" in fall.message, "500.00 less a year" in fall.message) == ("info", True, True)
    assert fall.alert_id == rise.alert_id


def test_one_change_in_two_accounts_is_one_alert() -> None:
    """Their yearly effects are added."""
    (alert,) = alerts.price_alerts(changes({}, {"account_id": "b", "yearly_effect": Decimal(70)}))
    assert "in 2 accounts" in alert.message
    assert "USD 570.00 more" in alert.message


def test_a_price_that_left_the_book_is_told_once() -> None:
    """As the change that it is, where there is one; else as a price beside the book."""
    beside = {"against": "price book", "sku": None}
    assert len(alerts.price_alerts(changes({}, beside))) == 1
    (alert,) = alerts.price_alerts(changes(beside))
    assert "gpt-4.1, uncached input of Microsoft" in alert.message
    assert "not the price book's" in alert.message


def test_a_price_that_is_back_clears_its_alert_whatever_its_month() -> None:
    """The rule looks at all months, so an old alert does not stay open when its cause is gone."""
    held = alerts.merge(NONE, alerts.price_alerts(changes()), judged=set(), now=NOW, run_id="run1")
    after = alerts.merge(held, [], judged={"2026-11"}, whole={alerts.PRICE_CHANGE}, now=NOW, run_id="run2")
    assert after["state"].to_list() == ["cleared"]
    assert alerts.merge(held, [], judged={"2026-11"}, now=NOW, run_id="run2")["state"].to_list() == ["open"]
