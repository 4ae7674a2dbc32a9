"""The inputs of a scenario that people change, as a form shows them, and what was changed, by key of the file."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from finops.errors import CallError

Key = tuple[str | int, ...]
Kind = Literal["number", "percent", "list"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One key of a scenario file as a form shows it: percent shows a ratio times 100."""

    key: str
    heading: str
    kind: Kind
    help: str = ""
    within: str | None = None
    """The table that the key is in, below its entry: price of an option."""


WORKLOADS: Final = (
    Field(
        "demand_per_month",
        "Demand",
        "number",
        "A month, in its unit; empty where the file states each month by itself.",
    ),
    Field("growth_ratio_per_year", "Growth, %", "percent", "A year, compounding monthly."),
    Field("max_latency_ms", "Latency, ms", "number", "Round trip from the users; empty is no limit."),
    Field("residency", "Residency", "list", "Countries (DE) or areas (EU, EEA); empty is anywhere."),
    Field("allowed_hosting", "Hosting", "list", "Kinds that are allowed; empty is any."),
    Field("spot_share_ratio", "Spot, %", "percent", "The most of its work that may run on spot capacity."),
)
OPTIONS: Final = (
    Field("amount", "Price", "number", "In its own currency; the price book states its own.", "price"),
    Field("price_change_ratio_per_year", "Price change, %", "percent", "A year, from the second year on."),
    Field("utilisation_ceiling_ratio", "Planned use, %", "percent", "The most of its capacity that plans may use."),
)  # fmt: skip
YEARLY: Final = ("budget_per_year", "capex_budget_per_year")


# ------------------------------------------------------------------------------------------------ values and their form
def shown(value: Any, kind: Kind) -> Any:
    """A value of the file as a form shows it; None where it is not one figure."""
    if kind == "list":
        return [str(v) for v in value or ()]
    if value is None or isinstance(value, list):
        return None
    return float(value * 100) if kind == "percent" else float(value)


def stated(value: Any, kind: Kind) -> Any:
    """What a form shows as a value of the file; None where the field is empty."""
    if kind == "list":
        return [str(v) for v in value] if value is not None and len(value) else None
    if value is None or math.isnan(value):
        return None
    amount = Decimal(repr(float(value)))
    return _plain(amount / 100 if kind == "percent" else amount)


def _plain(amount: Decimal) -> int | Decimal:
    return int(amount) if amount == amount.to_integral_value() else amount.normalize()


# ---------------------------------------------------------------------------------------------------- tables of entries
def workload_rows(document: Mapping[str, Any]) -> list[Row]:
    """A row for each workload: name, unit, and its fields."""
    return [
        {"workload": w.get("name"), "unit": str(w.get("unit", "")).replace("_", " "), **_fields(w, WORKLOADS)}
        for w in document.get("workloads", ())
    ]


def option_rows(document: Mapping[str, Any]) -> list[Row]:
    """A row for each option and then each selection of the price book: name, kind, and its fields."""
    options = [
        {"option": o.get("name"), "kind": o.get("kind"), **_fields(o, OPTIONS)} for o in document.get("options", ())
    ]
    selections = [
        {"option": _selection(n, p), "kind": "price book", **_fields(p, OPTIONS)}
        for n, p in enumerate(document.get("price_book", ()), start=1)
    ]
    return options + selections


def _selection(number: int, entry: Mapping[str, Any]) -> str:
    named = [", ".join(map(str, entry[k])) for k in ("providers", "accelerators") if entry.get(k)]
    return f"price book {number}: {'; '.join(named) or 'all offers'}"


def _fields(entry: Mapping[str, Any], fields: Iterable[Field]) -> Row:
    return {f.key: shown((entry.get(f.within, {}) if f.within else entry).get(f.key), f.kind) for f in fields}


def workload_changes(document: Mapping[str, Any], edited: Sequence[Mapping[str, Any]]) -> dict[Key, Any]:
    """What differs between the file's workloads and the rows that came back from the form."""
    prefixes: list[Key] = [("workloads", n) for n in range(len(document.get("workloads", ())))]
    return _changes(prefixes, WORKLOADS, workload_rows(document), edited)


