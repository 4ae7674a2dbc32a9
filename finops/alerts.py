"""Alert rules: budgets that are missed, AI spend that nobody owns, committed accelerators that stand idle, usage of
models that no price covers, and prices of model APIs that changed.

Pure functions over frames. The same cause in the same period is the same record: its id is made of rule, kind, scope,
period and currency, so that what people decided about it (acknowledged, resolved) stays with it from run to run.
"""

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

import polars as pl

from finops import schema as s
from finops.errors import CallError
from finops.scope import said

Severity = Literal["breach", "warn", "info"]
State = Literal["open", "acknowledged", "resolved", "cleared"]
"""resolved: a person closed it; cleared: its cause is gone, and it opens again should the cause return."""

BUDGET_VARIANCE: Final = "budget_variance"
UNOWNED_SPEND: Final = "unowned_spend"
IDLE_COMMITMENT: Final = "idle_commitment"
UNPRICED_USAGE: Final = "unpriced_usage"
PRICE_CHANGE: Final = "price_change"
_RANK: Final[dict[str, int]] = {"breach": 0, "warn": 1, "info": 2}
_STATE_RANK: Final[dict[str, int]] = {"open": 0, "acknowledged": 1, "resolved": 2, "cleared": 3}


@dataclass(frozen=True)
class Alert:
    """One thing that needs somebody's attention, in plain words with its money and the next step."""

    rule: str
    kind: str
    severity: Severity
    scope: str
    period: str
    currency: str
    expected: Decimal
    actual: Decimal
    variance_ratio: float | None
    message: str
    next_step: str
    owner: str | None = None

    @property
    def alert_id(self) -> str:
        """Ten hex digits that the same cause in the same period always has."""
        cause = "\n".join((self.rule, self.kind, self.scope, self.period, self.currency))
        return hashlib.sha256(cause.encode()).hexdigest()[:10]


# ------------------------------------------------------------------------------------------------------------- budgets
def variance_ratio(*, budget: Decimal, expected: Decimal) -> Decimal | None:
    """(expected - budget) / budget; None where the budget is 0."""
    return (expected - budget) / budget if budget else None


def budget_verdict(
    *, budget: Decimal, expected: Decimal, closed: bool, warn_ratio: Decimal, breach_ratio: Decimal
) -> str:
    """How a budget fares: breach, warn, under or on_track.

    `breach` or `warn`: expected passes the budget by at least that ratio of it. `under`: a closed period stays below
    the budget by at least breach_ratio. Any spend against a budget of 0 is a breach.
    """
    ratio = variance_ratio(budget=budget, expected=expected)
    if ratio is None:
        return "breach" if expected > 0 else "on_track"
    if ratio >= breach_ratio:
        return "breach"
    if ratio >= warn_ratio:
        return "warn"
    return "under" if closed and ratio <= -breach_ratio else "on_track"


_SEVERITY_OF: Final[dict[str, Severity]] = {"breach": "breach", "warn": "warn", "under": "info"}
_BASIS_WORDS: Final = {
    "actual": "cost {actual}",
    "forecast": "is heading for {landing} by the forecast ({actual} so far)",
    "run_rate": "is heading for {landing} at the rate of the last four weeks ({actual} so far)",
}
_BUDGET_STEPS: Final = {
    "breach": "find what grew with `finops spend --by` or on the Explore page, then cut it or raise the budget",
    "warn": "look at the largest movers now: there is still time to stay within the budget",
    "under": "release the unused part of the budget, or check that the bills of this period are complete",
}


def budget_alerts(status: pl.DataFrame) -> list[Alert]:
    """An alert for each budget that is warned, breached or left unused; `status` as pipeline.budgets makes it."""
    return [_budget_alert(row) for row in status.filter(pl.col("status").is_in(list(_SEVERITY_OF))).to_dicts()]


