"""Why a part of spend changed, told from what its charges count, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from finops import schema as s
from finops.config import Event
from finops.scope import NONE, Scope
from forecasting.incidents import Kind

BEFORE_DAYS, AFTER_DAYS = 28, 28
"""A change is read from so many days before its first one, and at most so many from it on."""
EVENT_DAYS: Final = 3
"""An event explains what begins so many days around it."""
EXPLAINS: Final = 0.5
"""What accounts for this share of a change is its cause."""
PRICE_RATIO: Final = 0.02
COVERED: Final = 0.3
CACHE_FALL: Final = 0.1
"""The share of input read from the cache falls by so much, or more."""
USAGE: Final = ("source", "provider", "account", "model", "team", "use_case", "purpose", s.CHARGE_DATE)
"""Whose metered usage is, and its day; beside them direction, cache and tokens, as rows of spend_daily have them."""
REQUEST_RISE, SHORTER = 1.3, 0.8
IDLE_RATIO: Final = 0.15
"""Accelerators with a lower mean utilisation stand idle."""

PRICE, COMMITMENT, EVENT = "price change", "commitment", "known event"
STEPS: Final = {
    "unused commitment": "move work onto it, or exchange, sell or let the commitment end",
    "nobody owns it": "ask the account's administrator whose it is, then tag it or map it; stop it if nobody answers",
    PRICE: "check the contract and the provider's notice; plan the budget with the new price, or move to another model",
    COMMITMENT: "nothing to stop: the commitment changed the price of what runs; see that it stays used",
    EVENT: "nothing to stop: it was announced; see that it costs what was planned",
    "cache rate fell": "look for a change of the prompt's fixed beginning or of the cache's lifetime, and restore it",
    "retries": "look for errors and timeouts of the callers: cap retries, back off, and cache failures",
    "longer prompts": "look at what was added to the prompts or the context; cut it, or cache its fixed part",
    "more requests": "find the caller, by key or use case; set a quota if the traffic is not wanted",
    "more tokens": "find the caller, by key or use case; cap the output, or set a quota if it is not wanted",
    "another model": "check that the new model is worth its price; route what is simple to a cheaper one",
    "idle accelerators": "stop the machines that do nothing, or scale them down with the load",
    "more accelerators": "ask the team whether the run is planned and when it ends; stop what nobody needs",
    "new": "ask who started it and for how long; add a budget, or stop it",
    "ended": "confirm that it was meant to end; release its budget and its commitments",
    "less usage": "confirm that nothing broke: less cost may be an outage, or data that is missing",
    "more usage": "find what grew with `finops spend --by` and its owner; set a budget alert if it stays",
}
"""What to do for each cause."""


@dataclass(frozen=True)
class Change:
    """A change of a part of spend: its scope, kind, first and last day, and its direction (1 up, -1 down)."""

    scope: Scope
    kind: Kind
    first: date
    last: date
    sign: int


@dataclass(frozen=True)
class Explanation:
    """Why, what to do, and the name of what was known of it before, if anything was."""

    cause: str
    next_step: str
    known: str | None = None


def explain(
    change: Change, own: pl.DataFrame, rows: pl.DataFrame, *, events: Sequence[Event], idle: pl.DataFrame | None,
    usage: pl.DataFrame | None,
) -> Explanation:  # fmt: skip
    """The first cause that its charges show.

    own: the scope's rows, rows: all; of spend_daily, with the short names of dimensions beside the columns. idle:
    `accelerator, team, day, utilisation`, a mean ratio of each day, where it is measured. usage: USAGE, direction,
    cache and tokens, where they are metered beside the bill.
    """
    before, after = _around(own, change)
    size = change.sign * (_daily(after, change) - _daily(before, change))
    event = next((e for e in events if _is_event(e, change, before, after, size)), None)
    if event is not None:
        return Explanation(EVENT, STEPS[EVENT], event.name)
    for cause, known in _causes(change, before, after, rows, size, idle, usage):
        return Explanation(cause, STEPS[cause], known)
    cause = "more usage" if change.sign > 0 else "less usage"
    return Explanation(cause, STEPS[cause])


def _causes(
    change: Change,
    before: pl.DataFrame,
    after: pl.DataFrame,
    rows: pl.DataFrame,
    size: float,
    idle: pl.DataFrame | None,
    usage: pl.DataFrame | None,
) -> Iterator[tuple[str, str | None]]:
    terms = dict(change.scope.terms)
    if terms.get("commitment_status") == "Unused":
        yield "unused commitment", None
    covered = _share(after, pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Used")
    covered -= _share(before, pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Used")
    if abs(covered) >= COVERED:
        yield COMMITMENT, "a commitment that begins" if covered > 0 else None
    price, words = _price_effect(before, after)
    if price * change.sign >= EXPLAINS * size > 0:
        yield PRICE, words
    if change.kind == "new":
        unowned = _share(after, (pl.col(s.OWNER_STATUS) == "none") & pl.col(s.IS_AI))
        yield ("nobody owns it" if unowned >= EXPLAINS else "new"), None
    if change.kind == "ended" or (change.sign < 0 and not after.height):
        yield "ended", None
    if change.sign > 0:
        yield from ((cause, None) for cause in _more_of(change, before, after, rows, size, idle, usage))


def _more_of(
    change: Change,
    before: pl.DataFrame,
    after: pl.DataFrame,
    rows: pl.DataFrame,
    size: float,
    idle: pl.DataFrame | None,
    usage: pl.DataFrame | None,
) -> Iterator[str]:
    """Causes of a rise, by what is counted."""
    if _cache_fall(change, after, rows, usage) >= CACHE_FALL:
        yield "cache rate fell"
    tokens, requests = (_per_day(before, after, change, column) for column in (s.TOKENS, s.REQUESTS))
    if tokens and requests and requests >= REQUEST_RISE and tokens / requests <= SHORTER:
        yield "retries"
    gone, came = ({m for m in part["model"].unique() if m != NONE} for part in (before, after))
    if gone and _daily(after.filter(pl.col("model").is_in(list(came - gone))), change) >= EXPLAINS * size:
        yield "another model"
    if tokens and tokens >= 1 + PRICE_RATIO:
        longer = requests and tokens / requests >= REQUEST_RISE
        yield (
            "longer prompts" if longer else "more requests" if requests and requests >= REQUEST_RISE else "more tokens"
        )
    hours = _per_day(before, after, change, s.ACCELERATOR_HOURS)
    if hours and hours >= 1 + PRICE_RATIO:
        yield "idle accelerators" if _is_idle(change, after, idle) else "more accelerators"


def _cache_fall(change: Change, after: pl.DataFrame, rows: pl.DataFrame, usage: pl.DataFrame | None) -> float:
    """By how much a smaller share of input is read from the cache: as the bill counts, else as its usage is metered."""
    place = {name: value for name, value in change.scope.terms if name not in ("model", "direction", "cache")}
    whole = rows.filter(Scope.of(place).holds()) if place else rows
    were, are = (part.filter(pl.col(s.TOKENS) > 0) for part in _around(whole, change))
    read, into = pl.col("cache") == "Read", pl.col("direction") == "Input"
    if not (were.height or are.height) and usage is not None:
        were, are = _around(_metered(change.scope, after, usage), change)
    if were[s.TOKENS].sum() == 0 or are[s.TOKENS].sum() == 0:
        return 0.0
    return _ratio(were, read, into) - _ratio(are, read, into)


def _metered(scope: Scope, own: pl.DataFrame, usage: pl.DataFrame) -> pl.DataFrame:
    """The usage of a scope's sources, or where none of them meters any, of its providers, in the terms usage knows.

    None where the scope is not mostly model APIs.
    """
    apis = pl.col("driver") == "model_api"
    if _share(own, apis) < EXPLAINS:
        return usage.clear()
    own = own.filter(apis)
    mine = usage.filter(pl.col("source").is_in(own["source"].unique().to_list()))
    if mine.is_empty():
        names = own["provider"].str.to_lowercase().unique().to_list()
        mine = usage.filter(pl.col("provider").str.to_lowercase().is_in(names))
    known = [pl.col(n) == v for n, v in scope.terms if n in USAGE and n not in ("source", "provider") and v != NONE]
    return mine.filter(*known)


def _around(rows: pl.DataFrame, change: Change) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of the days before a change, and of those from it on."""
    day = pl.col(s.CHARGE_DATE)
    last = min(change.last, change.first + timedelta(days=AFTER_DAYS - 1))
    return (
        rows.filter(day.is_between(change.first - timedelta(days=BEFORE_DAYS), change.first, closed="left")),
        rows.filter(day.is_between(change.first, last)),
    )


