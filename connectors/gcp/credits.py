"""Credits of a row: a repeated record as JSON or as a Python literal, summed once whatever else repeats them.

| credit type | is |
|---|---|
| COMMITTED_USAGE_DISCOUNT, COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE | a commitment's part of what the row costs |
| SUSTAINED_USAGE_DISCOUNT, DISCOUNT, RESELLER_MARGIN, SUBSCRIPTION_BENEFIT | a discount on what the row costs |
| FEE_UTILIZATION_OFFSET | the part of a commitment's fee that usage has paid for |
| PROMOTION, FREE_TIER, any other | a credit that pays for the row |

Source: credit types of Cloud Billing, from notes of 2026-11-21; which of them are discounts is our reading.
"""

import ast
import json
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

import polars as pl

from finops import schema as s

TOTAL, DISCOUNT, TAKEN, OFFSET = "credits total", "credits discount", "credits committed", "credits offset"
NAMES, TYPES, COMMITMENT, BY_MONEY, BAD = (
    "credits names", "credits types", "credits commitment", "credits by money", "credits bad",
)  # fmt: skip

COMMITTED: Final = ("COMMITTED_USAGE_DISCOUNT", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE")
_SPELLED: Final = {
    "COMMITTED_USE_DISCOUNT": "COMMITTED_USAGE_DISCOUNT",
    "COMMITTED_USE_DISCOUNT_DOLLAR_BASE": "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE",
    "SUSTAINED_USE_DISCOUNT": "SUSTAINED_USAGE_DISCOUNT",
}
DISCOUNTS: Final = (
    *COMMITTED, "SUSTAINED_USAGE_DISCOUNT", "DISCOUNT", "RESELLER_MARGIN", "SUBSCRIPTION_BENEFIT",
)  # fmt: skip
_OFFSETS: Final = "FEE_UTILIZATION_OFFSET"
_KIND: Final = pl.Struct(
    {
        TOTAL: s.MONEY, DISCOUNT: s.MONEY, TAKEN: s.MONEY, OFFSET: s.MONEY, NAMES: pl.String(),
        TYPES: pl.String(), COMMITMENT: pl.String(), BY_MONEY: pl.Boolean(), BAD: pl.Boolean(),
    }
)  # fmt: skip
_DIGITS: Final = Decimal("1e-18")


def records(text: str | None) -> list[dict[str, Any]] | None:
    """The records of a repeated field, as JSON or a Python literal; none for an empty one, null where it is neither."""
    if text is None or not text.strip():
        return []
    try:
        found = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError:
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    found = [found] if isinstance(found, dict) else found
    if found is None:
        return []
    return found if isinstance(found, list) and all(isinstance(record, dict) for record in found) else None


def read(cell: pl.Expr) -> pl.Expr:
    """What the credits of each row come to; a struct of the columns above."""

    def work(texts: pl.Series) -> pl.Series:
        return pl.Series([_summed(text) for text in texts], dtype=_KIND)

    return cell.map_batches(work, return_dtype=_KIND, is_elementwise=True)


@lru_cache(maxsize=10_000)
def _summed(text: str | None) -> dict[str, Any]:
    found = records(text)
    try:
        credits = [(_type(record), _amount(record["amount"]), record) for record in found or []]
    except (KeyError, TypeError, InvalidOperation):
        found, credits = None, []

    def total(*types: str) -> Decimal:
        return sum((amount for kind, amount, _ in credits if kind in types), Decimal(0))

    committed = [(kind, record) for kind, _, record in credits if kind in (*COMMITTED, _OFFSETS)]
    names = dict.fromkeys(str(r.get("full_name") or r.get("name") or kind) for kind, _, r in credits)
    return {
        TOTAL: None if found is None else sum((amount for _, amount, _ in credits), Decimal(0)),
        DISCOUNT: total(*DISCOUNTS),
        TAKEN: total(*COMMITTED),
        OFFSET: total(_OFFSETS),
        NAMES: "; ".join(names) or None,
        TYPES: ", ".join(dict.fromkeys(kind for kind, _, _ in credits if kind)) or None,
        COMMITMENT: next((str(r.get("id") or r.get("name") or kind) for kind, r in committed), None),
        BY_MONEY: any(kind != COMMITTED[0] for kind, _ in committed) if committed else None,
        BAD: found is None,
    }


def _type(record: dict[str, Any]) -> str:
    """The credit's type; exports from before 2020 have none, and their credits' names begin with it."""
    kind = str(record.get("type") or "").upper()
    if not kind:
        named = str(record.get("name") or "").upper().replace(" ", "_")
        kind = next((known for known in (*DISCOUNTS, *_SPELLED) if named.startswith(known)), "")
    return _SPELLED.get(kind, kind)


def _amount(value: Any) -> Decimal:
    """A credit's amount, to the places that the lake keeps; a float by its shortest text."""
    amount = Decimal(str(value)).quantize(_DIGITS) if value is not None else Decimal(0)
    if not amount.is_finite():
        raise InvalidOperation
    return amount