def _budget_alert(row: dict[str, Any]) -> Alert:
    budget, landing, actual = (row[name] for name in ("budget", "landing", "actual"))
    currency, scope, cost = str(row["currency"]), str(row["scope"]), str(row["cost"])
    status, ratio, missing = str(row["status"]), row["ratio"], row["not_counted"]
    words = _BASIS_WORDS[str(row["basis"])].format(actual=_money(actual, currency), landing=_money(landing, currency))
    what = _scope_words(scope) + ("" if cost == "effective" else f" ({cost} cost)")
    share = "" if ratio is None else f" ({abs(ratio):.1%})"
    difference = f"{_money(abs(landing - budget), currency)}{share} {'over' if landing > budget else 'under'}"
    return Alert(
        rule=BUDGET_VARIANCE, kind=f"{cost}_budget", severity=_SEVERITY_OF[status], scope=scope,
        period=str(row["period"]), currency=currency, expected=budget, actual=landing, variance_ratio=ratio,
        owner=row["owner"],
        message=f"{what}: {row['period']} {words}, {difference} the budget of {_money(budget, currency)}."
        + _odds_words(row)
        + (f" Not counted, for want of a rate: {missing}." if missing else "")
        + (f" Converted at the rate of each day, last {row['converted']}." if row["converted"] else ""),
        next_step=_BUDGET_STEPS[status],
    )  # fmt: skip


def _odds_words(row: Mapping[str, Any]) -> str:
    """How likely an open budget is passed, and when, in a sentence."""
    if row["over_probability"] is None:
        return ""
    day = f", around {row['run_out']}" if row["run_out"] else ""
    return f" The budget is passed with a probability of {_chance(row['over_probability'])}{day}."


def _chance(probability: float) -> str:
    """A probability in words; drawn courses cannot tell certainty from its neighbourhood."""
    return "over 99%" if probability > 0.99 else "under 1%" if probability < 0.01 else f"{probability:.0%}"


# ------------------------------------------------------------------------------------------------- spend without owner
def unowned_alerts(daily: pl.DataFrame, *, months: Set[str], amount: Decimal) -> list[Alert]:
    """AI spend of an account that no team owns, where a month's effective cost is above `amount`.

    daily: rows of spend_daily. months: the billing months (YYYY-MM) of charge dates that are judged.
    """
    place = (s.SERVICE_PROVIDER_NAME, s.SUB_ACCOUNT_ID, s.SUB_ACCOUNT_NAME, s.BILLING_CURRENCY)
    orphans = daily.filter(
        pl.col(s.IS_AI).fill_null(value=False), pl.col(s.TEAM).is_null(), pl.col(s.OWNER_STATUS).eq_missing("none")
    )
    first_seen = {row[:-1]: row[-1] for row in orphans.group_by(place).agg(pl.col(s.CHARGE_DATE).min()).iter_rows()}
    alerts = []
    for *where, month, cost in _monthly(orphans, place, months).filter(pl.col("cost") > amount).iter_rows():
        provider, account, name, currency = where
        since: date = first_seen[tuple(where)]
        account_words = f"account {name or account} of {provider}" if account else str(provider)
        alerts.append(
            Alert(
                rule=UNOWNED_SPEND, kind="ownership", severity="warn", currency=currency, period=month,
                scope=f"provider={provider}" + (f";account={account}" if account else ""),
                expected=amount, actual=cost, variance_ratio=None,
                message=f"{_money(cost, currency)} of AI spend in {month} belongs to no team: {account_words}, "
                f"first seen on {since}.",
                next_step="ask the account's administrator whose it is, then tag it or add a row to the mappings",
            )
        )  # fmt: skip
    return alerts


# -------------------------------------------------------------------------------------------------- idle commitments
def idle_alerts(daily: pl.DataFrame, *, months: Set[str], amount: Decimal) -> list[Alert]:
    """Committed accelerators that were paid for and not used, where a month's effective cost is above `amount`."""
    place = (s.SERVICE_PROVIDER_NAME, s.REGION_ID, s.ACCELERATOR_MODEL, s.BILLING_CURRENCY)
    idle = daily.filter(
        pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Unused",
        pl.col(s.ACCELERATOR_MODEL).is_not_null() | pl.col(s.DRIVER).eq_missing("accelerator"),
    )
    alerts = []
    for provider, region, model, currency, month, cost in _monthly(idle, place, months).iter_rows():
        if cost <= amount:
            continue
        named = {"provider": provider, "region": region, "accelerator": model}
        alerts.append(
            Alert(
                rule=IDLE_COMMITMENT, kind="commitment", severity="warn", currency=currency, period=month,
                scope=";".join(f"{k}={v}" for k, v in named.items() if v), expected=Decimal(0), actual=cost,
                variance_ratio=None,
                message=f"{_money(cost, currency)} was paid in {month} for committed {model or 'accelerators'} at "
                f"{provider}{f' in {region}' if region else ''} that nobody used.",
                next_step="move work onto them, or exchange, sell or let the commitment end",
            )
        )  # fmt: skip
    return alerts


