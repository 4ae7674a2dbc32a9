"""Anomalies as people read them: which of them the filters mean, what each is, and its days beside what was usual."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import polars as pl

from finops import schema as s
from finops.freshness import billed_to, running
from finops.scope import NONE, parse_scope
from finops.store import Lake
from forecasting.incidents import usual_week
from reports.views.movement import START
from reports.views.scope import Scope
from reports.views.spend import COST, daily
from reports.views.words import compact, period_name

BEFORE_DAYS, AFTER_DAYS = 56, 28
"""So many days around an anomaly are shown with it."""
USUAL_DAYS: Final = 28
EXPECTED: Final = "expected"
KINDS: Final = {
    "spike": "spike", "step": "step up", "drop": "drop", "drift": "slow rise", "new": "new spend",
    "ended": "spend that ended",
}  # fmt: skip
"""Each kind as the page says it."""
SAME: Final = ("new", "ended")
"""Causes that say no more than their kind."""
_CACHE: Final = {"Uncached": "uncached input", "Read": "input read from the cache", "Write": "cache writes"}
_FIRST: Final = ("use_case", "team", "account", "service", "model", "accelerator")
"""The words that people look for, in this order; the others follow."""


def anomalies_of(lake: Lake, scope: Scope, currency: str) -> pl.DataFrame:
    """The anomalies of one currency with charges within the filters, on days of both; the most money first.

    Columns of the table `anomalies`; its money is of the whole anomaly, at effective cost, whatever the filters leave.
    """
    held = lake.scan("anomalies").filter(pl.col("currency") == currency).collect()
    if held.is_empty():
        return held
    rows = _usage(scope.between(None, scope.end).filter(daily(lake)), currency).collect()
    meant = [_is_meant(row, rows, scope) for row in held.to_dicts()]
    kept = held.filter(pl.Series(meant, dtype=pl.Boolean))
    return kept.sort(pl.col("excess"), "anomaly_id", descending=[True, False])


def _is_meant(row: dict[str, Any], rows: pl.DataFrame, scope: Scope) -> bool:
    """Whether charges of an anomaly are among the filters' rows, on a day of the period; or were, where it is gone."""
    first = max(row["first_day"], scope.start or row["first_day"])
    last = min(row["last_day"], scope.end or row["last_day"])
    if first > last:
        return False
    if not row["actual"]:
        first, last = row["first_day"] - timedelta(days=USUAL_DAYS), row["first_day"]
    day = pl.col(s.CHARGE_DATE).is_between(first, last)
    return not rows.filter(parse_scope(row["scope"]).holds(), day).is_empty()


def said_of(lake: Lake, anomaly_id: str) -> dict[str, Any] | None:
    """What a person said of an anomaly: a row of the table `feedback`, or None."""
    rows = lake.scan("feedback").filter(pl.col("about") == "anomaly", pl.col("id") == anomaly_id).collect()
    return None if rows.is_empty() else rows.row(0, named=True)


def days(lake: Lake, row: dict[str, Any]) -> pl.DataFrame:
    """The daily cost of an anomaly's whole scope, from weeks before it to weeks after it: start, cost, expected.

    row: of the table `anomalies`. expected: on the days of the anomaly, the median of the last four same weekdays
    before the day that told it, as the anomaly's money has it. Days that are not billed in full are left out.
    """
    first, told, last = row["first_day"], row["told_on"], row["last_day"]
    whole = _usage(daily(lake), row["currency"]).filter(parse_scope(row["scope"]).holds())
    sums = whole.group_by(pl.col(s.CHARGE_DATE).alias(START)).agg(pl.col(s.EFFECTIVE_COST).sum().alias(COST)).collect()
    sources = whole.select(s.SOURCE_ID).unique().collect()[s.SOURCE_ID]
    ends = running(billed_to(daily(lake)))
    end = min([last + timedelta(days=AFTER_DAYS), *(ends[name] for name in sources if name in ends)])
    begin = min(first, told - timedelta(days=USUAL_DAYS)) - timedelta(days=BEFORE_DAYS - USUAL_DAYS)
    begin = max(begin, daily(lake).select(pl.col(s.CHARGE_DATE).min()).collect().item())
    span = pl.DataFrame({START: pl.date_range(begin, max(end, last), eager=True)})
    filled = span.join(sums, on=START, how="left").with_columns(pl.col(COST).fill_null(0).cast(s.MONEY))
    usual = usual_week(
        filled[COST].cast(pl.Float64).to_numpy(), filled[START].to_numpy().astype("datetime64[D]"), (told - begin).days
    )
    weekday = filled[START].dt.weekday().to_numpy() - 1
    within = pl.col(START).is_between(first, last)
    return filled.with_columns(pl.when(within).then(pl.Series(np.asarray(usual)[weekday])).alias(EXPECTED))


def charges_of(row: dict[str, Any]) -> Scope:
    """The charges of an anomaly: of its scope, in its window; of spend that is gone, in the weeks before it."""
    terms = {
        s.SHORT_NAMES[name]: (None if value == NONE else value,) for name, value in parse_scope(row["scope"]).terms
    }
    where = {**terms, s.CHARGE_CATEGORY: ("Usage",), s.BILLING_CURRENCY: (row["currency"],)}
    if row["actual"]:
        return Scope(where, row["first_day"], row["last_day"])
    return Scope(where, row["first_day"] - timedelta(days=USUAL_DAYS), row["first_day"] - timedelta(days=1))


