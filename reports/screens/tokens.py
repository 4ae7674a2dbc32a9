"""What do our tokens cost, and why did it change? Price, volume, model mix and cache, down to days and keys."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

import polars as pl
import streamlit as st

from finops import schema as s
from finops.config import Config
from finops.pipeline import tokens as pipeline
from finops.store import Lake
from finops.token_factors import NOT_METERED
from reports import charts
from reports.screens import filters, parts, token_prices
from reports.screens.page import Page
from reports.theme import Look, colours, label
from reports.views import tokens
from reports.views.movement import CHANGE, PRIOR, VALUE
from reports.views.scope import Scope, add_months, column
from reports.views.spend import COST, summed
from reports.views.standing import Figure
from reports.views.tokens import CACHED, PARTS, PER_MILLION, REQUESTS, TOKENS, TOP_MODEL
from reports.views.words import compact, percent, period_name

QUESTION: Final = "What do our tokens cost, and why did it change?"
BY, SHOWN, OPEN, GROUP = "tokens_by", "tokens_shown", "tokens_open", "tokens_group"
FIGURES, WHY = "Figures", "Why it changed"
HISTORY_MONTHS: Final = 18
ROWS_OFFERED: Final = 200
HISTORY: Final = "history"

Group = tuple[str, str | None]
"""A row of the table by what it stands for: the column and its value."""


def render(page: Page) -> None:
    """Draw the page."""
    parts.title(QUESTION, page)
    months = page.compute(_months, page.config, _history_start(page), page.coverage.last)
    if months.is_empty():
        parts.empty(
            "What each team, use case and key pays for tokens, and why it changed, would be here.", "finops ingest",
            why="Tokens come with a source of the connector `openai`, `anthropic`, `litellm` or `usage_csv` in "
            "finops.toml, and with cloud bills that hold model APIs.",
        )  # fmt: skip
        return
    now, prior = facts(page)
    if unfollowed := tokens.unfollowed(page.scope):
        st.caption(f"Tokens know nothing of: {', '.join(unfollowed)}. Here that is left out, and cost is effective.")
    if now.is_empty() and prior.is_empty():
        st.info("No spend on model APIs matches these filters. Take a chip off, or widen the period.")
        return
    history = tokens.narrowed(months, page.scope.between(None, None))
    tints = colours(s.MODEL_ID, tokens.models(months), page.look)
    whole = tokens.changed(now, prior)
    figures = tokens.figures(now, prior, page.currency)
    cost, volume, _, _ = figures
    said = tokens.sentence(page.scope, cost, volume, tokens.changed(now, prior, "use_case"), whole)
    st.subheader(said, anchor=False)
    unpriced, unpriced_before = (
        page.compute(token_prices.unpriced, page.config, *_days(scope)) for scope in (page.scope, page.scope.prior())
    )
    _metrics(page, *figures, unpriced, summed(unpriced_before, TOKENS))
    left, right = st.columns([3, 2], gap="large")
    with left:
        _bridge(page, cost, whole)
    with right:
        _mix(history, tints, page.look)
    _panels(page, history)
    _table(page, now, prior, history)
    if GROUP in st.session_state:
        _detail(page, st.session_state[GROUP], now, prior, tints)
    token_prices.draw_unpriced(unpriced)
    token_prices.draw_price_changes(page)
    token_prices.draw_tie_out(page)
    _method(page)


# --------------------------------------------------------------------------------------------------------------- data
def facts(page: Page) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The facts of the period and of the one before that the filters mean."""
    (first, _), (_, last) = _days(page.scope.prior()), _days(page.scope)
    found = page.compute(_facts_between, page.config, first, last)
    return tokens.narrowed(found, page.scope), tokens.narrowed(found, page.scope.prior())


def _facts_between(lake: Lake, config: Config, first: date, last: date) -> pl.DataFrame:
    return pipeline.facts(config, lake, start=first, end=last + timedelta(days=1))


