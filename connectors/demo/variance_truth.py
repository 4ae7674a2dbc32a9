"""Why the demo company's cost really changed from month to month, from the plan's own quantities and prices.

It knows what each row of the bill is before any export is written, so nothing of a connector, a rule or the lake is in
it. The factors are averaged over all 24 orders one by one, in floats.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from itertools import permutations
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from connectors.demo import ledger
from connectors.demo.activity import QUANTITY, SKU
from connectors.demo.api_plan import ANTHROPIC, KEYS, OPENAI
from connectors.demo.company import Calendar, next_month
from connectors.demo.finance import fx_rates
from connectors.demo.model_apis import CREDIT, TOKENS, Apis
from connectors.demo.model_apis import with_owners as asked_with_owners
from connectors.demo.skus import skus
from connectors.demo.truth import with_owners
from finops import capital
from finops.schema import CONTEXT

STEPS: Final = (
    "price", "volume", "mix", "cache", "commitment", "currency", "new", "ended", "credits", "unexplained",
)  # fmt: skip
TOKENS_PER_UNIT: Final = {
    "aws.sonnet": 1e3, "aws.novalite": 1e3, "aws.novapro": 1e3, "aws.haiku": 1e6, "azure.gpt41": 1.0,
    "azure.gpt5codex": 1.0, "azure.embed3": 1.0, "gcp.flash": 1.0, "gcp.pro": 1.0,
}  # fmt: skip
"""Models of the clouds: how many tokens one consumed unit of their SKUs is."""
HOSTED_GPUS: Final = {
    "aws.sm.g5": 1.0, "aws.sm.g5.eu": 1.0, "aws.sm.p4d": 8.0, "gcp.a2.gpu": 1.0, "gcp.g2.gpu.spot": 1.0,
    "gcp.tpu.v5e": 1.0, "gcp.vertex.a100": 1.0,
}  # fmt: skip
"""Accelerators of what the offer book does not list, or sells with a machine's cores and memory apart."""
_ROWS: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(("family", "line", "item", "kind", "part"), pl.String()), "month": pl.Date(),
    "quantity": pl.Float64(), "amount": pl.Float64(),
}  # fmt: skip
_ORDERS: Final = tuple(permutations(range(4)))

Row = Mapping[str, Any]
Numbers = NDArray[np.float64]


def variance(
    shown: pl.DataFrame, apis: Apis, calendar: Calendar, *, before: date, after: date, seed: int
) -> dict[str, float]:
    """What moved the effective cost from one month to another, in USD, by STEPS.

    shown: the charges of the clouds that the exports show. before, after: first days of months in which no own server
    came or went. Own servers cost by the day, or the same each month: what they cost more is volume.
    """
    servers = _own_servers(calendar)
    cells = _cells(pl.concat([_clouds(shown), _asked(apis), servers]), before, after)
    found = dict.fromkeys(STEPS, 0.0)
    for part, step in (("credit", "credits"), ("commitment", "commitment")):
        found[step] += _change(cells.filter(part=part))
    for _, family in cells.filter(pl.col("part").is_in(["usage", "fee"])).group_by("family"):
        _explain(family, found)
    worth = _change(_cells(servers, before, after))
    for step, amount in _running_costs(calendar, before, after, seed, worth).items():
        found[step] += amount
    return found


def _explain(family: pl.DataFrame, found: dict[str, float]) -> None:
    """Add what moved one service of one use case."""
    there = [bool(((family[f"c{n}"] != 0) | (family[f"q{n}"] != 0)).any()) for n in (0, 1)]
    if not all(there):
        found["new" if there[1] else "ended"] += _change(family)
        return
    found["unexplained"] += _change(family.filter(part="fee"))
    for _, line in family.filter(part="usage").group_by("line"):
        if not all((line[f"q{n}"] > 0).any() for n in (0, 1)):
            found["mix"] += _change(line)
            continue
        for step, amount in zip(("volume", "mix", "cache", "price"), _factors(line), strict=True):
            found[step] += float(amount)


