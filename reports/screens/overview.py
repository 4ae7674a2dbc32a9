"""What are we spending on AI? The period in one sentence, its figures, its history, and what moved."""

from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from finops import schema as s
from reports import charts
from reports.screens import parts
from reports.screens import tokens as token_page
from reports.screens.page import Page
from reports.views import movement, standing, tokens
from reports.views.budgets import budgets_of, same_scope
from reports.views.scope import Scope, add_months, word
from reports.views.spend import COST, summed
from reports.views.words import compact, headline, percent, period_name

SPLITS = (s.PURPOSE, s.DRIVER, s.SERVICE_PROVIDER_NAME, s.HOSTING, s.TEAM)
MOVERS = (s.USE_CASE, s.TEAM, s.PURPOSE, s.DRIVER, s.SERVICE_PROVIDER_NAME, s.MODEL_ID, s.SERVICE_NAME)
HISTORY_MONTHS = 18
ALERTS_SHOWN = 4
SHOWN_RATIO = Decimal("0.005")
"""A difference of cost that a headline shows."""
RATES = {
    "cost_per_accelerator_hour": (
        "Per accelerator-hour", "Cost of charges that name accelerators / their accelerator-hours.",
    ),
    tokens.PER_MILLION: (
        "Per million tokens", "Cost of what is counted in tokens / its tokens x 1,000,000; the page Tokens says why.",
    ),
}  # fmt: skip


def render(page: Page) -> None:
    """Draw the page."""
    parts.title("What are we spending on AI?", page)
    scope = page.scope
    spend, gpu, unowned = page.compute(standing.figures, scope, page.currency)
    budgets = budgets_of(page.budgets(), scope, page.currency)
    ours = budgets.filter((pl.col("scope") == same_scope(scope)) & (pl.col("cost") == scope.cost))
    against = _against_budget(ours.row(0, named=True), spend) if len(ours) else None
    drivers = page.compute(movement.movers, scope, s.USE_CASE)
    st.subheader(headline(scope, spend, drivers, kind="use case", against_budget=against), anchor=False)
    _metrics(page, ours, spend, gpu, *_per_million(page), unowned)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _history(page)
    with right:
        split = _movement(page)
    _movers(page, split)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _budgets(page, budgets)
    with right:
        _alerts(page)
    _method(page)


def _per_million(page: Page) -> list[standing.Figure]:
    """What a million tokens cost, as on the page on tokens; nothing where its facts cannot follow the filters."""
    if tokens.unfollowed(page.scope):
        return []
    return [tokens.figures(*token_page.facts(page), page.currency)[2]]


def _metrics(page: Page, budget: pl.DataFrame, *figures: standing.Figure) -> None:
    spend, *rates, unowned = figures
    drawn = [partial(_spend_metric, page, spend)]
    if len(budget):
        drawn.append(partial(_budget_metric, page, budget.row(0, named=True)))
    drawn += [partial(_rate_metric, page, f) for f in rates if f.value is not None]
    drawn.append(partial(_unowned_metric, page, unowned, spend))
    for place, draw in zip(st.columns(len(drawn)), drawn, strict=True):
        with place:
            draw()


def _spend_metric(page: Page, spend: standing.Figure) -> None:
    parts.metric(
        f"Spend, {page.currency}", compact(spend.value), change=spend.change_ratio, note=_was(spend),
        help_text=f"Billed through {page.coverage.through:%-d %B %Y}; {_against(page.scope)}.",
    )  # fmt: skip


def _unowned_metric(page: Page, unowned: standing.Figure, spend: standing.Figure) -> None:
    share = unowned.value / spend.value if unowned.value and spend.value else Decimal(0)
    parts.metric(
        f"Unowned, {page.currency}", compact(unowned.value), change=unowned.change_ratio,
        note=f"{percent(share)} of it", help_text="Spend that no tag, mapping or account gives to a team.",
    )  # fmt: skip


def _against_budget(row: dict[str, Any], spend: standing.Figure) -> str:
    """How the budget fares, with what it compares where that is not the spend in one currency that stands before it."""
    shown = spend.value or Decimal(0)
    others = not row["open"] and abs(row["actual"] - shown) > shown * SHOWN_RATIO
    told = f"{row['standing']} budget"
    return f"with other currencies {compact(row['actual'])} and {told}" if others else told


def _budget_metric(page: Page, row: dict[str, Any]) -> None:
    parts.metric(
        "Against budget", percent(row["ratio"], signed=True),
        note=f"{compact(row['landing'])} of {compact(row['budget'])} {page.currency}",
        judged="bad" if row["ratio"] and row["ratio"] > 0 else "good",
        help_text="What the period comes to, by the newest forecast where it is not over, less the budget.",
    )  # fmt: skip


def _rate_metric(page: Page, figure: standing.Figure) -> None:
    name, made = RATES[figure.name]
    parts.metric(
        name, f"{figure.value:,.2f} {page.currency}", change=figure.change_ratio, note=_was(figure), help_text=made
    )


