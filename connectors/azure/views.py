"""Actual and amortised cost details: two views of one bill, which are combined and never added.

FOCUS = every amortised row + from the actual view the purchases and refunds of reservations and savings plans. Where a
month of a billing account is there in both views, the other actual rows repeat amortised ones and are left out. Where
it is there in one view, that is read as it is: of actual alone, EffectiveCost lacks what commitments amortise; of
amortised alone, BilledCost lacks what commitments cost.

Source: FinOps toolkit (microsoft/finops-toolkit, commit 04d370f of 2026-05-20), docs-mslearn/focus/convert.md, read
2026-11-21.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Literal

import polars as pl

from connectors import cells
from connectors.azure import columns, costs
from connectors.azure.columns import TEXTS, Kinds, spelled, text
from connectors.azure.formats import Bill, open_bill
from connectors.registry import RawPart
from finops import schema as s
from finops.errors import InputError

View = Literal["actual", "amortized", "either"]
REPEATED: Final = "azure.repeated"
"""Option of an actual part: JSON list of the months and accounts whose amortised view is there too."""
_MONTH: Final = "month and account"
_PERIOD: Final = re.compile(r"(?:^|/)\d{8}-\d{8}/")


def is_mca(kinds: Kinds) -> bool:
    """Whether the columns are those of a Microsoft Customer Agreement, which prices in a currency of its own."""
    return "pricingcurrency" in spelled(kinds)


def currency(kinds: Kinds, options: dict[str, str]) -> pl.Expr:
    """The billing currency: the file's, or where it has no column of it, the source's option."""
    known = any(name in spelled(kinds) for name in TEXTS["currency"])
    return text(kinds, *TEXTS["currency"]) if known else pl.lit(options.get("currency"), dtype=pl.String)


def without_repeats(frame: pl.LazyFrame, options: dict[str, str]) -> pl.LazyFrame:
    """The rows of an actual part without those that the amortised view repeats; all rows of any other part."""
    repeated = json.loads(options.get(REPEATED, "[]"))
    if not repeated:
        return frame
    return frame.filter(pl.col(costs.FEE) | ~_month(pl.col(s.BILLING_PERIOD_START)).is_in(repeated))


def combined(
    parts: list[RawPart], told: dict[str, str], export: Callable[[RawPart], str], say: Callable[[str], None]
) -> list[RawPart]:
    """The parts, with what to leave out of actual ones; says what is combined and what a lone view lacks.

    told: view of an export as its manifest says. export: names the one that a part belongs to.
    Raises InputError where a month is there as FOCUS and as cost details too, or in two exports of one view.
    """
    opened = {part.name: open_bill(part.path, part.options) for part in parts}
    bills: dict[str, list[RawPart]] = defaultdict(list)
    for part in parts:
        bills[f"{export(part)} (FOCUS)" if opened[part.name].is_focus else export(part)].append(part)
    view: dict[str, str] = {}
    months: dict[str, set[str]] = {}
    for name, found in bills.items():
        inside = [opened[part.name] for part in found]
        view[name] = "focus" if inside[0].is_focus else _view(name, found, inside, told.get(name))
        months[name] = {month for opened_bill in inside for month in _months(opened_bill)}
    _refuse_twice(view, months)
    _refuse_copies({name: v for name, v in view.items() if _PERIOD.search(bills[name][0].name)}, months)
    both = _of(view, months, "amortized") & _of(view, months, "actual", "either")
    _tell(view, months, both, say)
    repeated = {REPEATED: json.dumps(sorted(both))} if both else {}
    takes = {
        part.name: repeated for name, found in bills.items() if view[name] in ("actual", "either") for part in found
    }
    return [replace(part, options=part.options | takes.get(part.name, {})) for part in parts]


def _view(name: str, parts: list[RawPart], bills: list[Bill], told: str | None) -> View:
    """Which view an export is: by its manifest, its rows, or else its name; either where no row would differ."""
    said = re.search(r"(?i)actual|amortized|amortised", told or "")
    if said is None:
        amortised, actual = _signs(bills)
        if amortised != actual:
            return "amortized" if amortised else "actual"
        said = re.search(r"(?i)actual|amortized|amortised", " ".join([name, *(part.name for part in parts)]))
    if said is None:
        return "either"
    return "actual" if said[0].lower() == "actual" else "amortized"


def _signs(bills: list[Bill]) -> tuple[bool, bool]:
    """Whether rows say that commitments are amortised, and whether rows say that they are paid."""
    amortised = actual = covered_free = False
    for bill in bills:
        frame = bill.raw.select(
            *(text(bill.kinds, *names).alias(name) for name, names in TEXTS.items() if name != "tags"),
            columns.number(bill.kinds, *columns.NUMBERS["cost"]).alias("cost"),
        )
        for stage in costs.kinds():
            frame = frame.with_columns(value.alias(name) for name, value in stage.items())
        covered = pl.col(costs.USED)
        spread, paid, free = frame.select(
            (pl.col(costs.UNUSED) | (covered & (pl.col("cost") != 0))).any().alias("spread"),
            pl.col(costs.FEE).any().alias("paid"),
            (covered & (pl.col("cost") == 0)).any().alias("free"),
        ).collect(engine="streaming").row(0)  # fmt: skip
        amortised, actual, covered_free = amortised or bool(spread), actual or bool(paid), covered_free or bool(free)
    return amortised, actual or (covered_free and not amortised)


def _months(bill: Bill) -> set[str]:
    """The months of a file, each with account and subscription; those of FOCUS with the subscription alone."""
    if bill.is_focus:
        named = {c.lower(): c for c in bill.kinds}
        start, subscription = named["billingperiodstart"], named.get("subaccountid")
        frame = bill.raw.select(
            cells.timestamp(cells.cleaned(start, bill.kinds[start]), bill.kinds[start]).alias("start"),
            pl.lit(None, dtype=pl.String).alias("billing_account_id"),
            (pl.col(subscription) if subscription else pl.lit(None, dtype=pl.String)).alias("subscription_id"),
        )
    else:
        start_of = pl.coalesce(
            columns.time(bill.kinds, *columns.TIMES["period_start"]),
            columns.time(bill.kinds, *columns.TIMES["date"]).dt.truncate("1mo"),
        )
        accounts = ("billing_account_id", "subscription_id")
        frame = bill.raw.select(
            start_of.alias("start"), *(text(bill.kinds, *TEXTS[name]).alias(name) for name in accounts)
        )
    found = frame.select(_month(pl.col("start")).alias(_MONTH)).unique().collect(engine="streaming")
    return set(found[_MONTH].drop_nulls())


def _month(start: pl.Expr) -> pl.Expr:
    subscription = pl.col("subscription_id").str.extract("([^/]+)/?$", 1)
    who = (pl.coalesce(name, pl.lit("")).str.to_lowercase() for name in (pl.col("billing_account_id"), subscription))
    return pl.concat_str(start.dt.strftime("%Y-%m"), *who, separator=" ")


def _of(view: Mapping[str, str], months: Mapping[str, set[str]], *wanted: str) -> set[str]:
    return {month for name, found in view.items() if found in wanted for month in months[name]}


def _tell(view: Mapping[str, str], months: Mapping[str, set[str]], both: set[str], say: Callable[[str], None]) -> None:
    for name in sorted(view):
        shared = ", ".join(sorted({month[:7] for month in months[name] & both}))
        if view[name] in ("actual", "either") and shared:
            say(
                f"azure: of {name} (actual cost), only purchases and refunds of commitments are read for {shared}: "
                "the amortized view of the same bill is there"
            )
        elif view[name] == "actual" and months[name] - both:
            say(
                f"azure: {name} is actual cost alone: EffectiveCost lacks what commitments amortise; "
                "export amortized cost too, or FOCUS"
            )
        elif view[name] == "amortized" and months[name] - both:
            say(
                f"azure: {name} is amortized cost alone: BilledCost lacks what commitments cost; "
                "export actual cost too, or FOCUS"
            )


def _refuse_twice(view: Mapping[str, str], months: Mapping[str, set[str]]) -> None:
    """Raises InputError where FOCUS and cost details hold the same month of a subscription: one bill, twice."""
    details = {_of_subscription(m) for m in _of(view, months, "actual", "amortized", "either")}
    twice = sorted(m for m in _of(view, months, "focus") if _of_subscription(m) in details)
    if twice:
        raise InputError(
            f"{twice[0][:7]} is there as a FOCUS export and as cost details too",
            expected="a month of a bill once: as FOCUS, or as actual and amortized cost",
            next_step="keep one of them in this folder; FOCUS is the one to keep",
        )


def _refuse_copies(view: Mapping[str, str], months: Mapping[str, set[str]]) -> None:
    """Raises InputError where two exports hold the same month of a subscription in one view."""
    seen: dict[tuple[str, str], str] = {}
    for name in sorted(view):
        for month in sorted(months[name]):
            first = seen.setdefault((view[name], month), name)
            if first != name:
                raise InputError(
                    f"{first} and {name} both hold {month[:7]} of the same subscription, in the same view",
                    expected="a month of a bill once in each view: actual, amortized or FOCUS",
                    next_step="keep one of the two exports in this folder, or give each a source of its own",
                )


def _of_subscription(month: str) -> tuple[str, str]:
    return month[:7], month.rsplit(" ", 1)[-1]