def _factors(line: pl.DataFrame) -> Numbers:
    """The effects of volume, mix, share and price, averaged over all orders in which they can change."""
    names = ("q0", "q1", "c0", "c1", "i0", "i1")
    of = line.with_columns(pl.col("q0", "q1").sum().over("item").name.map(lambda n: n.replace("q", "i")))
    q0, q1, c0, c1, i0, i1 = (of[name].to_numpy() for name in names)
    values: list[tuple[Any, Any]] = [
        (q0.sum(), q1.sum()), (i0 / q0.sum(), i1 / q1.sum()), _ratios(q0, i0, q1, i1), _ratios(c0, q0, c1, q1),
    ]  # fmt: skip
    effects = np.zeros(4)
    for order in _ORDERS:
        state = [0, 0, 0, 0]
        cost = c0.sum()
        for factor in order:
            state[factor] = 1
            volume, mix, share, price = (pair[at] for pair, at in zip(values, state, strict=True))
            moved = float(volume * (mix * share * price).sum())
            effects[factor] += (moved - cost) / len(_ORDERS)
            cost = moved
    return effects


def _ratios(part0: Numbers, whole0: Numbers, part1: Numbers, whole1: Numbers) -> tuple[Numbers, Numbers]:
    """part / whole of both months; where one has no whole it takes the other's."""
    pairs = ((part0, whole0), (part1, whole1))
    first, second = (np.divide(p, w, out=np.full_like(p, np.nan), where=w > 0) for p, w in pairs)
    return np.where(np.isnan(first), second, first), np.where(np.isnan(second), first, second)


def _change(cells: pl.DataFrame) -> float:
    return float(cells.select(pl.col("c1").sum() - pl.col("c0").sum()).item())


def _cells(rows: pl.DataFrame, before: date, after: date) -> pl.DataFrame:
    """A row a cell with quantity and cost of both months: q0, q1, c0, c1."""
    keys = ["family", "line", "item", "kind", "part"]
    sums = [
        pl.col(column).filter(pl.col("month") == month).sum().alias(f"{short}{n}")
        for n, month in enumerate((before, after)) for column, short in (("quantity", "q"), ("amount", "c"))
    ]  # fmt: skip
    known = rows.filter(pl.col("month").is_in([before, after])).with_columns(pl.col("quantity").fill_null(0.0))
    return known.group_by(keys).agg(sums).sort(keys)


# ---------------------------------------------------------------------------------------------------------------- rows
def _clouds(shown: pl.DataFrame) -> pl.DataFrame:
    """The charges of the clouds; usage at the contracted price, and beside it what a commitment changes of it."""
    owned = with_owners(shown).join(
        skus().select(SKU, "service_name", "pricing_unit", "gpus"), on=SKU, how="left", maintain_order="left"
    )
    model = pl.col(SKU).str.replace(r"\.(in|out|read|write)$", "")
    per_unit = model.replace_strict(TOKENS_PER_UNIT, default=None, return_dtype=pl.Float64)
    listed = pl.when(~pl.col(SKU).str.contains(r"\.(core|ram)\b")).then("gpus")
    gpus = pl.coalesce(pl.col(SKU).replace_strict(HOSTED_GPUS, default=None, return_dtype=pl.Float64), listed)
    usage = (pl.col("category") == "Usage") & pl.col("charge_class").is_null()
    committed, unused = pl.col("commitment").is_not_null(), (pl.col("commitment_status") == "Unused").fill_null(False)
    who = pl.concat_str(
        [pl.col("team"), pl.coalesce("use_case", "account"), pl.col("purpose")], separator="/", ignore_nulls=True
    )
    unit = (
        pl.when(per_unit.is_not_null()).then(pl.lit("tokens")).when(gpus.is_not_null()).then(pl.lit("accelerators"))
    )  # fmt: skip
    service = pl.concat_str("source", "service_name", separator="/")
    family = pl.concat_str(who, pl.coalesce(unit, service), separator="|")
    metered = usage & ~unused & pl.col(QUANTITY).is_not_null()
    named = owned.with_columns(
        month=pl.col("first_day").dt.month_start(), family=family,
        line=pl.concat_str(family, pl.when(unit.is_null()).then(SKU).fill_null(""), separator="|"),
        item=pl.concat_str("account", pl.when(per_unit.is_null()).then(SKU).otherwise(model), separator="|"),
        kind=SKU,
        quantity=pl.when(metered).then(
            pl.when(per_unit.is_not_null()).then(pl.col(QUANTITY) * per_unit)
            .when(gpus.is_not_null()).then(pl.col(QUANTITY) * gpus).otherwise("pricing_quantity")
        ),
    )  # fmt: skip
    part = (
        pl.when((pl.col("category") == "Credit") | pl.col("charge_class").is_not_null()).then(pl.lit("credit"))
        .when(metered).then(pl.lit("usage")).otherwise(pl.lit("fee"))
    )  # fmt: skip
    plain = named.filter(~committed | (usage & ~unused)).with_columns(
        part=part, amount=pl.when(committed).then("contracted_cost").otherwise("effective_cost")
    )
    held = named.filter(committed).with_columns(
        part=pl.lit("commitment"), quantity=pl.lit(None, pl.Float64),
        amount=pl.col("effective_cost") - pl.when(usage & ~unused).then("contracted_cost").otherwise(0.0),
    )  # fmt: skip
    return pl.concat([frame.select(pl.col(c).cast(t) for c, t in _ROWS.items()) for frame in (plain, held)])