def named(scope: str) -> str:
    """A scope as people say it: use case support-chat, model gpt-5.4-mini, uncached input."""
    terms = dict(parse_scope(scope).terms)
    words = []
    if terms.get("commitment_status") == "Unused":
        words.append("unused commitment")
        terms.pop("commitment_status")
    direction, cache = terms.pop("direction", None), terms.pop("cache", None)
    for name in (*(n for n in _FIRST if n in terms), *(n for n in terms if n not in _FIRST)):
        plain = name.replace("_", " ")
        words.append(f"no {plain}" if terms[name] == NONE else f"{plain} {terms[name].replace('_', ' ')}")
    if direction is not None:
        words.append(_CACHE.get(cache or "", f"{direction.lower()} tokens"))
    return ", ".join(words) or "all spend"


def headline(rows: pl.DataFrame, scope: Scope) -> str:
    """How many anomalies are open, what they cost beside what was usual, and the one with the most money.

    rows: of anomalies_of.
    """
    opened = rows.filter(pl.col("state") == "open")
    assert scope.start is not None
    assert scope.end is not None
    when = period_name(scope.start, scope.end)
    if opened.is_empty():
        return f"{when}: nothing unusual is open."
    rose, fell = sums(opened)
    currency = opened["currency"][0]
    much = [f"{compact(rose)} {currency} more than usual"] if rose else []
    much += [f"{compact(-fell)} {currency} less{'' if rose else ' than usual'}"] if fell else []
    one = len(opened) == 1
    count = (
        "1 anomaly is open; since it began it" if one else f"{len(opened)} anomalies are open; since they began they"
    )
    top = opened.sort(pl.col("excess").abs(), descending=True).row(0, named=True)
    own = "it is" if one else f"the largest, {compact(abs(top['excess']))}, is"
    what = named(top["scope"])
    why = "" if top["cause"] in (*what.split(", "), *SAME) else f", {top['cause']}"
    return f"{when}: {count} cost {' and '.join(much)}; {own} {what}{why}, {since(top)}."


def sums(rows: pl.DataFrame) -> tuple[Decimal, Decimal]:
    """What anomalies cost above what was usual, and (negative) below."""
    excess = pl.col("excess")
    rose, fell = rows.select(excess.filter(excess > 0).sum().alias("rose"), excess.filter(excess < 0).sum()).row(0)
    return rose, fell


def going_on(rows: pl.DataFrame) -> tuple[int, Decimal]:
    """How many anomalies go on, and what they cost a day above what was usual: a mean since each began."""
    going = rows.filter("ongoing")
    lasted = (pl.col("last_day") - pl.col("first_day")).dt.total_days() + 1
    return len(going), going.select((pl.col("excess") / lasted).sum().cast(s.MONEY)).item()


def since(row: dict[str, Any]) -> str:
    """The window of an anomaly: since 6 September 2026, from 13 to 15 September 2026."""
    first, last = row["first_day"], row["last_day"]
    if row["ongoing"]:
        return f"since {first:%-d %B %Y}"
    if first == last:
        return f"on {first:%-d %B %Y}"
    same = (first.year, first.month) == (last.year, last.month)
    return f"from {first:%-d}{'' if same else f'{first: %B}'} to {last:%-d %B %Y}"


def kind_and_cause(kind: str, cause: str) -> str:
    """What an anomaly is: step up, more tokens."""
    return KINDS[kind] if cause in SAME else f"{KINDS[kind]}, {cause}"


def table(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of anomalies_of for a table: what, excess, kind, state, first_day, last_day, first_seen, next_step."""
    kind = pl.Series([kind_and_cause(kind, cause) for kind, cause in rows.select("kind", "cause").iter_rows()])
    state = (
        pl.when(pl.col("state") == "known").then(pl.format("explained: {}", pl.col("known").fill_null(pl.col("cause"))))
        .when(pl.col("state") == "expected").then(pl.lit("expected"))
        .when(pl.col("ongoing")).then(pl.lit("open, goes on"))
        .otherwise(pl.lit("open, over"))
    )  # fmt: skip
    return rows.select(
        pl.col("scope").map_elements(lambda scope: _sentence(named(scope)), return_dtype=pl.String).alias("what"),
        "excess", pl.lit(kind).alias("kind"), state.alias("state"), "first_day", "last_day",
        pl.col("first_seen_at").dt.date().alias("first_seen"),
        pl.col("next_step").map_elements(_sentence, return_dtype=pl.String),
    )  # fmt: skip


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _usage(rows: pl.LazyFrame, currency: str) -> pl.LazyFrame:
    """Billed usage of one currency: what anomalies are looked for in."""
    return rows.filter(
        pl.col(s.LEDGER_ROLE) == s.BILLED, pl.col(s.CHARGE_CATEGORY) == "Usage", pl.col(s.BILLING_CURRENCY) == currency
    )
