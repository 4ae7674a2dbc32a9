"""Writes a commented scenario file from measured spend: what runs today, what it costs, and what it could run on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from finops.prices import OwnPrices
from optimizer.drafted_offers import SERVERS, Asked, book_offers, server
from optimizer.offers import SHIPPED
from optimizer.scenario import LoadBlock
from optimizer.standing import PURCHASE_MONTHS, Billed, Commitment, OwnServers, number, option_lines, text

UNIT_PRICE = Decimal("1e-18")


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
    driver: str | None = None
    block: OwnServers | Commitment | None = None
    """What stands for it whatever runs, where it runs on nothing else."""
    parts: tuple["Measured", ...] = ()
    """The smaller ones that this one, in money, stands for."""


@dataclass(frozen=True)
class Spend:
    """What the scenario is made from: the months, the total of their spend, and the part that is not demand.

    total = placed + unplaced + saving, where placed is the sum of the measured costs; unplaced: taxes, credits,
    adjustments; saving: what right-sizing took off.
    """

    months: tuple[str, ...]
    last_day: date
    currency: str
    cost: str
    total: Decimal
    unplaced: Decimal
    notes: tuple[str, ...] = ()
    saving: Decimal = Decimal(0)


@dataclass(frozen=True)
class Outlook:
    """What is known of the months to come, each with its source in words.

    growth: a year, by workload. spread: standard deviation of the logarithm of demand after a year.
    """

    growth: Mapping[str, tuple[Decimal, str]] = field(default_factory=dict)
    spread: tuple[Decimal, str] | None = None
    load_blocks: tuple[LoadBlock, ...] = ()
    load_source: str = ""


def sunk(measured: Sequence[Measured]) -> Decimal:
    """What of the placed spend is the purchase of servers that stand: paid already, and in no plan's cost."""
    return sum((m.block.sunk for m in measured if isinstance(m.block, OwnServers)), Decimal(0))


def draft(
    name: str,
    *,
    company: str,
    start: str,
    spend: Spend,
    measured: Sequence[Measured],
    book_rate: tuple[Decimal, str, date] | None,
    own: OwnPrices = SHIPPED,
    outlook: Outlook = Outlook(),
) -> str:
    """The text of a scenario file that solves as written; going on as today costs the placed spend less what is sunk.

    book_rate: what one USD, the price book's currency, is in the scenario's currency, with source and day; None where
    they are the same or nobody knows, and then only offers in the scenario's currency are used.
    """
    usable = spend.currency == "USD" or book_rate is not None
    parts = [_head(name, company, start, spend, measured, usable=usable)]
    if book_rate is not None:
        rate, source, day = book_rate
        parts.append(
            f'[[fx_rates]]\nbase = "USD"\nquote = "{spend.currency}"\nrate = {rate:f}\n'
            f"source = {text(source)}\ndate = {day}\n"
        )
    parts += [_load(outlook), _uncertainty(outlook, measured)]
    parts += [_workload(m, spend, outlook) for m in measured]
    parts += [_today(m, spend) for m in measured]
    by_accelerator = _rented_accelerators(measured)
    rate = book_rate[0] if book_rate is not None else Decimal(1)
    for accelerator, users in by_accelerator.items() if usable else ():
        asked = Asked(
            accelerator,
            tuple(m.name for m in users),
            {m.country for m in users if m.country},
            any(m.kind in ("training", "fine_tuning") for m in users),
        )
        parts += book_offers(asked, start, own)
        if accelerator in SERVERS:
            parts.append(server(asked, rate))
    if usable and by_accelerator.keys() & SERVERS.keys():
        parts.append(
            '[[sites]]\nname = "own-room"\nspare = 1               # servers kept spare while the site is open\n'
        )
    if any(m.unit == "million_tokens" for m in measured):
        parts.append(_SELF_HOSTING)
    parts.append(_RULES)
    return "\n".join(part for part in parts if part)


