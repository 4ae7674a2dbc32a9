"""What is planted in the demo company for the product to find: when, where, how much, and what a reader should see."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connectors.demo.api_plan import CACHE_DAYS_AGO, CACHE_FALLS, CACHE_RATIO_LEFT
from connectors.demo.company import Calendar, account, month_before
from finops import schema as s

TRIPLED_DAYS_AGO: Final = 64
RAMP_DAYS: Final = 45
RAMP_RATIO: Final = 3.0
PRICE_RATIO: Final = 1.25
TRIPLED, IDLE, UNOWNED, PRICE, BURST, CACHE = (
    "inference_cost_tripled", "idle_reserved_accelerators", "unowned_account", "provider_price_change",
    "training_burst", "cache_hits_fell",
)  # fmt: skip


@dataclass(frozen=True)
class Incident:
    """One planted incident; scope is column -> value of a charge, `ratio` the stated size where it has one."""

    kind: str
    first_day: date
    last_day: date
    scope: dict[str, str]
    expect: str
    ratio: float | None = None


def incidents(calendar: Calendar) -> tuple[Incident, ...]:
    """The incidents of a company that overlap its days."""
    end, ago = calendar.end, calendar.days_before_end
    planted = (
        Incident(
            TRIPLED, ago(TRIPLED_DAYS_AGO), end,
            {s.TEAM: "Support", s.USE_CASE: "support-assistant", s.SUB_ACCOUNT_ID: account("support").account_id},
            "The Support team's Claude Sonnet tokens triple in 45 days and stay there while conversations hardly grow: "
            "inference is far over its budget, and cost per conversation about triples.",
            RAMP_RATIO,
        ),
        Incident(
            IDLE, ago(74), end,
            {s.SUB_ACCOUNT_ID: f"/subscriptions/{account('azure-research').account_id}",
             s.COMMITMENT_DISCOUNT_STATUS: "Unused"},
            "A reservation of two ND96isr H100 v5 machines (16 H100) has no usage any more: all its money is Unused.",
        ),
        Incident(
            UNOWNED, ago(63), end, {s.SUB_ACCOUNT_ID: account("sandbox").account_id},
            "A new account without tags and without a mapping runs A10G machines and calls Claude: nobody owns it.",
        ),
        Incident(
            PRICE, price_change_day(calendar), end, {s.SKU_METER: "gpt 4.1 Inp glbl Tokens"},
            "The unit price of one Azure OpenAI meter is up by a quarter from the first of a month; its volume is not.",
            PRICE_RATIO,
        ),
        Incident(
            BURST, ago(118), ago(98), {s.TEAM: "Research", s.USE_CASE: "ranking-model", s.PURPOSE: "training"},
            "Three weeks of six more p5.48xlarge (48 H100) for one training run; it ends by itself and is no trend.",
        ),
        Incident(
            CACHE, ago(CACHE_DAYS_AGO), end, {s.TEAM: "Support", s.USE_CASE: CACHE_FALLS},
            "The Support chat's cached input falls to less than half of what it was from one day to the next: a token "
            "costs more although no price moved.",
            CACHE_RATIO_LEFT,
        ),
    )  # fmt: skip
    return tuple(i for i in planted if i.last_day >= calendar.start)


def price_change_day(calendar: Calendar) -> date:
    """The first of the second last closed month: two invoices show the new price."""
    return month_before(calendar.open_month, 2)


def ramp(days: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many times its usual volume the Support assistant has, on days counted from the last one (0, -1, ...).

    3 ^ (day / 44) for the 45 days of the ramp, 3 after them.
    """
    steps = np.clip((days + TRIPLED_DAYS_AGO) / (RAMP_DAYS - 1), 0, 1)
    return np.asarray(RAMP_RATIO**steps, dtype=np.float64)
