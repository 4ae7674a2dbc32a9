"""What owned hardware costs: depreciation, energy, colocation, support, staff; and when owning beats renting.

Used by the asset ledger and by the placement program, so that both speak of the same costs. Every function is pure,
takes keyword-only numbers and returns exact Decimals (76 significant digits; the caller rounds once, at its border).
Amounts are in the one currency of their prices.
"""

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

from finops.errors import CallError
from finops.money import CONTEXT, QUANTUM, split

P = ParamSpec("P")
R = TypeVar("R")

HOURS_PER_DAY = 24
MONTHS_PER_YEAR = 12
HOURS_PER_YEAR = 8760
"""Hours of a year in the five-year comparisons below; the ledger counts real days instead."""
HOURS_PER_MONTH = HOURS_PER_YEAR // MONTHS_PER_YEAR


def _exact(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function with 76 digits, whatever the caller's decimal context is."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(CONTEXT):
            return function(*args, **kwargs)

    return wrapped


# ------------------------------------------------------------------------------------------------------- depreciation
@_exact
def depreciable_amount(*, price: Decimal, residual_ratio: Decimal) -> Decimal:
    """What a purchase loses over its life: price x (1 - residual_ratio), rounded half-even to 18 places."""
    return (price * (1 - residual_ratio)).quantize(QUANTUM)


@_exact
def life_end(*, in_service: date, life_years: Decimal) -> date:
    """The first day after a life of whole months that starts on in_service.

    A day that the last month does not have becomes its last day. Raises CallError when life_years is not a whole
    number of months above zero.
    """
    months = life_years * MONTHS_PER_YEAR
    if months <= 0 or months != int(months):
        raise CallError(
            f"a life of {life_years} years",
            expected="a whole number of months above zero (3, 3.5, 5)",
            next_step="correct the life of this asset",
        )
    years, month = divmod(in_service.month - 1 + int(months), MONTHS_PER_YEAR)
    year = in_service.year + years
    return date(year, month + 1, min(in_service.day, monthrange(year, month + 1)[1]))


def daily_depreciation(*, price: Decimal, residual_ratio: Decimal, days: int) -> list[Decimal]:
    """Straight-line depreciation of each day of a life; the days sum to the depreciable amount exactly.

    share = price x (1 - residual_ratio) / days, cut to 18 places; the 1e-18 that are left go to the first days.
    """
    return split(depreciable_amount(price=price, residual_ratio=residual_ratio), [Decimal(1)] * days)


@_exact
def book_value(*, price: Decimal, residual_ratio: Decimal, life_months: Decimal, age_months: Decimal) -> Decimal:
    """What an asset is still worth in the books: price - price x (1 - residual_ratio) x min(age / life, 1)."""
    used_ratio = min(age_months / life_months, Decimal(1))
    return price - price * (1 - residual_ratio) * used_ratio


# ------------------------------------------------------------------------------------------------------ running costs
@_exact
def energy_kwh(*, power_kw: Decimal, utilization_ratio: Decimal, pue: Decimal, hours: Decimal) -> Decimal:
    """Energy drawn at the meter [kWh]: power_kw x utilization_ratio x pue x hours."""
    return power_kw * utilization_ratio * pue * hours


@_exact
def energy_cost(
    *, power_kw: Decimal, utilization_ratio: Decimal, pue: Decimal, hours: Decimal, price_per_kwh: Decimal
) -> Decimal:
    """Cost of energy: power_kw x utilization_ratio x pue x hours x price_per_kwh."""
    return energy_kwh(power_kw=power_kw, utilization_ratio=utilization_ratio, pue=pue, hours=hours) * price_per_kwh


@_exact
def colocation_cost(*, power_kw: Decimal, price_per_kw_month: Decimal, months: Decimal) -> Decimal:
    """Cost of hosted power and space: power_kw x price_per_kw_month x months; contracted power, so without PUE."""
    return power_kw * price_per_kw_month * months


@_exact
def maintenance_cost(*, price: Decimal, ratio_per_year: Decimal, months: Decimal) -> Decimal:
    """Cost of support and maintenance: price x ratio_per_year x months / 12."""
    return price * ratio_per_year * months / MONTHS_PER_YEAR


@_exact
def staff_cost(*, cost_per_month: Decimal, months: Decimal) -> Decimal:
    """Cost of the people who run it: cost_per_month x months."""
    return cost_per_month * months


@dataclass(frozen=True)
class RunningCost:
    """What keeping owned hardware costs over a span, by part."""

    energy: Decimal
    colocation: Decimal
    maintenance: Decimal
    staff: Decimal
    spares: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """energy + colocation + maintenance + staff + spares."""
        with localcontext(CONTEXT):
            return self.energy + self.colocation + self.maintenance + self.staff + self.spares


@_exact
def running_cost(
    *,
    price: Decimal,
    power_kw: Decimal,
    utilization_ratio: Decimal,
    pue: Decimal,
    energy_price_per_kwh: Decimal,
    colo_price_per_kw_month: Decimal,
    maintenance_ratio_per_year: Decimal,
    staff_cost_per_month: Decimal,
    spares: Decimal = Decimal(0),
    months: Decimal = Decimal(1),
    hours_per_month: Decimal = Decimal(HOURS_PER_MONTH),
) -> RunningCost:
    """The running cost of hardware bought for `price` over a number of months, 730 hours each by default."""
    return RunningCost(
        energy=energy_cost(
            power_kw=power_kw,
            utilization_ratio=utilization_ratio,
            pue=pue,
            hours=months * hours_per_month,
            price_per_kwh=energy_price_per_kwh,
        ),
        colocation=colocation_cost(power_kw=power_kw, price_per_kw_month=colo_price_per_kw_month, months=months),
        maintenance=maintenance_cost(price=price, ratio_per_year=maintenance_ratio_per_year, months=months),
        staff=staff_cost(cost_per_month=staff_cost_per_month, months=months),
        spares=spares,
    )


# --------------------------------------------------------------------------------------- ownership against renting
@_exact
def total_cost_of_ownership(*, price: Decimal, running: RunningCost, residual_value: Decimal = Decimal(0)) -> Decimal:
    """Cost of owning over a span: price + running cost - what is left at its end."""
    return price + running.total - residual_value


@_exact
def cost_per_accelerator_hour(
    *, total_cost: Decimal, accelerators: Decimal, hours: Decimal, utilization_ratio: Decimal
) -> Decimal:
    """Cost of one used accelerator-hour: total_cost / (accelerators x hours x utilization_ratio)."""
    return total_cost / (accelerators * hours * utilization_ratio)


@_exact
def rent_cost(
    *,
    price_per_hour: Decimal,
    count: Decimal,
    hours: Decimal,
    discount_ratio: Decimal = Decimal(0),
    egress_ratio: Decimal = Decimal(0),
) -> Decimal:
    """Cost of renting: price_per_hour x (1 - discount_ratio) x count x hours x (1 + egress_ratio)."""
    return price_per_hour * (1 - discount_ratio) * count * hours * (1 + egress_ratio)


@_exact
def break_even_months(*, price: Decimal, running_cost_per_month: Decimal, rent_per_month: Decimal) -> Decimal | None:
    """Months after which owning has cost less than renting; None when it never does.

    months = price / (rent_per_month - running_cost_per_month), and None when the rent is not above the running cost.
    """
    saved_per_month = rent_per_month - running_cost_per_month
    return price / saved_per_month if saved_per_month > 0 else None


@_exact
def break_even_utilization(
    *, owned_cost_per_month: Decimal, accelerators: Decimal, rent_price_per_accelerator_hour: Decimal
) -> Decimal:
    """The share of its hours that owned hardware must be used to match renting those hours by the hour.

    ratio = owned_cost_per_month / (accelerators x 730 h x rent_price_per_accelerator_hour); above 1 renting is
    always cheaper.
    """
    return owned_cost_per_month / (accelerators * HOURS_PER_MONTH * rent_price_per_accelerator_hour)


# ------------------------------------------------------------------------------------------------------------- sizing
@_exact
def decode_speed_ratio(*, active_params_b: Decimal, bytes_per_param: Decimal) -> Decimal:
    """How much faster a model decodes than one with 32 GB of active weights: 32 / (active_params_b x bytes_per_param).

    Held between 0.25 and 4. A planning rule, to be replaced by a measured throughput where there is one.
    Source: github.com/chanthaphan/gpu-tco at d8c65343, 2026-07-10.
    """
    return min(max(32 / (active_params_b * bytes_per_param), Decimal("0.25")), Decimal(4))


@_exact
def servers_needed(
    *,
    tokens_per_minute: Decimal,
    tokens_per_second_per_accelerator: Decimal,
    accelerators_per_server: int,
    utilization_ratio: Decimal,
) -> int:
    """Whole servers for a token rate: ceil(tokens_per_minute / 60 / utilization_ratio / throughput of one server)."""
    raw_tokens_per_second = tokens_per_minute / 60 / utilization_ratio
    servers = raw_tokens_per_second / (tokens_per_second_per_accelerator * accelerators_per_server)
    return int(servers.to_integral_value(rounding=ROUND_CEILING))