def _head(name: str, company: str, start: str, spend: Spend, measured: Sequence[Measured], *, usable: bool) -> str:
    placed = sum((m.cost for m in measured), Decimal(0))
    lines = [
        f"# Where should the workloads of {company} run? Made from its own bills; change what you know better.",
        f"# Spend of {', '.join(spend.months)} ({spend.cost} cost): {number(spend.total)} {spend.currency}",
        f"#   placed below as demand: {number(placed)} {spend.currency}",
        *_of_placed(measured, spend.currency),
        f"#   not demand (taxes, credits, refunds): {number(spend.unplaced)} {spend.currency}",
        *([f"#   saved by right-sizing first: {number(spend.saving)} {spend.currency}"] if spend.saving else []),
        *(f"# {note}" for note in spend.notes),
        f"# Demand is the mean month of these {len(spend.months)}; at today's prices it costs what was paid.",
    ]
    if not usable:
        lines.append(f"# The price book is in USD and no rate to {spend.currency} is known: its offers are left out.")
    return "\n".join(
        [
            *lines,
            f"name = {text(name)}",
            f"currency = {text(spend.currency)}",
            f"start = {text(start)}",
            "horizon_months = 36",
            "discount_ratio_per_year = 0.08   # your cost of capital",
            f"purchase_every_months = {PURCHASE_MONTHS}        # commitments and servers are decided each quarter",
            "quarters_after_months = 12       # what runs where is decided by the month in the first year only",
            "",
        ]
    )


def _of_placed(measured: Sequence[Measured], currency: str) -> list[str]:
    """What of the placed spend stands whatever runs, in words."""
    servers = [m for m in measured if isinstance(m.block, OwnServers)]
    promised = [m for m in measured if isinstance(m.block, Commitment)]
    purchase = sunk(measured)
    running = sum((m.cost for m in servers), Decimal(0)) - purchase
    committed = sum((m.cost for m in promised), Decimal(0))
    return [
        *([f"#     of it running cost of own servers: {number(running)} {currency}"] if servers else []),
        *(
            [f"#     of it purchase of own servers, sunk and in no plan: {number(purchase)} {currency}"]
            if servers
            else []
        ),
        *([f"#     of it commitments that run: {number(committed)} {currency}"] if promised else []),
    ]


def _load(outlook: Outlook) -> str:
    """The load blocks, each workload with its own level."""
    lines = [f"# Load by the hour: {outlook.load_source}."] if outlook.load_blocks else []
    for b in outlook.load_blocks:
        levels = ", ".join(f"{text(name)} = {number(level)}" for name, level in b.workloads.items())
        lines += [
            "[[load_blocks]]",
            f"name = {text(b.name)}",
            f"hours_ratio = {number(b.hours_ratio)}",
            f"demand_ratio = {number(b.demand_ratio)}",
            f"workloads = {{ {levels} }}",
            "",
        ]
    return "\n".join(lines)


def _uncertainty(outlook: Outlook, measured: Sequence[Measured]) -> str:
    """How far demand may come out from what is stated: measured, or as a comment to be filled in."""
    stands = ", ".join(text(m.name) for m in measured if m.block is not None)
    if outlook.spread is None:
        return (
            "# [uncertainty]                  # no forecast tells how far demand may come out: state it to see risk\n"
            '# sd_ratio_per_year = 0.2\n# source = "an estimate"\n'
        )
    ratio, source = outlook.spread
    return "\n".join(
        [
            "[uncertainty]",
            f"sd_ratio_per_year = {number(ratio)}",
            "scenarios = 2                    # courses of demand that the plan hedges against; 5 at most",
            f"source = {text(source)}",
            *([f"certain = [{stands}]   # standing capacity does what it does"] if stands else []),
            "",
        ]
    )