def option_changes(document: Mapping[str, Any], edited: Sequence[Mapping[str, Any]]) -> dict[Key, Any]:
    """What differs between the file's options and selections and the rows that came back from the form.

    Raises CallError for a price of a selection: that is the price book's.
    """
    prefixes: list[Key] = [("options", n) for n in range(len(document.get("options", ())))]
    prefixes += [("price_book", n) for n in range(len(document.get("price_book", ())))]
    found = _changes(prefixes, OPTIONS, option_rows(document), edited)
    if any(key[0] == "price_book" and "price" in key for key in found):
        raise CallError(
            "a price for a selection of the price book",
            expected="prices of single options only",
            next_step="state its price change, or your own offers by `[prices]` in finops.toml",
        )
    return found


def _changes(
    prefixes: Sequence[Key], fields: Iterable[Field], before: Sequence[Row], after: Sequence[Mapping[str, Any]]
) -> dict[Key, Any]:
    found: dict[Key, Any] = {}
    for prefix, old, new in zip(prefixes, before, after, strict=True):
        for f in fields:
            value = stated(new[f.key], f.kind)
            if value != stated(old[f.key], f.kind):
                found[(*prefix, f.within, f.key) if f.within else (*prefix, f.key)] = value
    return found


# ---------------------------------------------------------------------------------------------------- rules of the plan
def year_rows(document: Mapping[str, Any]) -> list[Row]:
    """A row for each year of the horizon with its budgets; empty after the last that is stated."""
    years = -(-int(document.get("horizon_months", 36)) // 12)
    rules = document.get("rules", {})
    stated_for = {key: _listed(rules.get(key)) for key in YEARLY}
    years = max(years, *(len(v) for v in stated_for.values()))
    return [
        {"year": n + 1, **{k: float(v[n]) if n < len(v) else None for k, v in stated_for.items()}} for n in range(years)
    ]


def year_changes(document: Mapping[str, Any], edited: Sequence[Mapping[str, Any]]) -> dict[Key, Any]:
    """Budgets that differ, as whole lists; raises CallError for a year without a figure before one with a figure."""
    found: dict[Key, Any] = {}
    for key in YEARLY:
        values = [stated(row[key], "number") for row in edited]
        while values and values[-1] is None:
            values.pop()
        if None in values:
            raise CallError(
                f"no {key.replace('_', ' ')} for year {values.index(None) + 1}, but one for a later year",
                expected="figures from the first year on; the last one holds for later years",
                next_step="fill in that year, or empty the later ones",
            )
        if values != _listed(document.get("rules", {}).get(key)):
            found["rules", key] = values or None
    return found


def share_rows(document: Mapping[str, Any]) -> list[Row]:
    """The most that each provider may have of a month's cost, in percent."""
    shares = document.get("rules", {}).get("provider_share_ratio", {})
    return [{"provider": p, "share": shown(r, "percent")} for p, r in shares.items()]


def share_changes(document: Mapping[str, Any], edited: Iterable[Mapping[str, Any]]) -> dict[Key, Any]:
    """Shares that are other, new or gone, by provider."""
    before = {row["provider"]: stated(row["share"], "percent") for row in share_rows(document)}
    after = {str(row["provider"]): stated(row["share"], "percent") for row in edited if row["provider"]}
    return {
        ("rules", "provider_share_ratio", p): after.get(p)
        for p in dict.fromkeys((*before, *after))
        if before.get(p) != after.get(p)
    }


def figures(text: str, what: str) -> list[int | Decimal] | None:
    """Figures that are written one after the other: 2000, 1900; None where there is none."""
    parts = [p for p in text.replace(";", " ").replace(", ", " ").replace(",", "").split() if p]
    try:
        return [_plain(Decimal(p)) for p in parts] or None
    except InvalidOperation as error:
        raise CallError(
            f"{what}: {text!r}", expected="figures like 2000, 1900", next_step="correct them"
        ) from error  # fmt: skip


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def listed_text(value: Any) -> str:
    """Figures of the file as `figures` reads them."""
    return ", ".join(str(v) for v in _listed(value))


def scalar_changes(
    document: Mapping[str, Any], values: Mapping[tuple[str, ...], tuple[Any, Kind]]
) -> dict[Key, Any]:  # fmt: skip
    """Single figures of a form that differ from the file, by key; values: what the form has, and its kind."""
    found: dict[Key, Any] = {}
    for key, (value, kind) in values.items():
        held: Any = document
        for part in key:
            held = held.get(part) if isinstance(held, Mapping) else None
        if stated(value, kind) != stated(shown(held, kind), kind):
            found[key] = stated(value, kind)
    return found