def _months(lake: Lake, config: Config, first: date, last: date) -> pl.DataFrame:
    """Facts by month; a quarter at a time, so that no more than one quarter's days are held."""
    start, found = first, []
    while start <= last:
        end = add_months(start, 3)
        found.append(tokens.monthly(pipeline.facts(config, lake, start=start, end=end)))
        start = end
    return pl.concat(found)


def _history_start(page: Page) -> date:
    """The first of the month from which history is shown: 18 months that end with the data, or all of the period."""
    first, _ = _days(page.scope)
    return min(add_months(page.coverage.last, 1 - HISTORY_MONTHS), first.replace(day=1))


def _days(scope: Scope) -> tuple[date, date]:
    assert scope.start is not None, "the filters always name both days"
    assert scope.end is not None
    return scope.start, scope.end


# ------------------------------------------------------------------------------------------------------------ figures
def _metrics(
    page: Page, cost: Figure, volume: Figure, per_million: Figure, cached: Figure, unpriced: pl.DataFrame,
    unpriced_before: Decimal,
) -> None:  # fmt: skip
    places = st.columns(5)
    with places[0]:
        parts.metric(
            f"Token cost, {page.currency}", compact(cost.value), change=cost.change_ratio, note=_was(cost),
            help_text=f"Effective cost of model APIs, billed through {page.coverage.through:%-d %B %Y}.",
        )  # fmt: skip
    with places[1]:
        parts.metric(
            "Tokens", compact(volume.value), change=volume.change_ratio, note=_was(volume), neutral=True,
            help_text="Input, cached and output tokens, as the provider or a gateway counted them.",
        )  # fmt: skip
    with places[2]:
        parts.metric(
            f"Per million, {page.currency}", compact(per_million.value), change=per_million.change_ratio,
            note=_was(per_million), help_text="Per million tokens: cost of what is counted in tokens / its tokens "
            "x 1,000,000. It also rises when dear use cases grow.",
        )  # fmt: skip
    with places[3]:
        parts.metric(
            "Input read from cache", percent(cached.value), judged=_judged(cached),
            note="" if cached.prior is None else f"was {percent(cached.prior)}",
            help_text="Cache-read tokens / all input tokens. A read costs a fraction of new input.",
        )  # fmt: skip
    with places[4]:
        missing, count = summed(unpriced, TOKENS), unpriced.filter(pl.col(TOKENS) > 0)["model"].n_unique()
        was = compact(unpriced_before) if unpriced_before else "none"
        parts.metric(
            "Unpriced tokens", compact(missing) if missing else "none", judged="bad" if missing else "good",
            note=f"{count} model{'' if count == 1 else 's'}, was {was}",
            help_text="Metered tokens without a price in the book, whatever the filters. Their cost is on the bill; "
            "the list below says why and what to do.",
        )  # fmt: skip


def _judged(figure: Figure) -> Any:
    change = figure.change_ratio
    return None if change is None else "good" if change >= 0 else "bad"


def _was(figure: Figure) -> str:
    return f"was {compact(figure.prior)}" if figure.prior else ""


# ------------------------------------------------------------------------------------------------------------- charts
def _bridge(page: Page, cost: Figure, whole: pl.DataFrame) -> None:
    before, now = (_month_words(scope) for scope in (page.scope.prior(), page.scope))
    st.markdown("##### What moved the cost")
    if not cost.prior:
        st.caption(f"There is no token cost in {before} to compare with.")
        return
    effects = [(PARTS[name], summed(whole, name)) for name in PARTS]
    moves = [(name, amount) for name, amount in effects if amount or name != PARTS[NOT_METERED]]
    steps = [(before, cost.prior), *moves, (now, cost.value or Decimal(0))]
    drawn = charts.bridge(steps, page.look, currency=page.currency)
    said = ", ".join(f"{name} {compact(amount, signed=True)}" for name, amount in moves)
    parts.chart(drawn, key="tokens_bridge", says=f"From {compact(cost.prior)} to {compact(cost.value)}: {said}")
    st.caption(
        "Volume: more or fewer tokens of each use case, at its own price; growth of a dear one raises the price per "
        "million without any price change. Model mix: dearer or cheaper models. Cache and output: how much of a "
        "model's tokens is read from the cache, and how much is output. Price: another price for the same token. Not "
        "metered: cost that comes without tokens."
    )