def _days(change: Change) -> int:
    return min((change.last - change.first).days + 1, AFTER_DAYS)


def _daily(part: pl.DataFrame, change: Change) -> float:
    """Cost a day of the rows before a change or from it on."""
    is_before = part.height and part[s.CHARGE_DATE].min() < change.first  # type: ignore[operator]
    return float(part[s.EFFECTIVE_COST].sum()) / (BEFORE_DAYS if is_before else _days(change))


def _per_day(before: pl.DataFrame, after: pl.DataFrame, change: Change, column: str) -> float | None:
    """How many times as much is counted a day as before; None where nothing was."""
    was, now = (float(part[column].sum()) for part in (before, after))
    return now / _days(change) / (was / BEFORE_DAYS) if was else None


def _share(part: pl.DataFrame, which: pl.Expr) -> float:
    """The share of cost that is so."""
    return _ratio(part, which, pl.lit(value=True), of=s.EFFECTIVE_COST)


def _ratio(part: pl.DataFrame, which: pl.Expr, among: pl.Expr, *, of: str = s.TOKENS) -> float:
    some, every = part.select(
        pl.col(of).filter(which & among).sum().alias("some"), pl.col(of).filter(among).sum().alias("every")
    ).row(0)
    return float(some) / float(every) if every else 0.0