def _monthly(daily: pl.DataFrame, place: tuple[str, ...], months: Set[str]) -> pl.DataFrame:
    """Effective cost by place and calendar month, in a stable order."""
    return (
        daily.group_by(*place, pl.col(s.CHARGE_DATE).dt.strftime("%Y-%m").alias("month"))
        .agg(pl.col(s.EFFECTIVE_COST).sum().alias("cost"))
        .filter(pl.col("month").is_in(list(months)))
        .sort("month", *place)
    )


# --------------------------------------------------------------------------------------------------------- model APIs
def unpriced_alerts(unpriced: pl.DataFrame, *, currency: str) -> list[Alert]:
    """Metered usage of a model and month that no price covers: its money is unknown, so the message counts tokens.

    unpriced: month, source_id, provider, model, reason, tokens, requests. Where two sources metered the same calls, the
    one that counted more is told.
    """
    place = ("month", "provider", "model")
    counts = (
        unpriced.group_by(*place, "source_id")
        .agg(pl.col("tokens", "requests").sum(), pl.col("reason").unique().sort().str.join("; "))
        .sort("tokens", "requests", "source_id", descending=[True, True, False])
        .unique(place, keep="first", maintain_order=True)
        .sort(place, nulls_last=True)
    )
    return [
        Alert(
            rule=UNPRICED_USAGE, kind="unpriced_usage", severity="warn", period=row["month"], currency=currency,
            scope=f"provider={row['provider']}" + (f";model={row['model']}" if row["model"] else ""),
            expected=Decimal(0), actual=Decimal(0), variance_ratio=None,
            message=f"{_counted(row)} of {row['model'] or 'no model'} at {row['provider']} in {row['month']} have no "
            f"price ({row['reason']}).",
            next_step="name a file with its price under prices in finops.toml; `finops tokens unpriced` lists all",
        )
        for row in counts.to_dicts()
    ]  # fmt: skip


def _counted(row: dict[str, Any]) -> str:
    counts = [f"{row[name]:,.0f} {name}" for name in ("tokens", "requests") if row[name]]
    return " in ".join(counts) or "usage"


def price_alerts(changes: pl.DataFrame) -> list[Alert]:
    """A price of a model API that changed, or that is not the price book's, with what that is a year.

    changes: of finops.token_changes. expected and actual: a year's cost at the price before and after. The same change
    in several accounts is one alert; a price that left the book because it changed is told as the change only.
    """
    what = ("source_id", "provider", "model", "kind", "service_tier", "sku", "unit", "currency")
    changed = changes.filter(pl.col("against") == "last month")
    beside = changes.filter(pl.col("against") == "price book").join(
        changed, on=["source_id", "model", "kind"], how="anti", nulls_equal=True
    )
    each = (
        pl.concat([changed, beside])
        .sort(pl.col("yearly_effect").abs(), "account_id", "region", descending=[True, False, False])
        .group_by(*what, "against", pl.col("since").dt.strftime("%Y-%m").alias("month"), maintain_order=True)
        .agg(
            pl.col("before", "after", "ratio").first(), pl.col("since").min(), pl.col("yearly_effect").sum(),
            expected=(pl.col("before") * pl.col("quantity_per_year")).sum(),
            accounts=pl.col("account_id").n_unique(),
        )
    )  # fmt: skip
    return [_price_alert(row) for row in each.to_dicts()]


