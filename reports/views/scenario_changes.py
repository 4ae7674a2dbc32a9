"""What differs between the inputs of two scenarios, in words."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import polars as pl

from reports.views.words import percent

WHERE, WHAT, BEFORE, AFTER, WORDS = "where", "what", "before", "after", "words"
NOT_STATED: Final = "not stated"
NAMES: Final[Mapping[str, str]] = {
    "workloads": "workload", "options": "option", "sites": "site", "load_blocks": "load block",
    "demand_scenarios": "demand scenario", "spend_commitments": "spend commitment",
    "price_book": "price book selection", "fx_rates": "exchange rate",
}  # fmt: skip
LABELS: Final[Mapping[str, str]] = {
    "demand_per_month": "demand a month", "growth_ratio_per_year": "growth a year",
    "max_latency_ms": "latency limit, ms", "allowed_hosting": "allowed hosting",
    "spot_share_ratio": "most spot share", "budget_per_year": "budget by year",
    "capex_budget_per_year": "capital budget by year", "provider_share_ratio": "most of a provider",
    "carbon_kg_per_month": "carbon cap, kg a month", "discount_ratio_per_year": "discount rate a year",
    "horizon_months": "horizon, months", "price_change_ratio_per_year": "price change a year",
    "utilisation_ceiling_ratio": "utilisation ceiling", "risk_aversion_ratio": "risk aversion",
    "sd_ratio_per_year": "uncertainty of demand after a year",
}  # fmt: skip
_RATIO: Final = ("_ratio", "_ratio_per_year")


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> pl.DataFrame:
    """Every input that differs between two scenarios as they are read from TOML, names and descriptions aside.

    Entries of lists are matched by name, exchange rates by currency, selections of the price book by place. Columns
    where, what, before, after, words; nothing differs where it is empty.
    """
    own = ("name", "description")
    left = {k: v for k, v in before.items() if k not in own}
    right = {k: v for k, v in after.items() if k not in own}
    rows = list(_walk((), left, right))
    return pl.DataFrame(rows, schema=dict.fromkeys((WHERE, WHAT, BEFORE, AFTER, WORDS), pl.String()))


def _walk(path: tuple[str, ...], before: Any, after: Any) -> Iterator[dict[str, str]]:
    if before == after:
        return
    left, right = _by_name(path, before), _by_name(path, after)
    if left is None or right is None:
        yield _row(path, before, after)
        return
    for key in dict.fromkeys((*left, *right)):
        yield from _walk((*path, key), left.get(key), right.get(key))


def _by_name(path: tuple[str, ...], value: Any) -> Mapping[str, Any] | None:
    """The parts of a table or of a list of tables by name; None for a value, and for an entry that is not there."""
    if isinstance(value, Mapping):
        return value
    if value is None:
        return {} if len(path) < 2 else None
    if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
        return {str(v.get("name") or v.get("base") or f"number {n}"): v for n, v in enumerate(value, start=1)}
    return None


def _row(path: tuple[str, ...], before: Any, after: Any) -> dict[str, str]:
    kind, is_entry = NAMES.get(path[0]), len(path) == 2 and path[0] in NAMES
    where = f"{kind} {path[1]}" if kind and len(path) > 1 else "" if len(path) == 1 else path[0]
    rest = path[2:] if kind else path[1:] if len(path) > 1 else path
    what = ", ".join(LABELS.get(part, part.replace("_", " ")) for part in rest)
    if is_entry:
        said = f"{where} is {'new' if before is None else 'gone'}"
        return {WHERE: where, WHAT: "", BEFORE: _there(before), AFTER: _there(after), WORDS: said}
    key = path[-1]
    old, new = shown(key, before), shown(key, after)
    said = f"{what}: {old} → {new}{_by(before, after)}"
    return {
        WHERE: where or "scenario",
        WHAT: what,
        BEFORE: old,
        AFTER: new,
        WORDS: f"{where}, {said}" if where else said,
    }


def _there(value: Any) -> str:
    return "–" if value is None else "there"


def shown(key: str, value: Any) -> str:
    """A value as people read it: ratios in percent, thousands apart."""
    if value is None:
        return NOT_STATED
    if isinstance(value, bool) or not isinstance(value, int | Decimal | list | Mapping):
        return str(value)
    if isinstance(value, list):
        return ", ".join(shown(key, v) for v in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {shown(key, v)}" for k, v in value.items()) or "none"
    return percent(value) if key.endswith(_RATIO) else f"{value:,}"


def _by(before: Any, after: Any) -> str:
    numbers = all(isinstance(v, int | Decimal) and not isinstance(v, bool) for v in (before, after))
    return f" ({percent(Decimal(after) / Decimal(before) - 1, signed=True)})" if numbers and before else ""
