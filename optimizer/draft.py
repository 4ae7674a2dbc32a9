"""Writes a commented scenario file from measured spend: what runs today, what it costs, and what it could run on."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from finops import prices
from finops.prices import OwnPrices
from optimizer.offers import SHIPPED, offered_countries

UNIT_PRICE = Decimal("1e-18")
CLOUDS = ("aws", "azure", "gcp")
SERVERS = {
    "H100-80GB": ("hgx_h100_8gpu_server_usd", "dgx_h100_max_power_kw"),
    "B200-180GB": ("hgx_b200_8gpu_server_usd", "dgx_b200_max_power_kw"),
}
"""Accelerators whose eight-way server has a sourced price and power, with the parameters that hold them."""
SHOWN = Decimal("0.01")


@dataclass(frozen=True)
class Measured:
    """Spend of one use case and driver over whole months, with what was measured of it.

    unit: accelerator_hours, million_tokens or, where the bill measures nothing, money. units and cost: all months.
    """

    name: str
    about: str
    kind: str
    unit: str
    units: Decimal
    cost: Decimal
    provider: str
    region: str | None
    country: str | None
    hosting: str
    accelerator: str | None
    use: str | None = None
    """The use case, or the team where it has none."""
    parts: tuple["Measured", ...] = ()
    """The smaller ones that this one, in money, stands for."""


@dataclass(frozen=True)
class Spend:
    """What the scenario is made from: the months, the total of their spend, and the part that is not demand.

    total = placed + unplaced, where placed is the sum of the measured costs; unplaced: taxes, credits, adjustments.
    """

    months: tuple[str, ...]
    last_day: date
    currency: str
    cost: str
    total: Decimal
    unplaced: Decimal
    notes: tuple[str, ...] = ()


def draft(
    name: str,
    *,
    company: str,
    start: str,
    spend: Spend,
    measured: Sequence[Measured],
    book_rate: tuple[Decimal, str, date] | None,
    own: OwnPrices = SHIPPED,
) -> str:
    """The text of a scenario file that solves as written; the demand priced as today sums to the placed spend.

    book_rate: what one USD, the price book's currency, is in the scenario's currency, with source and day; None where
    they are the same or nobody knows, and then only offers in the scenario's currency are used.
    """
    usable = spend.currency == "USD" or book_rate is not None
    parts = [_head(name, company, start, spend, measured, usable=usable)]
    if book_rate is not None:
        rate, source, day = book_rate
        parts.append(
            f'[[fx_rates]]\nbase = "USD"\nquote = "{spend.currency}"\nrate = {rate:f}\n'
            f"source = {_text(source)}\ndate = {day}\n"
        )
    for m in measured:
        parts.append(_workload(m, spend))
    for m in measured:
        parts.append(_today(m, spend))
    by_accelerator = _rented_accelerators(measured)
    for accelerator, users in by_accelerator.items() if usable else ():
        if (offers := _book_block(accelerator, users, own)) is not None:
            parts.append(offers)
        if spend.currency == "USD" and accelerator in SERVERS:
            parts.append(_server(accelerator, users))
    if spend.currency == "USD" and by_accelerator.keys() & SERVERS.keys():
        parts.append(
            '[[sites]]\nname = "own-room"\nspare = 1               # servers kept spare while the site is open\n'
        )
    if any(m.unit == "million_tokens" for m in measured):
        parts.append(_SELF_HOSTING)
    parts.append(_RULES)
    return "\n".join(parts)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _head(name: str, company: str, start: str, spend: Spend, measured: Sequence[Measured], *, usable: bool) -> str:
    placed = sum((m.cost for m in measured), Decimal(0))
    lines = [
        f"# Where should the workloads of {company} run? Made from its own bills; change what you know better.",
        f"# Spend of {', '.join(spend.months)} ({spend.cost} cost): {_number(spend.total)} {spend.currency}",
        f"#   placed below as demand: {_number(placed)} {spend.currency}",
        f"#   not demand (taxes, credits, refunds): {_number(spend.unplaced)} {spend.currency}",
        *(f"# {note}" for note in spend.notes),
        f"# Demand is the mean month of these {len(spend.months)}; at today's prices it costs what was paid.",
    ]
    if not usable:
        lines.append(f"# The price book is in USD and no rate to {spend.currency} is known: its offers are left out.")
    return "\n".join(
        [
            *lines,
            f"name = {_text(name)}",
            f"currency = {_text(spend.currency)}",
            f"start = {_text(start)}",
            "horizon_months = 36",
            "discount_ratio_per_year = 0.08   # your cost of capital",
            "purchase_every_months = 3        # commitments and servers are decided each quarter",
            "",
        ]
    )


def _workload(m: Measured, spend: Spend) -> str:
    monthly = (m.units / len(spend.months)).quantize(UNIT_PRICE)
    lines = [
        f"# {m.about}: {_number(m.cost)} {spend.currency} in {len(spend.months)} month(s)",
        "[[workloads]]",
        f"name = {_text(m.name)}",
        f"kind = {_text(m.kind)}",
        f"unit = {_text(m.unit)}",
        f"demand_per_month = {_number(monthly)}",
        "growth_ratio_per_year = 0.0      # 0.5 is half as much again each year",
        f"today = {_text('today-' + m.name)}",
    ]
    if m.unit == "accelerator_hours":
        lines.append(f"reference_accelerator = {_text(m.accelerator or 'accelerator')}")
    if m.kind in ("training", "fine_tuning"):
        lines.append("window_months = 1                # may wait within the month")
        lines.append("interruptible = true             # restarts from a checkpoint")
        lines.append("spot_share_ratio = 0.5           # at most on capacity that can be taken back")
    lines.append('# residency = ["EU"]             # data must stay there')
    lines.append("# max_latency_ms = 100")
    lines.append('# allowed_hosting = ["cloud", "on_prem", "colo"]')
    return "\n".join([*lines, ""])


def _number(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _today(m: Measured, spend: Spend) -> str:
    price = (m.cost / m.units).quantize(UNIT_PRICE)
    lines = [
        "[[options]]",
        f"name = {_text('today-' + m.name)}",
        f'kind = "{"api" if m.hosting == "api" else "metered"}"                  # goes on as it is billed today',
        f"hosting = {_text(m.hosting)}",
        f"provider = {_text(m.provider)}",
        *([f"region = {_text(m.region)}"] if m.region else []),
        *([f"country = {_text(m.country)}"] if m.country else []),
        f"unit = {_text(m.unit)}",
        f"workloads = [{_text(m.name)}]",
        f'price = {{ amount = {_number(price)}, source = "own bills, {spend.months[0]} to {spend.months[-1]}", '
        f"date = {spend.last_day} }}",
        "",
    ]
    return "\n".join(lines)


def _rented_accelerators(measured: Sequence[Measured]) -> Mapping[str, list[Measured]]:
    found: dict[str, list[Measured]] = {}
    for m in measured:
        if m.unit == "accelerator_hours" and m.accelerator:
            found.setdefault(m.accelerator, []).append(m)
    return found


def _book_block(accelerator: str, users: Sequence[Measured], own: OwnPrices) -> str | None:
    """The offers for an accelerator: in the countries it runs in today where the book has any, else anywhere."""
    offers = prices.load_offers(own.offers).filter(
        pl.col("accelerator") == accelerator, pl.col("provider").is_in(CLOUDS)
    )
    if offers.is_empty():
        return None
    here = {m.country for m in users if m.country}
    countries = sorted(here & offered_countries(accelerator, own))
    spot = any(m.kind in ("training", "fine_tuning") for m in users)
    kinds = ["on_demand", "reservation", *(["spot"] if spot else [])]
    lines = [
        f"# The cheapest offers of each provider for {accelerator}, with source and date from the price book.",
        "[[price_book]]",
        f"accelerators = [{_text(accelerator)}]",
        f"providers = [{', '.join(_text(c) for c in CLOUDS)}]",
        f"kinds = [{', '.join(_text(k) for k in kinds)}]",
        f"workloads = [{', '.join(_text(m.name) for m in users)}]",
        '# regions = ["eu-central-1"]',
        "# latency_ms = 30",
        *(["interruption_ratio = 0.1         # share of spot work that is lost and repeated"] if spot else []),
        *([f"countries = [{', '.join(_text(c) for c in countries)}]       # where it runs today"] if countries else []),
        "",
    ]
    return "\n".join(lines)


def _server(accelerator: str, users: Sequence[Measured]) -> str:
    figures = {row["parameter"]: row for row in prices.load_onprem_assumptions().iter_rows(named=True)}
    server, power = (figures[parameter] for parameter in SERVERS[accelerator])

    def value(parameter: str) -> str:
        return _number(figures[parameter]["value"])

    staff = figures["staff_fte_per_server"]["value"] * figures["staff_usd_per_fte_year"]["value"] / 12
    source = re.sub(r"\s+", " ", figures["energy_usd_per_kwh"]["source"])
    return "\n".join(
        [
            f"# A server of one's own with eight {accelerator}; planning figures, to be replaced by an offer.",
            "[[options]]",
            f"name = {_text('own-' + accelerator)}",
            'kind = "on_prem"',
            'provider = "own"',
            'site = "own-room"',
            f"accelerator = {_text(accelerator)}",
            "accelerator_count = 8",
            f"workloads = [{', '.join(_text(m.name) for m in users)}]",
            "utilisation_ceiling_ratio = 0.8",
            f"life_months = {12 * int(figures['life_years']['value'])}",
            "residual_ratio = 0.0",
            f"power_kw = {_number(power['value'])}",
            f"pue = {value('pue_enterprise_colo')}",
            f"energy_price_per_kwh = {value('energy_usd_per_kwh')}",
            f"colo_price_per_kw_month = {value('colo_usd_per_kw_month')}",
            f"maintenance_ratio_per_year = {value('maintenance_ratio_per_year')}",
            f"staff_cost_per_month = {_number(staff.quantize(SHOWN))}",
            f"running_source = {_text(source)}",
            f"running_date = {figures['energy_usd_per_kwh']['date']}",
            "lead_time_months = 4",
            "[options.price]",
            f"amount = {_number(server['value'])}",
            f"source = {_text(server['source'])}",
            f"date = {server['date']}",
            "",
        ]
    )


_SELF_HOSTING = """\
# Model APIs are compared with self-hosting once an open model is good enough for the work: give the workload the
# throughput of one accelerator, and offers of [[price_book]] or a server of your own can serve it. A published figure:
# Llama 3.3 70B (FP8), 1,000 tokens in and 1,000 out, serves 15.1 million tokens per H100-80GB hour at full load
# (NVIDIA, TensorRT-LLM 1.0, performance overview); plan with half of it or less where answers must be fast.
#   units_per_accelerator_hour = { "H100-80GB" = 7.5 }      # in its [[workloads]]
"""

_RULES = """\
# Rules for the plan as a whole. Each one that is stated gets its price in the plan.
[rules]
# budget_per_year = [1_000_000, 1_200_000, 1_400_000]
# capex_budget_per_year = [500_000]
# provider_share_ratio = { "AWS" = 0.6 }
warn_ratio = 0.25                # warn where a policy has cost so much more than the plan
"""
