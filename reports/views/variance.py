"""A variance bridge as people read it: its steps, what is behind each, and the paragraph that says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

import polars as pl

from finops import schema as s
from finops.errors import CallError
from finops.scope import NONE
from finops.variance import (
    CACHE,
    CALENDAR,
    COMMITMENT,
    CREDITS,
    CURRENCY,
    DIMENSIONS,
    ENDED,
    MIX,
    NEW,
    PLAN,
    PRICE,
    SKU,
    STEPS,
    UNEXPLAINED,
    VOLUME,
    summed,
)
from reports.views.movement import CHANGE, PRIOR, VALUE
from reports.views.scope import Scope, column, word
from reports.views.spend import COST
from reports.views.words import compact, percent, period_name

STEP, AMOUNT, LARGEST = "step", "amount", "largest"
WHO, WHAT = "who", "what"
BEFORE: Final = "prior_quantity"
NAMES: Final[Mapping[str, str]] = {
    VOLUME: "Volume", PRICE: "Price", MIX: "Mix", CACHE: "Cache and output", COMMITMENT: "Commitments",
    CURRENCY: "Currency", NEW: "New", ENDED: "Ended", CREDITS: "Credits and corrections", UNEXPLAINED: "Unexplained",
}  # fmt: skip
"""The steps in the order in which people read them."""
MEANS: Final[Mapping[str, str]] = {
    VOLUME: "more or less of the same use, at its own price",
    PRICE: "another price for the same thing",
    MIX: "work that moved to a dearer or cheaper model, machine, tier or SKU",
    CACHE: "another share of input, cached input, output and long contexts in a model's tokens",
    COMMITMENT: "what committed use costs beside the contracted price, and what of a commitment nobody used",
    CURRENCY: "another rate of exchange on the same local cost",
    NEW: "use cases, and services of them, that were not there before",
    ENDED: "use cases, and services of them, that are no longer there",
    CREDITS: "credits, refunds and corrections that came or went",
    UNEXPLAINED: "charges that state no quantity, like fees and taxes",
}  # fmt: skip
_OPENED: Final = (
    s.SERVICE_PROVIDER_NAME, s.SERVICE_NAME, s.SUB_ACCOUNT_ID, s.TEAM, s.USE_CASE, s.PURPOSE, s.MODEL_ID,
    s.TOKEN_DIRECTION, s.TOKEN_CACHE_ACTION, s.ACCELERATOR_MODEL, s.CHARGE_CATEGORY, s.BILLING_CURRENCY,
)  # fmt: skip
"""What tells the charges behind a part of a step from others."""
_LEAST_RATIO: Final = Decimal("0.05")
"""Steps with a smaller part of all movement are named together."""
_SAID: Final = 2
"""So many parts of a step stand in the paragraph."""
CENT: Final = Decimal("0.01")
"""Smaller amounts are what rounding of bills leaves."""


@dataclass(frozen=True)
class Variance:
    """A bridge: `cells` of finops.variance.bridge, and what it compares.

    against: budget, forecast, prior or the period named. scope: what is explained, with its days and cost. reference:
    the days that it is held against; of a budget or forecast, those whose usage stands for its quantities. prior, cost:
    both ends in `currency`; the steps of all cells sum to cost - prior. notes: what a reader must know of how the two
    ends were made, in sentences.
    """

    against: str
    scope: Scope
    reference: Scope
    currency: str
    prior: Decimal
    cost: Decimal
    cells: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def change(self) -> Decimal:
        """cost - prior."""
        return self.cost - self.prior

    @property
    def names(self) -> tuple[str, str]:
        """Both ends in words: what it is held against, and the period."""
        now = named(self.scope)
        if self.against in ("budget", "forecast"):
            return self.against.capitalize(), now
        return named(self.reference), now

    def total(self, step: str) -> Decimal:
        """The amount of one step, or of its part `calendar`."""
        return sum(self.cells[step], Decimal(0))


def steps(found: Variance) -> pl.DataFrame:
    """The steps in the order of NAMES: step, amount, currency, and what is largest in each, in words."""
    rows = [(step, found.total(step), found.currency, _largest(found, step) or None) for step in NAMES]
    schema = {STEP: pl.String(), AMOUNT: s.MONEY, "currency": pl.String(), LARGEST: pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def by(found: Variance, words: list[str]) -> pl.DataFrame:
    """The bridge by dimensions: the words, in_currency, prior, cost, change, every step, the calendar's part of volume.

    Raises CallError for a word that is no dimension, or none of a bridge.
    """
    columns = {column(name): name for name in words}
    for wanted, name in columns.items():
        if wanted not in DIMENSIONS:
            raise CallError(
                f"--by {name}", expected=f"one of {', '.join(map(word, DIMENSIONS))}", next_step="correct the word"
            )
    names = {wanted: "billing_currency" if name == CURRENCY else name for wanted, name in columns.items()}
    return (
        summed(found.cells, list(columns))
        .rename(names)
        .with_columns(pl.lit(found.currency).alias("in_currency"))
        .select(*names.values(), "in_currency", PRIOR, COST, CHANGE, *NAMES, CALENDAR)
    )


def moves(rows: pl.DataFrame, step: str) -> bool:
    """Whether a step moves any row by a cent."""
    return bool((rows[step].abs() >= CENT).any())


def opened(found: Variance, step: str) -> pl.DataFrame:
    """What a step is made of, the largest first: who, what, quantities, costs, amount, and what tells its charges.

    Raises CallError for a word that is no step.
    """
    if step not in STEPS:
        raise CallError(f"the step {step!r}", expected=f"one of {', '.join(NAMES)}", next_step="correct the step")
    cells = found.cells.filter(pl.col(step) != 0)
    keys = [*_OPENED, *([s.COMMITMENT_DISCOUNT_STATUS] if step == COMMITMENT else [])]
    return (
        cells.with_columns(_who().alias(WHO), _what(step).alias(WHAT))
        .group_by(*keys, WHO, WHAT, "unit")
        .agg(pl.col(BEFORE, "quantity", PRIOR, COST).sum(), pl.col(step).sum().alias(AMOUNT))
        .with_columns(pl.when(pl.col("unit").is_not_null()).then(name).alias(name) for name in (BEFORE, "quantity"))
        .sort(pl.col(AMOUNT).abs(), *keys, WHAT, descending=[True, *(False for _ in keys), False])
        .select(WHO, WHAT, BEFORE, "quantity", "unit", PRIOR, COST, AMOUNT, *keys)
    )


def charges_of(row: Mapping[str, object], scope: Scope) -> Scope:
    """The scope whose charges stand behind a row of `opened`."""
    for name in (*_OPENED, s.COMMITMENT_DISCOUNT_STATUS):
        if name in row:
            value = row[name]
            assert value is None or isinstance(value, str), "the columns that open a step are words"
            scope = scope.only(name, value)
    return scope


def where(row: Mapping[str, object]) -> str:
    """The same as options of `finops spend`: --where team=Search --where use_case= (without one).

    What else is empty is left out, to be short: a service and an account tell it.
    """
    names = [n for n in (*_OPENED, s.COMMITMENT_DISCOUNT_STATUS) if row.get(n) is not None or n in (s.TEAM, s.USE_CASE)]
    return " ".join(f"--where {_quoted(word(name), row[name] or '')}" for name in names)


def _quoted(name: str, value: object) -> str:
    text = f"{name}={value}"
    return f'"{text}"' if " " in text or "(" in text else text


# --------------------------------------------------------------------------------------------------------------- words
def headline(found: Variance) -> str:
    """What the period cost beside what it is held against, and the step that moved most, in one sentence."""
    before, now = found.names
    text = f"{now}: {compact(found.cost)} {found.currency}, {_against(found, before)}"
    largest = max(NAMES, key=lambda step: abs(found.total(step)))
    amount = found.total(largest)
    return f"{text}; {NAMES[largest].lower()} moved most, {compact(amount, signed=True)}." if amount else f"{text}."


def paragraph(found: Variance) -> str:
    """The bridge in plain words, the largest step first."""
    before, now = found.names
    said = [f"{now} cost {compact(found.cost)} {found.currency}, {_against(found, before)}."]
    amounts = {step: found.total(step) for step in NAMES}
    moved = sum((abs(a) for a in amounts.values()), Decimal(0))
    ranked = sorted((step for step in NAMES if amounts[step]), key=lambda step: -abs(amounts[step]))
    large = [step for step in ranked if abs(amounts[step]) >= moved * _LEAST_RATIO]
    said += [_sentence(found, step, amounts[step]) for step in large]
    rest = [step for step in ranked if step not in large and abs(amounts[step]) >= CENT]
    small = [f"{NAMES[step].lower()} {compact(amounts[step], signed=True)}" for step in rest]
    if small:
        said.append(f"The rest is small: {', '.join(small)}.")
    return " ".join(said)


def _against(found: Variance, before: str) -> str:
    change = found.change
    is_plan = found.against in ("budget", "forecast")
    than = f"its {found.against} of {compact(found.prior)}" if is_plan else before
    if not found.prior:
        return f"where {than} had nothing" if not is_plan else f"where {than} has nothing"
    ratio = abs(change / found.prior)
    if ratio < Decimal("0.0005"):
        return f"level with {than}"
    way = ("over" if change > 0 else "under") if is_plan else ("more than" if change > 0 else "less than")
    return f"{compact(abs(change))} ({percent(ratio)}) {way} {than}"


def _sentence(found: Variance, step: str, amount: Decimal) -> str:
    verb = {True: ("adds", "add"), False: ("takes off", "take off")}[amount > 0][step in (COMMITMENT, CREDITS)]
    subject = {NEW: "What is new", ENDED: "What has ended", UNEXPLAINED: "What states no quantity"}.get(step)
    text = f"{subject or NAMES[step]} {verb} {compact(abs(amount))}"
    calendar = found.total(CALENDAR) if step == VOLUME else Decimal(0)
    if abs(calendar) >= CENT:
        way = "add" if calendar > 0 else "take off"
        days = [(end - start).days + 1 for start, end in (_days(found.reference), _days(found.scope))]
        because, size = f"its {days[1]} days instead of {days[0]}", compact(abs(calendar))
        is_part = (calendar > 0) == (amount > 0) and abs(calendar) <= abs(amount)
        text += f", {size} of it through {because}" if is_part else f"; {because} alone {way} {size}"
    largest = _largest(found, step)
    return f"{text}: {largest}." if largest else f"{text}."


def _largest(found: Variance, step: str) -> str:
    """The largest parts of a step, named by what tells most about it."""
    named = _what(step) if step in (PRICE, CREDITS, UNEXPLAINED, COMMITMENT, CURRENCY) else _who()
    if not moves(found.cells, step):
        return ""
    parts = (
        found.cells.filter(pl.col(step) != 0)
        .group_by(named.alias(VALUE))
        .agg(pl.col(step, BEFORE, "quantity").sum(), pl.col(PRIOR, COST).sum())
        .sort(pl.col(step).abs(), VALUE, descending=[True, False])
    )
    shown = parts.filter(pl.col(step).abs() >= pl.col(step).abs().sum() * _LEAST_RATIO).head(_SAID).to_dicts()
    return " and ".join(f"{row[VALUE]} {compact(row[step], signed=True)}{_ratio(row, step)}" for row in shown)


def _ratio(row: Mapping[str, Decimal], step: str) -> str:
    """By how much a unit costs more, of a part of the price step."""
    if step != PRICE or min(row[BEFORE], row["quantity"], row[PRIOR]) <= 0:
        return ""
    change = (row[COST] / row["quantity"]) / (row[PRIOR] / row[BEFORE]) - 1
    return f" ({percent(change, signed=True)} a unit)" if abs(change) >= Decimal("0.001") else ""


def _who() -> pl.Expr:
    account = pl.format("account {}", pl.coalesce(s.SUB_ACCOUNT_NAME, s.SUB_ACCOUNT_ID))
    team = pl.format(" ({})", s.TEAM).fill_null("")
    return pl.concat_str(pl.coalesce(s.USE_CASE, account, s.SERVICE_NAME, s.SERVICE_PROVIDER_NAME, pl.lit(NONE)), team)


def _what(step: str) -> pl.Expr:
    service = pl.coalesce(s.SERVICE_NAME, s.SERVICE_PROVIDER_NAME, pl.lit(NONE))
    if step == CURRENCY:
        return pl.format("{} charges", s.BILLING_CURRENCY)
    if step == COMMITMENT:
        return pl.concat_str(service, pl.format(" {}", SKU).fill_null(""), pl.format(" ({})", _status()).fill_null(""))
    if step in (UNEXPLAINED, CREDITS):
        kind = pl.when(~pl.col(s.CHARGE_CATEGORY).is_in(["Usage"])).then(pl.format(" ({})", s.CHARGE_CATEGORY))
        named = pl.concat_str(service, kind.fill_null(""))
        return pl.when(pl.col("part") == PLAN).then(pl.lit("the plan itself")).otherwise(named)
    thing = pl.coalesce(SKU, s.MODEL_ID, s.ACCELERATOR_MODEL)
    return pl.when(thing.is_null()).then(service).otherwise(pl.format("{} of {}", thing, service))


def _status() -> pl.Expr:
    return pl.col(s.COMMITMENT_DISCOUNT_STATUS).str.to_lowercase()


def named(scope: Scope) -> str:
    """The days of a bridge's end, as people say them."""
    return period_name(*_days(scope))


def _days(scope: Scope) -> tuple[date, date]:
    assert scope.start is not None, "a bridge has both days"
    assert scope.end is not None
    return scope.start, scope.end
