"""The offers of a drafted scenario: of the price book, promises of money on them, and a server of one's own."""

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from finops import prices
from finops.errors import ConfigError
from finops.prices import OwnPrices
from optimizer.offers import OLD_MONTHS, Kind, Selection, offered_countries, selected_options
from optimizer.options import Option
from optimizer.standing import UNIT, number, text

CLOUDS = ("aws", "azure", "gcp")
SERVERS = {
    "H100-80GB": ("hgx_h100_8gpu_server_usd", "dgx_h100_max_power_kw"),
    "H200-141GB": ("hgx_h200_8gpu_server_usd", "dgx_h100_max_power_kw"),
    "B200-180GB": ("hgx_b200_8gpu_server_usd", "dgx_b200_max_power_kw"),
}
"""Accelerators whose eight-way server has a sourced price, with the parameters of price and power.

An H200 draws what an H100 draws: both are 700 W SXM parts on the same board.
"""
IN_MONEY = "savings_plan"
"""The commitment of the price book that promises money per hour, not machines."""
SHOWN = Decimal("0.01")


@dataclass(frozen=True)
class Asked:
    """What offers are for: an accelerator, the workloads that run on it, where they do, and whether any restarts."""

    accelerator: str
    workloads: tuple[str, ...]
    countries: Set[str]
    restarts: bool


def book_offers(asked: Asked, start: str, own: OwnPrices) -> list[str]:
    """The offers for an accelerator: in the countries it runs in today where the book has any, else anywhere."""
    accelerator = asked.accelerator
    kinds: tuple[Kind, ...] = ("on_demand", "monthly", "reservation", *(("spot",) if asked.restarts else ()))
    here = tuple(sorted(asked.countries & offered_countries(accelerator, own)))
    for countries in dict.fromkeys([here, ()]):
        picked = Selection(
            accelerators=(accelerator,),
            providers=CLOUDS,
            kinds=kinds,
            countries=countries,
            workloads=asked.workloads,
        )
        try:
            options = selected_options(picked, own, start=start)
        except ConfigError:  # none there, or none that is not too old
            continue
        return ["\n".join(_selection(picked)), *_spend_commitments(options, start, own)]
    return []


def _selection(picked: Selection) -> list[str]:
    def listed(values: Iterable[str]) -> str:
        return f"[{', '.join(map(text, values))}]"

    lost = "interruption_ratio = 0.1         # share of spot work that is lost and repeated"
    return [
        f"# The cheapest offers of each provider for {picked.accelerators[0]}, with source and date of the price book.",
        "[[price_book]]",
        f"accelerators = {listed(picked.accelerators)}",
        f"providers = {listed(picked.providers)}",
        f"kinds = {listed(picked.kinds)}",
        f"workloads = {listed(picked.workloads)}",
        '# regions = ["eu-central-1"]',
        "# latency_ms = 30",
        *([lost] if "spot" in picked.kinds else []),
        *([f"countries = {listed(picked.countries)}       # where it runs today"] if picked.countries else []),
        "",
    ]


def _spend_commitments(options: Iterable[Option], start: str, own: OwnPrices) -> list[str]:
    """Promises of money per hour on the offers by use, where the price book has rates for them that are not too old."""
    oldest = pl.lit(date.fromisoformat(f"{start}-01")).dt.offset_by(f"-{OLD_MONTHS}mo")
    book = prices.load_commitments(own.commitments).filter(pl.col("commitment") == IN_MONEY, pl.col("date") >= oldest)
    found = []
    for o in options:
        for row in book.filter(pl.col("provider") == o.provider, pl.col("region") == o.region).iter_rows(named=True):
            if o.name != f"{row['provider']}-{row['region']}-{row['instance_type']}-on_demand":
                continue
            less = (1 - row["committed_per_hour"] / o.price.amount).quantize(UNIT)
            name = f"{o.name}-{IN_MONEY}-{row['term_years']}y"
            found.append(
                "\n".join(
                    [
                        "[[spend_commitments]]",
                        f"name = {text(name)}",
                        f"provider = {text(o.provider)}",
                        f"discount_ratio = {{ {text(o.name)} = {number(less)} }}",
                        f"term_months = {12 * row['term_years']}",
                        f"source = {text(row['source'])}",
                        f"date = {row['date']}",
                        "",
                    ]
                )
            )
    return found


def server(asked: Asked, rate: Decimal) -> str:
    """A server to buy; rate: what a USD, the figures' currency, is in the scenario's."""
    accelerator = asked.accelerator
    figures = {row["parameter"]: row for row in prices.load_onprem_assumptions().iter_rows(named=True)}
    server, power = (figures[parameter] for parameter in SERVERS[accelerator])

    def value(parameter: str, rate: Decimal = Decimal(1)) -> str:
        return number((figures[parameter]["value"] * rate).quantize(UNIT))

    staff = figures["staff_fte_per_server"]["value"] * figures["staff_usd_per_fte_year"]["value"] / 12 * rate
    source = re.sub(r"\s+", " ", figures["energy_usd_per_kwh"]["source"])
    return "\n".join(
        [
            f"# A server of one's own with eight {accelerator}; planning figures, to be replaced by an offer.",
            "[[options]]",
            f"name = {text('own-' + accelerator)}",
            'kind = "on_prem"',
            'provider = "own"',
            'site = "own-room"',
            f"accelerator = {text(accelerator)}",
            "accelerator_count = 8",
            f"workloads = [{', '.join(map(text, asked.workloads))}]",
            "utilisation_ceiling_ratio = 0.8",
            f"life_months = {12 * int(figures['life_years']['value'])}",
            "residual_ratio = 0.0",
            f"power_kw = {number(power['value'])}",
            f"pue = {value('pue_enterprise_colo')}",
            f"energy_price_per_kwh = {value('energy_usd_per_kwh', rate)}",
            f"colo_price_per_kw_month = {value('colo_usd_per_kw_month', rate)}",
            f"maintenance_ratio_per_year = {value('maintenance_ratio_per_year')}",
            f"staff_cost_per_month = {number(staff.quantize(SHOWN))}",
            f"running_source = {text(source)}",
            f"running_date = {figures['energy_usd_per_kwh']['date']}",
            "lead_time_months = 4",
            "[options.price]",
            f"amount = {number(server['value'])}",
            'currency = "USD"',
            f"source = {text(server['source'])}",
            f"date = {server['date']}",
            "",
        ]
    )