def _workload(m: Measured, spend: Spend, outlook: Outlook) -> str:
    growth, why = outlook.growth.get(m.name, (Decimal(0), "0.5 is half as much again each year"))
    if m.block is not None:
        growth, why = Decimal(0), "what stands does what it does; more of it is more of what is rented"
    monthly = (m.units / len(spend.months)).quantize(UNIT_PRICE)
    lines = [
        f"# {m.about}: {number(m.cost)} {spend.currency} in {len(spend.months)} month(s)",
        "[[workloads]]",
        f"name = {text(m.name)}",
        f"kind = {text(m.kind)}",
        f"unit = {text(m.unit)}",
        f"demand_per_month = {number(monthly)}",
        f"growth_ratio_per_year = {number(growth) if growth else '0.0'}      # {why}",
        f"today = {text('today-' + m.name)}",
    ]
    if m.unit == "accelerator_hours":
        lines.append(f"reference_accelerator = {text(m.accelerator or 'accelerator')}")
    if m.kind in ("training", "fine_tuning"):
        lines.append("window_months = 1                # may wait within the month")
        lines.append("interruptible = true             # restarts from a checkpoint")
        lines.append("spot_share_ratio = 0.5           # at most on capacity that can be taken back")
    lines.append('# residency = ["EU"]             # data must stay there')
    lines.append("# max_latency_ms = 100")
    lines.append('# allowed_hosting = ["cloud", "on_prem", "colo"]')
    return "\n".join([*lines, ""])


def _today(m: Measured, spend: Spend) -> str:
    """The option it runs on now: what stands for it, or its own price by use."""
    months = f"{spend.months[0]} to {spend.months[-1]}"
    if m.block is not None:
        billed = Billed(
            m.name, m.units, m.cost, len(spend.months), m.provider, m.region, m.country, str(m.accelerator), months,
            spend.last_day,
        )  # fmt: skip
        return "\n".join(option_lines(m.block, billed))
    price = (m.cost / m.units).quantize(UNIT_PRICE)
    lines = [
        "[[options]]",
        f"name = {text('today-' + m.name)}",
        f'kind = "{"api" if m.hosting == "api" else "metered"}"                  # goes on as it is billed today',
        f"hosting = {text(m.hosting)}",
        f"provider = {text(m.provider)}",
        *([f"region = {text(m.region)}"] if m.region else []),
        *([f"country = {text(m.country)}"] if m.country else []),
        f"unit = {text(m.unit)}",
        f"workloads = [{text(m.name)}]",
        f'price = {{ amount = {number(price)}, source = "own bills, {months}", date = {spend.last_day} }}',
        "",
    ]
    return "\n".join(lines)


def _rented_accelerators(measured: Sequence[Measured]) -> Mapping[str, list[Measured]]:
    found: dict[str, list[Measured]] = {}
    for m in measured:
        if m.unit == "accelerator_hours" and m.accelerator:
            found.setdefault(m.accelerator, []).append(m)
    return found


_SELF_HOSTING = """\
# Model APIs are compared with self-hosting once an open model is good enough for the work: give the workload the
# throughput of one accelerator, and offers of [[price_book]] or a server of your own can serve it. A published figure:
# Llama 3.3 70B (FP8), 1,000 tokens in and 1,000 out, serves 15.1 million tokens per H100-80GB hour at full load
# (NVIDIA, TensorRT-LLM 1.0, performance overview); plan with half of it or less where answers must be fast.
#   units_per_accelerator_hour = { "H100-80GB" = 7.5 }      # in its [[workloads]]
"""

_RULES = """\
# A savings plan or flexible commitment that you are offered: what you rent on demand then costs less.
# [[spend_commitments]]
# name = "savings-plan-1y"
# provider = "aws"
# discount_ratio = { "NAME OF AN ON-DEMAND OPTION" = 0.27 }    # names: finops scenario show NAME --format csv
# term_months = 12
# source = "an offer"
# date = 2026-11-01

# Rules for the plan as a whole. Each one that is stated gets its price in the plan.
[rules]
# budget_per_year = [1_000_000, 1_200_000, 1_400_000]
# capex_budget_per_year = [500_000]
# provider_share_ratio = { "AWS" = 0.6 }
warn_ratio = 0.25                # warn where a policy has cost so much more than the plan
"""