def _mix(history: pl.DataFrame, tints: Mapping[str, str], look: Look) -> None:
    st.markdown("##### Which models the money goes to")
    rows = tokens.mix(history)
    if rows.is_empty():
        st.caption("Nothing but credits in this history.")
        return
    drawn = charts.mix_over_time(rows, tints, look, what="cost")
    parts.chart(drawn, key="tokens_mix", says="Share of each model in the cost of each month")


def _panels(page: Page, history: pl.DataFrame) -> None:
    rows = tokens.history(history)
    shown: tuple[tuple[str, str, charts.Unit], ...] = (
        (COST, f"Cost by month, {page.currency}", "amount"),
        (PER_MILLION, f"{page.currency} per million tokens", "rate"), (CACHED, "Input read from the cache", "ratio"),
    )  # fmt: skip
    for place, (name, title, unit) in zip(st.columns(3, gap="large"), shown, strict=True):
        with place:
            st.markdown(f"###### {title}")
            if rows[name].is_null().all():
                st.caption("Nothing in this history tells it.")
                continue
            drawn = charts.panel(rows, name, page.look, unit=unit, last_day=page.coverage.through)
            parts.chart(drawn, key=f"tokens_{name}", says=f"{title}, by month")


# -------------------------------------------------------------------------------------------------------------- table
def _table(page: Page, now: pl.DataFrame, prior: pl.DataFrame, history: pl.DataFrame) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown("##### Who pays for them")
        by: str = st.segmented_control(
            "Tokens by", tokens.GROUPS, default=tokens.GROUPS[0], format_func=parts.heading, key=BY, required=True,
            label_visibility="collapsed", persist_state="session", on_change=close,
        )  # fmt: skip
        shown: str = st.segmented_control(
            "Columns", (FIGURES, WHY), default=FIGURES, key=SHOWN, required=True, label_visibility="collapsed",
            persist_state="session", on_change=close,
        )  # fmt: skip
    rows = tokens.table(now, prior, by)
    months = tokens.months_by(history, by).group_by(VALUE, maintain_order=True)
    bars = months.agg(pl.col(COST).cast(pl.Float64).alias(HISTORY))
    drawn = rows.join(bars, on=VALUE, how="left", nulls_equal=True, maintain_order="left")
    groups: list[Group] = [(by, value) for value in rows[VALUE]]
    total = summed(rows)
    if shown == FIGURES:
        columns: tuple[str, ...] = (VALUE, COST, TOKENS, PER_MILLION, CACHED, TOP_MODEL, CHANGE, HISTORY)
        left_out = {TOP_MODEL} if by == "model" else set()
        left_out |= {CHANGE} if prior.is_empty() else set()
        columns = tuple(c for c in columns if c not in left_out)
        money = {COST: f"Cost, {page.currency}", PER_MILLION: "Per million", CHANGE: "Change"}
    else:
        causes = {n: text for n, text in PARTS.items() if n != NOT_METERED or (rows[n] != 0).any()}
        columns = (VALUE, PRIOR, *causes, COST)
        before, now_said = _month_words(page.scope.prior()), _month_words(page.scope)
        money = {PRIOR: f"{before}, {page.currency}", **causes, COST: now_said}
    key = f"tokens_table_{by}_{shown}"
    parts.table(
        drawn.select(columns), key=key, file=f"tokens_by_{by}.csv", money=money,
        ratios=[c for c in columns if c == CACHED],
        names={VALUE: parts.heading(by), CACHED: "Input from cache", TOP_MODEL: "Costliest model"},
        total=("Total", total, page.currency), download=lambda: rows, on_select=partial(_row_selected, key, groups),
        counts=[c for c in columns if c == TOKENS],
        configs={c: st.column_config.BarChartColumn("By month", y_min=0) for c in columns if c == HISTORY},
    )  # fmt: skip
    st.selectbox(
        "Open the days and keys behind", range(min(len(groups), ROWS_OFFERED)), index=None, key=OPEN,
        format_func=lambda i: f"{_named(groups[i])}: {rows[COST][i]:,.2f} {page.currency}",
        placeholder="Choose a row here, or select it in the table, to see its days and keys",
        on_change=_row_named, args=(groups,), label_visibility="collapsed",
    )  # fmt: skip
    if by == "key":
        st.caption(
            "Each key is explained by itself: work that moved from one key to another is volume of both, so the parts "
            "sum to the same change and not to the same parts as above."
        )