def _price_effect(before: pl.DataFrame, after: pl.DataFrame) -> tuple[float, str]:
    """What changed unit prices add a day at the new quantities, and the change in words.

    sum over meters of (price after - price before) x quantity after / days after; a meter is what is told apart by
    provider, account, model, direction, cache, tier and accelerator, priced by its tokens, else accelerator hours.
    """
    meter = ["provider", "account", "model", "direction", "cache", s.SERVICE_TIER, "accelerator"]
    quantity = pl.when(pl.col(s.TOKENS) > 0).then(s.TOKENS).otherwise(s.ACCELERATOR_HOURS).cast(pl.Float64)
    sides = [
        part.with_columns(quantity.alias("q"), pl.col(s.EFFECTIVE_COST).cast(pl.Float64).alias("c"))
        .filter(pl.col("q") > 0)
        .group_by(meter)
        .agg(pl.col("c").sum() / pl.col("q").sum(), pl.col("q").sum(), pl.col(s.CHARGE_DATE).n_unique().alias("n"))
        for part in (before, after)
    ]
    both = sides[0].join(sides[1], on=meter, nulls_equal=True, suffix="_after").filter(pl.col("c") > 0)
    both = both.with_columns((pl.col("c_after") / pl.col("c") - 1).alias("ratio"))
    both = both.filter(pl.col("ratio").abs() >= PRICE_RATIO).with_columns(
        ((pl.col("c_after") - pl.col("c")) * pl.col("q_after") / pl.col("n_after")).alias("effect")
    )
    if both.is_empty():
        return 0.0, ""
    top = both.sort(pl.col("effect").abs(), *meter, nulls_last=True).row(-1, named=True)
    what = " ".join(top[name] for name in ("model", "accelerator", "direction") if top[name] != NONE)
    return float(both["effect"].sum()), f"price of {what} {top['ratio']:+.0%}"


def _is_event(event: Event, change: Change, before: pl.DataFrame, after: pl.DataFrame, size: float) -> bool:
    """Whether an event began near the change's first day, or lasted then, and the change is mostly within it."""
    near = abs((change.first - event.date).days) <= EVENT_DAYS
    if not near and not (event.end and event.date <= change.first <= event.end):
        return False
    where = pl.all_horizontal(
        pl.lit(value=True),
        *(pl.col(s.SHORT_NAMES.get(name, name)).cast(pl.String) == value for name, value in event.where.items()),
    )
    inside = change.sign * (_daily(after.filter(where), change) - _daily(before.filter(where), change))
    return inside >= EXPLAINS * size > 0


def _is_idle(change: Change, after: pl.DataFrame, idle: pl.DataFrame | None) -> bool:
    """Whether the accelerators of the scope did next to nothing since the change."""
    if idle is None or idle.is_empty():
        return False
    own = idle.join(after.select("accelerator", "team").unique(), on=["accelerator", "team"]).filter(
        pl.col("day").is_between(change.first, change.last)
    )
    return bool(own.height) and float(own["utilisation"].mean() or 0.0) < IDLE_RATIO  # type: ignore[arg-type]