def _price_alert(row: dict[str, Any]) -> Alert:
    effect, currency = row["yearly_effect"], str(row["currency"])
    what = row["sku"] or f"{row['model']}, {str(row['kind']).replace('_', ' ')}"
    named = {name: row[name] for name in ("source_id", "model", "kind", "service_tier", "sku")}
    accounts = f" in {row['accounts']} accounts" if row["accounts"] > 1 else ""
    change = f"{abs(row['ratio'] - 1):.1%} {'up' if row['ratio'] > 1 else 'down'}"
    than = "" if row["against"] == "last month" else ", and that is not the price book's"
    return Alert(
        rule=PRICE_CHANGE, kind="price_change", severity="warn" if effect > 0 else "info", period=row["month"],
        scope=";".join(f"{'source' if k == 'source_id' else k}={v}" for k, v in named.items() if v), currency=currency,
        expected=row["expected"], actual=row["expected"] + effect, variance_ratio=row["ratio"] - 1,
        message=f"{what} of {row['provider']}{accounts}: {currency} {_unit_price(row['before'])} -> "
        f"{_unit_price(row['after'])} a unit ({row['unit']}), {change}{than}, from {row['since']}; "
        f"{_money(abs(effect), currency)} {'more' if effect > 0 else 'less'} a year at the last month's volume.",
        next_step="check the contract and the provider's notice; then correct the price file, move work to another "
        "model, or plan the budget with it",
    )  # fmt: skip


def _unit_price(price: Decimal) -> str:
    return f"{float(price):.4g}"


# ------------------------------------------------------------------------------------------------------------- records
def merge(
    held: pl.DataFrame,
    raised: Iterable[Alert],
    *,
    judged: Set[str],
    whole: Set[str] = frozenset(),
    now: datetime,
    run_id: str,
) -> pl.DataFrame:
    """The table `alerts` after a run: raised alerts with their kept state, and those whose cause is gone cleared.

    judged: the periods that this run looked at; whole: rules that looked at every period. Other alerts stay as they
    are. An alert opens again when its cause returns after it was cleared, or when it grows graver than what a person
    acknowledged or resolved.
    """
    before = {row["alert_id"]: row for row in held.to_dicts()}
    after = dict(before)
    for alert in raised:
        old = before.get(alert.alert_id)
        row = {**asdict(alert), "alert_id": alert.alert_id}
        after[alert.alert_id] = {**row, **_kept(old, alert, now=now, run_id=run_id, row=row)}
    gone = before.keys() - {alert.alert_id for alert in raised}
    for alert_id in gone:
        old = before[alert_id]
        if (old["period"] in judged or old["rule"] in whole) and old["state"] in ("open", "acknowledged"):
            after[alert_id] = {**old, "state": "cleared", "updated_at": now, "run_id": run_id}
    return sort_records(pl.DataFrame(list(after.values()), schema=s.TABLES["alerts"].columns))


def _kept(
    old: dict[str, object] | None, alert: Alert, *, now: datetime, run_id: str, row: dict[str, object]
) -> dict[str, object]:
    """State and times of a raised alert, given its old record."""
    if old is None:
        return {"state": "open", "first_seen_at": now, "updated_at": now, "run_id": run_id}
    graver = _RANK[alert.severity] < _RANK[str(old["severity"])]
    state = "open" if old["state"] == "cleared" or graver else old["state"]
    same = all(old[name] == value for name, value in row.items()) and state == old["state"]
    touched = {name: old[name] for name in ("updated_at", "run_id")} if same else {"updated_at": now, "run_id": run_id}
    return {"state": state, "first_seen_at": old["first_seen_at"], **touched}


def with_state(held: pl.DataFrame, alert_id: str, state: State, *, now: datetime) -> pl.DataFrame:
    """The table `alerts` with one alert acknowledged or resolved; raises CallError for an id that it does not hold."""
    if alert_id not in held["alert_id"]:
        raise CallError(
            f"no alert {alert_id}", expected="the id of an alert", next_step="list them with `finops alerts list`"
        )
    chosen = pl.col("alert_id") == alert_id
    return held.with_columns(
        state=pl.when(chosen).then(pl.lit(state)).otherwise("state"),
        updated_at=pl.when(chosen).then(pl.lit(now)).otherwise("updated_at").cast(s.TIME),
    )


def sort_records(alerts: pl.DataFrame) -> pl.DataFrame:
    """Alerts as people want them: open ones first, the gravest first, the newest period first, then the largest."""
    return alerts.sort(
        pl.col("state").replace_strict(_STATE_RANK),
        pl.col("severity").replace_strict(_RANK),
        pl.col("period"),
        (pl.col("actual") - pl.col("expected")).abs(),
        pl.col("alert_id"),
        descending=[False, False, True, True, False],
    )


def _scope_words(scope: str) -> str:
    words = said(scope)
    return words[0].upper() + words[1:]


def _money(amount: Decimal, currency: str) -> str:
    return f"{currency} {amount:,.2f}"