def close() -> None:
    """Show no days and keys."""
    st.session_state.pop(GROUP, None)
    st.session_state.pop(OPEN, None)


def _row_selected(key: str, groups: Sequence[Group]) -> None:
    chosen = st.session_state[key].selection.rows
    if chosen:
        st.session_state[GROUP] = groups[chosen[0]]
    else:
        close()


def _row_named(groups: Sequence[Group]) -> None:
    chosen = st.session_state[OPEN]
    if chosen is None:
        close()
    else:
        st.session_state[GROUP] = groups[chosen]


def _keep(group: Group) -> None:
    """Turn the row into a filter of every page, and close it."""
    by, value = group
    filters.add(column(by), value)
    close()


def _detail(page: Page, group: Group, now: pl.DataFrame, prior: pl.DataFrame, tints: Mapping[str, str]) -> None:
    by, value = group
    mine, before = tokens.only(now, by, value), tokens.only(prior, by, value)
    number = summed(mine)
    st.divider()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"##### The days and keys behind {number:,.2f} {page.currency}: {_named(group)}")
        with st.container(horizontal=True, width="content"):
            if value in page.values(column(by)):
                st.button(
                    "Keep as filter", on_click=_keep, args=(group,), icon=":material/filter_alt:", key="tokens_keep"
                )
            st.button("Close", on_click=close, icon=":material/close:", key="tokens_close")
    if not mine.is_empty():
        rows = tokens.daily_by_model(mine)
        drawn = charts.spend_over_time(rows, tints, page.look, currency=page.currency, step="day")
        parts.chart(drawn, key="tokens_days_chart", says="Cost by day, stacked by model")
    names = {CACHED: "Input from cache", "account_name": "Account"}
    by_day, by_key = st.tabs(["Days", "Keys and models"])
    with by_day:
        parts.table(
            tokens.days(mine), key="tokens_days", file="token_days.csv", names=names, ratios=(CACHED,),
            money={COST: f"Cost, {page.currency}", PER_MILLION: "Per million"},
            total=("All days", number, page.currency), counts=(TOKENS, REQUESTS),
        )  # fmt: skip
    with by_key:
        parts.table(
            tokens.keys(mine, before), key="tokens_keys", file="token_keys.csv", names=names, ratios=(CACHED,),
            money={COST: f"Cost, {page.currency}", PER_MILLION: "Per million", CHANGE: "Change"},
            total=("All keys", number, page.currency), counts=(TOKENS,),
        )  # fmt: skip


def _named(group: Group) -> str:
    by, value = group
    return f"{parts.heading(by).lower()} {label(value)}"


def _method(page: Page) -> None:
    with st.expander("How these figures are made"):
        st.markdown(
            f"- Money is the effective cost of the bill. Metered usage says whose it is and how many tokens it was; "
            "the price book is a comparison and never money that is summed.\n"
            f"- The period before is {_month_words(page.scope.prior())}.\n"
            "- Cost of a use case = tokens x share of each model x share of each kind of token in it x price. Each "
            "factor's effect is averaged over all orders in which the four can change (its Shapley value), for each "
            "team and use case by itself, so the parts sum to the change to the last decimal.\n"
            "- A model or kind of token that is new or ended has no price effect: it is mix. A use case that is new or "
            "ended is volume. The same model in another service tier (batch, priority) is mix.\n"
            "- *Not metered* is cost that nobody counts in tokens: images, searches, and bills without usage."
        )


def _month_words(scope: Scope) -> str:
    return period_name(*_days(scope))
