"""What stands when the horizon starts: own servers of the ledger and commitments of the bills, as options.

Each is made such that going on as it is costs what was paid in the mean month: what one block does and what one kWh, kW
or person costs are what the bills came to, for a month of 730 hours. A server's purchase is sunk and costs nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_UP, Decimal, localcontext
from typing import Final

from finops.money import CONTEXT
from optimizer.terms import HOURS_PER_MONTH

UNIT: Final = Decimal("1e-18")
WORK: Final = Decimal("1e-12")
PURCHASE_MONTHS: Final = 3
"""Commitments and servers of a drafted scenario are decided once in so many months."""


@dataclass(frozen=True)
class OwnServers:
    """Like servers of the ledger that do one workload; amounts of money are of all of them over the spend's months.

    price: of one. running costs are paid whatever runs; sunk: depreciation, or the purchase where cash is counted.
    """

    count: int
    accelerators: Decimal
    hosting: str
    bought: str
    ends: str
    months_left: int
    life_months: int
    residual_ratio: Decimal
    price: Decimal
    power_kw: Decimal
    utilisation_ratio: Decimal
    pue: Decimal
    energy: Decimal
    colocation: Decimal
    support: Decimal
    staff: Decimal
    sunk: Decimal


@dataclass(frozen=True)
class Commitment:
    """A commitment that a workload uses whole; on_demand: what its use would have cost without, over the months.

    in_money: money per hour was promised, not machines.
    """

    names: tuple[str, ...]
    in_money: bool
    count: int
    accelerators: Decimal
    term_months: int
    months_left: int
    ends: str
    on_demand: Decimal


@dataclass(frozen=True)
class Billed:
    """What a standing block is drafted from: the workload, its spend over so many months, and where it is."""

    workload: str
    units: Decimal
    cost: Decimal
    months: int
    provider: str
    region: str | None
    country: str | None
    accelerator: str
    source: str
    day: date


def option_lines(block: OwnServers | Commitment, billed: Billed) -> list[str]:
    """The TOML lines of the option, and of the spend commitment that covers it."""
    with localcontext(CONTEXT):
        if isinstance(block, OwnServers):
            return _servers(block, billed)
        return _promised(block, billed) if block.in_money else _reserved(block, billed)


def number(value: Decimal) -> str:
    """A plain number without zeros at its end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def text(value: str) -> str:
    """A string of TOML."""
    return json.dumps(value, ensure_ascii=False)


def _common(kind: str, accelerators: Decimal, billed: Billed) -> list[str]:
    return [
        "[[options]]",
        f"name = {text('today-' + billed.workload)}",
        f"kind = {text(kind)}",
        f"provider = {text(billed.provider)}",
        *([f"region = {text(billed.region)}"] if billed.region else []),
        *([f"country = {text(billed.country)}"] if billed.country else []),
        f"accelerator = {text(billed.accelerator)}",
        f"accelerator_count = {number(accelerators)}",
        f"workloads = [{text(billed.workload)}]",
    ]


def _measured_work(count: int, billed: Billed) -> str:
    """What one block does in an hour, such that all of them do the mean month's work in 730 hours, not a digit less."""
    work = (billed.units / billed.months / HOURS_PER_MONTH / count).quantize(WORK, rounding=ROUND_UP)
    return f"units_per_capacity_hour = {{ {text(billed.workload)} = {number(work)} }}   # as measured"


def _servers(block: OwnServers, billed: Billed) -> list[str]:
    servers = Decimal(block.count * billed.months)

    def of(amount: Decimal, base: Decimal) -> str:
        return number((amount / base / servers).quantize(UNIT) if base else Decimal(0))

    drawn = block.power_kw * block.utilisation_ratio * block.pue * HOURS_PER_MONTH
    return [
        f"# {block.count} server(s) of one's own, bought {block.bought}; {block.ends}. The purchase is sunk; when they",
        "# end, the same may be bought again at the ledger's price.",
        *_common(block.hosting, block.accelerators, billed),
        _measured_work(block.count, billed),
        f"standing = {block.count}",
        _left(block),
        f"quota = {block.count}",
        f"life_months = {block.life_months}",
        f"residual_ratio = {number(block.residual_ratio)}",
        f"power_kw = {number(block.power_kw)}",
        f"utilisation_of_power_ratio = {number(block.utilisation_ratio)}",
        f"pue = {number(block.pue)}",
        f"energy_price_per_kwh = {of(block.energy, drawn)}",
        f"colo_price_per_kw_month = {of(block.colocation, block.power_kw)}",
        f"maintenance_ratio_per_year = {of(block.support * 12, block.price)}",
        f"staff_cost_per_month = {of(block.staff, Decimal(1))}",
        f"running_source = {text(f'asset ledger; charges of {billed.source}')}",
        f"running_date = {billed.day}",
        f'price = {{ amount = {number(block.price)}, source = "asset ledger, bought {block.bought}", '
        f"date = {billed.day} }}",
        "",
    ]


def _reserved(block: Commitment, billed: Billed) -> list[str]:
    price = (billed.cost / billed.months / HOURS_PER_MONTH / block.count).quantize(UNIT)
    return [
        *_about(block),
        *_common("reservation", block.accelerators, billed),
        _measured_work(block.count, billed),
        f"standing = {block.count}",
        _left(block),
        f"term_months = {block.term_months}                 # may be renewed at today's price",
        f"price = {{ amount = {number(price)}, source = {text(f'own bills, {billed.source}')}, date = {billed.day} }}",
        "",
    ]


def _promised(block: Commitment, billed: Billed) -> list[str]:
    price = (block.on_demand / billed.units * block.accelerators).quantize(UNIT)
    less = (1 - billed.cost / block.on_demand).quantize(UNIT)
    hourly = (billed.cost / billed.months / HOURS_PER_MONTH).quantize(UNIT, rounding=ROUND_UP)
    source = text(f"own bills, {billed.source}")
    return [
        *_about(block),
        *_common("on_demand", block.accelerators, billed),
        f"price = {{ amount = {number(price)}, source = {source}, date = {billed.day} }}",
        "",
        "[[spend_commitments]]",
        f"name = {text('promised-' + billed.workload)}",
        f"provider = {text(billed.provider)}",
        f"discount_ratio = {{ {text('today-' + billed.workload)} = {number(less)} }}",
        f"term_months = {block.term_months}",
        f"standing = {number(hourly)}             # money per hour",
        _left(block),
        f"quota = {number(hourly)}",
        f"source = {source}",
        f"date = {billed.day}",
        "",
    ]


def _left(block: OwnServers | Commitment) -> str:
    """The months that it stands, up to the next moment at which it may be renewed: otherwise it would be paid twice."""
    months = block.months_left + -block.months_left % PURCHASE_MONTHS
    why = f"   # {block.months_left}, up to the next purchase" if months != block.months_left else ""
    return f"standing_months_left = {months}{why}"


def _about(block: Commitment) -> Sequence[str]:
    return [f"# Paid whatever runs: {', '.join(block.names)}; {block.ends}."]