def _history(page: Page) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown("##### Spend over time")
        split = st.segmented_control(
            "Split by", SPLITS, default=SPLITS[0], format_func=parts.heading, key="overview_split", required=True,
            label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
    scope, last = _history_scope(page), page.coverage.through
    long = (last - (scope.start or last)).days > 92
    step: movement.Step = "month" if long else "week" if (last - (scope.start or last)).days > 35 else "day"
    rows = page.compute(movement.trend, scope, step=step, by=split)
    known = sorted(page.config.events, key=lambda e: e.date)
    events = [e for e in known if (scope.start or e.date) <= e.date <= last]
    assert page.scope.start is not None
    assert page.scope.end is not None
    drawn = charts.spend_over_time(
        rows, page.colours(split), page.look, currency=page.currency, step=step,
        focus=(page.scope.start, page.scope.end), last_day=last,
        notes=[(e.date, str(number)) for number, e in enumerate(events, start=1)],
    )  # fmt: skip
    parts.chart(drawn, key="overview_history", says=f"Spend per {step}, stacked by {word(split)}")
    named = " · ".join(f"**{number}** {e.name}, {e.date:%-d %b %Y}" for number, e in enumerate(events, start=1))
    st.caption(f"Each bar is a {step}; the chosen period stands out. Billed through {last:%-d %B %Y}. " + named)


def _movement(page: Page) -> str:
    st.markdown(f"##### What moved, {_against(page.scope)}")
    by = st.selectbox(
        "What moved, by", MOVERS,
        format_func=parts.heading, key="overview_movers", label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    rows = page.compute(movement.movers, page.scope, by).filter(pl.col(movement.CHANGE) != 0)
    if rows.is_empty():
        st.caption("Nothing moved between the two periods.")
    else:
        drawn = charts.changes(rows, page.look, currency=page.currency)
        parts.chart(drawn, key="overview_changes", says=f"Change of spend by {word(by)}, the largest first")
    return str(by)


def _movers(page: Page, by: str) -> None:
    rows = page.compute(movement.movers, page.scope, by)
    months = page.compute(movement.trend, _history_scope(page), step="month", by=by)
    history = months.group_by(movement.VALUE, maintain_order=True).agg(pl.col(COST).cast(pl.Float64).alias("history"))
    shown = rows.drop("currency").join(history, on=movement.VALUE, how="left", nulls_equal=True)
    named = {movement.VALUE: parts.heading(by), "history": "By month"}
    money = {COST: f"Cost, {page.currency}", "prior": "Before", "change": "Change"}
    st.markdown(f"##### Every {word(by).replace('_', ' ')}")
    parts.table(
        shown, key="overview_table", file=f"movers_by_{word(by)}.csv", names=named | {"change_ratio": "Change, %"},
        money=money, ratios=("change_ratio",), total=("Total", summed(rows), page.currency),
        download=lambda: rows,
        configs={"history": st.column_config.BarChartColumn("By month", y_min=0)},
    )  # fmt: skip


def _alerts(page: Page) -> None:
    st.markdown("##### Needs attention")
    rows = page.compute(standing.open_alerts)
    if rows.is_empty():
        st.caption("No open alerts.")
        return
    for row in rows.head(ALERTS_SHOWN).iter_rows(named=True):
        icon = ":material/error:" if row["severity"] == standing.BREACH else ":material/warning:"
        owner = f" ({row['owner']})" if row["owner"] else ""
        st.markdown(f"{icon} {row['message']}  \n:gray[Next: {row['next_step']}{owner}]".replace("$", "\\$"))
    with st.expander(f"All {len(rows)} open alerts"):
        parts.table(rows, key="overview_alerts", file="open_alerts.csv")


def _budgets(page: Page, rows: pl.DataFrame) -> None:
    st.markdown("##### Budgets")
    if rows.is_empty():
        parts.empty("How each budget fares would be here.", "finops budget import budgets.csv")
        return
    drawn = charts.budget_use(rows.head(8), page.look, currency=page.currency)
    parts.chart(drawn, key="overview_budgets", says="What each budget comes to, with its target as a mark")
    shown = rows.select("scope", "owner", "budget", "actual", "landing", "variance", "standing")
    with st.expander("As a table"):
        parts.table(
            shown, key="overview_budget_table", file="budgets.csv",
            money={"budget": f"Budget, {page.currency}", "actual": "Spent", "landing": "Comes to", "variance": "Over"},
        )  # fmt: skip
    st.caption("Bar: what the budget's months come to. Mark: the budget. Budgets are whole, whatever the filters.")


def _method(page: Page) -> None:
    with st.expander("How these figures are made"):
        st.markdown(
            f"- Cost is the **{page.scope.cost}** cost of FOCUS, of charges whose ledger role is *billed*: a dollar is "
            "counted once, however many tools report it.\n"
            f"- The period before is {_before(page.scope)}: whole months against whole months, a month so far "
            "against the same days of the month before.\n"
            "- A charge that spans several days is spread evenly over them; a one-time purchase stays on its day.\n"
            "- Spend *without an owner* has no tag, mapping or account that names a team."
        )


def _history_scope(page: Page) -> Scope:
    """Up to 18 months that end with the data, and hold the chosen period."""
    start = add_months(page.coverage.last, 1 - HISTORY_MONTHS)
    chosen = page.scope.start or start
    return page.scope.between(max(min(start, chosen), page.coverage.first), page.coverage.last)


def _against(scope: Scope) -> str:
    return f"against {_before(scope)}"


def _was(figure: standing.Figure) -> str:
    return "" if figure.prior is None else f"was {compact(figure.prior)}"


def _before(scope: Scope) -> str:
    before = scope.prior()
    return period_name(_known(before.start), _known(before.end))


def _known(day: date | None) -> date:
    assert day is not None, "the filters always name both days"
    return day