def _asked(apis: Apis) -> pl.DataFrame:
    """What OpenAI and Anthropic bill. OpenAI's bill has keys and quantities; Anthropic's has neither."""
    use_cases = pl.DataFrame([(k.key, k.use_case) for k in KEYS], orient="row", schema=["key", "use_case"])
    owned = asked_with_owners(apis.costs).join(use_cases, on="key", how="left", maintain_order="left")
    is_token = pl.col("item").is_in(TOKENS)
    told = pl.when(pl.col("source") == OPENAI).then("use_case")
    who = pl.concat_str(
        [pl.col("team"), pl.coalesce(told, "project"), pl.col("purpose")], separator="/", ignore_nulls=True
    )
    family = pl.concat_str(who, pl.when(is_token).then(pl.lit("tokens")).otherwise("source"), separator="|")
    sku = pl.concat_str("model", "item", separator="/")
    counted = is_token | (pl.col("source") != ANTHROPIC)
    return owned.with_columns(
        family=family, line=pl.concat_str(family, pl.when(~is_token).then(sku).otherwise(pl.lit("")), separator="|"),
        kind=pl.concat_str("item", pl.col(CONTEXT).cast(pl.String).fill_null(""), separator="/"),
        item=pl.concat_str("project", "model", pl.col("service_tier").fill_null(""), separator="|"),
        part=pl.when(pl.col("item") == CREDIT).then(pl.lit("credit")).when(counted).then(pl.lit("usage"))
        .otherwise(pl.lit("fee")),
        amount="cost",
    ).select(pl.col(c).cast(t) for c, t in _ROWS.items())  # fmt: skip


def _own_servers(calendar: Calendar) -> pl.DataFrame:
    """The hours of own servers that are paid in USD, beside those of the clouds: what they lose of their worth."""
    rows = []
    for asset in ledger.assets(calendar).filter(pl.col("currency") == "USD").iter_rows(named=True):
        start = date.fromisoformat(asset["in_service_date"])
        price, residual, life = (Decimal(asset[n]) for n in ("purchase_price", "residual_ratio", "life_years"))
        days = (capital.life_end(in_service=start, life_years=life) - start).days
        worth = capital.daily_depreciation(price=price, residual_ratio=residual, days=days)
        family = f"{asset['team']}/{asset['use_case']}/{asset['purpose']}|accelerators"
        for month in calendar.months:
            first, last = max((month - start).days, 0), (next_month(month) - start).days
            rows.append({
                "family": family, "line": f"{family}|", "item": asset["asset_id"], "kind": "", "part": "usage",
                "month": month,
                "quantity": max(last - first, 0) * 24.0 * float(asset["accelerator_count"]),
                "amount": float(sum(worth[first : max(last, 0)])),
            })  # fmt: skip
    return pl.DataFrame(rows, schema=_ROWS)


def _running_costs(calendar: Calendar, before: date, after: date, seed: int, worth: float) -> dict[str, float]:
    """What own servers cost more, beside what they lose of their worth in USD: local cost is volume, rates currency."""
    costs = ledger.monthly_costs(calendar)
    months = pl.col("day").dt.month_start()
    to_usd = dict(fx_rates(calendar, seed).group_by(months).agg(pl.col("rate").cast(pl.Float64).mean()).iter_rows())
    found = {"volume": -worth, "currency": 0.0}
    for currency in sorted({cost.currency for cost in costs}):
        local = [
            sum(float(c.effective) for c in costs if (c.currency, c.month) == (currency, month))
            for month in (before, after)
        ]
        rate = [1.0 if currency == "USD" else to_usd[month] for month in (before, after)]
        found["volume"] += (local[1] - local[0]) * (rate[0] + rate[1]) / 2
        found["currency"] += (rate[1] - rate[0]) * (local[0] + local[1]) / 2
    return found
