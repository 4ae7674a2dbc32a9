"""What a workload can run on: rented by the hour, metered by the unit, reserved for a term, or owned."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]
Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
Amount = Annotated[Decimal, Field(ge=0)]
Ratio = Annotated[Decimal, Field(ge=0, le=1)]
Change = Annotated[Decimal, Field(gt=-1, le=10)]
"""A yearly change as a ratio: -0.1 is ten percent less every year."""
Unit = Literal["accelerator_hours", "million_tokens", "thousand_requests", "money"]
"""What a workload's demand is counted in; `money` is spend at today's prices, for bills that measure nothing else."""
Hosting = Literal["cloud", "api", "on_prem", "colo", "edge"]


class Record(BaseModel):
    """A frozen record that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(Record):
    """An amount with where and when it was found; the currency is the scenario's unless stated."""

    amount: Amount
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    source: Annotated[str, Field(min_length=1)]
    date: date


class _Option(Record):
    name: Name
    provider: Annotated[str, Field(min_length=1)]
    region: str | None = None
    country: Country | None = None
    latency_ms: Amount | None = None
    """Round trip from the users; not stated means not known, and a workload with a limit is then not placed here."""
    workloads: tuple[Name, ...] = ()
    """The only workloads that may use this option; empty means any."""
    available_from: Month | None = None
    quota: Amount | None = None
    """The most of this option at any time: instances, blocks, or units per hour of a metered option."""
    location: Annotated[str, Field(min_length=1)] | None = None
    """Where data and services must be moved to; by default the site, else provider and region."""
    egress_price_per_gib: Amount = Decimal(0)
    """What moving data away from here costs."""
    grid_kg_per_kwh: Amount | None = None
    """Carbon intensity of the electricity here, kg CO2e per kWh."""
    price_change_ratio_per_year: Change = Decimal(0)


class _Machine(_Option):
    accelerator: str | None = None
    accelerator_count: Annotated[Decimal, Field(gt=0)] = Decimal(1)
    accelerator_memory_gib: Amount | None = None
    """Memory of one accelerator."""
    units_per_capacity_hour: dict[Name, Annotated[Decimal, Field(gt=0)]] = Field(default_factory=dict)
    """Measured throughput of one instance or server, by workload; goes before the workload's own figures."""
    utilisation_ceiling_ratio: Annotated[Decimal, Field(gt=0, le=1)] = Decimal(1)
    """The share of its capacity that is planned to be used."""


class _Hosted(_Machine):
    power_kw: Amount | None = None
    """Electrical power of one instance as its provider or a study states it, without PUE."""
    pue: Annotated[Decimal, Field(ge=1)] = Decimal(1)


class Rented(_Hosted):
    """An instance rented by the hour; one capacity-hour is one instance-hour."""

    kind: Literal["on_demand", "spot"]
    hosting: Hosting = "cloud"
    price: Price
    """Per instance-hour."""
    interruption_ratio: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal(0)
    """The share of the work that is lost and repeated because capacity is taken back."""


class Metered(_Option):
    """Paid by the unit of work: a model API, or spend that goes on as it is billed today."""

    kind: Literal["api", "metered"]
    hosting: Hosting = "api"
    unit: Unit
    price: Price
    """Per unit."""
    rate_limit_per_minute: Amount | None = None
    """The most units that the provider takes in a minute, from all workloads together."""
    kwh_per_unit: Amount | None = None
    """Electricity of one unit at the meter, as its provider or a study states it."""


class Reservation(_Hosted):
    """Capacity paid for a whole term, used or not.

    A reservation proper; an on-demand instance that is kept running and so is paid for whole months: `monthly`; or
    units of a model API's provisioned throughput: `provisioned`.
    """

    kind: Literal["reservation", "monthly", "provisioned"]
    hosting: Hosting = "cloud"
    price: Price
    """Per instance-hour of the term."""
    upfront: Amount = Decimal(0)
    staff_cost_per_month: Amount = Decimal(0)
    """People who run what is served on one instance."""
    term_months: Annotated[int, Field(ge=1, le=120)] = 1
    lead_time_months: Annotated[int, Field(ge=0, le=24)] = 0
    standing: Annotated[int, Field(ge=0)] = 0
    """Reservations that already run when the horizon starts."""
    standing_months_left: Annotated[int, Field(ge=0)] = 0


class Server(_Machine):
    """A server that is bought, with what it costs to run; one capacity-hour is one server-hour."""

    kind: Literal["on_prem", "colo", "edge"]
    price: Price
    """Purchase of one server, with its share of network and storage."""
    site: Name | None = None
    life_months: Annotated[int, Field(ge=1, le=120)]
    residual_ratio: Ratio = Decimal(0)
    """What is left of the price at the end of the life; in between the value falls in a straight line."""
    power_kw: Amount
    utilisation_of_power_ratio: Ratio = Decimal(1)
    pue: Annotated[Decimal, Field(ge=1)]
    energy_price_per_kwh: Amount
    energy_price_change_ratio_per_year: Change = Decimal(0)
    colo_price_per_kw_month: Amount = Decimal(0)
    maintenance_ratio_per_year: Ratio = Decimal(0)
    staff_cost_per_month: Amount = Decimal(0)
    running_source: Annotated[str, Field(min_length=1)]
    """Where power, PUE, energy, colo, maintenance and staff figures come from."""
    running_date: date
    lead_time_months: Annotated[int, Field(ge=0, le=24)] = 0
    standing: Annotated[int, Field(ge=0)] = 0
    """Servers that already run when the horizon starts; their purchase is sunk, their running cost is not."""
    standing_months_left: Annotated[int, Field(ge=0)] = 0

    @property
    def hosting(self) -> Hosting:
        """Where it stands."""
        return self.kind


class SpendCommitment(Record):
    """A promise to spend so much money per hour for a term, for which the options it covers cost less.

    AWS's savings plans and Google's flexible commitments are of this kind. What is not used is paid all the same.
    """

    name: Name
    provider: Annotated[str, Field(min_length=1)]
    discount_ratio: Annotated[dict[Name, Annotated[Decimal, Field(ge=0, lt=1)]], Field(min_length=1)]
    """What each covered option, rented by the hour, costs less under it, as a share of its price of the first year."""
    term_months: Annotated[int, Field(ge=1, le=60)]
    available_from: Month | None = None
    quota: Amount | None = None
    """The most money per hour that is promised at any time."""
    standing: Amount = Decimal(0)
    """Money per hour that is already promised when the horizon starts."""
    standing_months_left: Annotated[int, Field(ge=0)] = 0
    source: Annotated[str, Field(min_length=1)]
    date: date


PayAsYouGo = Rented | Metered
Block = Reservation | Server
"""Bought whole."""
Option = Annotated[Rented | Metered | Reservation | Server, Field(discriminator="kind")]
